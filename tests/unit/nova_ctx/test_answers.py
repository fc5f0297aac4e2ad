# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

from concurrent.futures import Future
import threading

import pytest

from hepix_vm.nova_ctx import answers
from hepix_vm.nova_ctx.answers import Answers


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def size(answer):
    return len(answer['target'])


def counted(made, length=1):
    def make():
        made.append(1)
        return {'target': bytes(length)}
    return make


def test_an_answer_is_kept_for_its_time():
    clock, made = Clock(), []
    kept = Answers(300, size, clock)
    for now in (0, 299.9):
        clock.now = now
        kept.get('key', counted(made))
    assert len(made) == 1
    clock.now = 300
    kept.get('key', counted(made))
    assert len(made) == 2
    kept.get('other', counted(made))
    assert len(made) == 3


def test_nothing_is_kept_for_no_time():
    made = []
    kept = Answers(0, size, Clock())
    for _ in range(2):
        kept.get('key', counted(made))
    assert len(made) == 2


def test_a_failure_is_not_kept():
    kept, made = Answers(300, size, Clock()), []

    def fail():
        raise OSError

    with pytest.raises(OSError):
        kept.get('key', fail)
    assert kept.get('key', counted(made)) == {'target': b'\0'}


def test_who_was_asked_for_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(answers, 'MAX_COUNT', 2)
    kept, made = Answers(300, size, Clock()), []
    for key in ('a', 'b', 'a', 'c', 'a', 'b'):
        kept.get(key, counted(made))
    assert len(made) == 4  # b again


def test_all_that_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(answers, 'MAX_TOTAL', 100)
    kept, made = Answers(0, size, Clock()), []
    for _ in range(3):
        kept.get('a', counted(made, 60))  # in the place of the last
    kept = Answers(300, size, Clock())
    for key in ('a', 'b', 'b', 'a'):
        kept.get(key, counted(made, 60))
    assert len(made) == 3 + 3
    # What alone is too much is not kept.
    for _ in range(2):
        kept.get('c', counted(made, 101))
    assert len(made) == 3 + 3 + 2


def ask(kept, make, results):
    try:
        results.append(kept.get('key', make))
    except OSError as error:
        results.append(error)


@pytest.mark.parametrize('fails', [False, True])
def test_it_is_made_once_for_all_who_wait(fails, monkeypatch):
    waiting = threading.Semaphore(0)

    class Noticed(Future):
        def result(self, timeout=None):
            waiting.release()
            return super().result(timeout)

    monkeypatch.setattr(answers, 'Future', Noticed)
    kept, made, results = Answers(300, size), [], []
    first, go = threading.Event(), threading.Event()

    def make():
        made.append(1)
        first.set()
        assert go.wait(10)
        if fails:
            raise OSError
        return {'target': b''}

    threads = [threading.Thread(target=ask, args=(kept, make, results))
               for _ in range(4)]
    threads[0].start()
    assert first.wait(10)
    for thread in threads[1:]:
        thread.start()
    assert all(waiting.acquire(timeout=10) for _ in threads[1:])
    go.set()
    for thread in threads:
        thread.join(10)
    assert (len(made), len(results)) == (1, 4)
    assert all(isinstance(result, OSError) is fails for result in results)


def test_what_does_not_last_is_not_kept():
    made = iter(range(9))
    answers = Answers(100, lambda answer: 1,
                      lasting=lambda answer: answer != 0)
    assert [answers.get('key', lambda: next(made))
            for _ in range(3)] == [0, 1, 1]
