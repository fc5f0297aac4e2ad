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

"""What was told, and waits to be told, is kept by all processes at once."""

import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from hepix_vm.exchange.notify import told as module
from hepix_vm.exchange.notify.told import ToldFile
from tests.unit.exchange.events import AT

ITEM = 'what is told'


@pytest.fixture
def file(tmp_path):
    return ToldFile(str(tmp_path), 'email')


def new(file, keys):
    """Return which of these keys would be told, and change nothing."""
    with contextlib.suppress(InterruptedError), file.open() as told:
        found = {key for key in keys if told.add(key, 'x', AT, [])}
        raise InterruptedError
    return found


def test_nothing_is_lost_between_processes(tmp_path):
    def work(name):
        file = ToldFile(str(tmp_path), 'email')
        for number in range(20):
            with file.open() as told:
                assert told.add(f'{name}-{number}', 'image', AT, [ITEM])

    threads = [threading.Thread(target=work, args=(name,))
               for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ToldFile(str(tmp_path), 'email').open() as told:
        assert len(told.waiting()) == 160


def test_one_sends(file, tmp_path):
    another = ToldFile(str(tmp_path), 'email')
    with file.sending() as alone, another.sending() as other:
        assert (alone, other) == (True, False)
    with ToldFile(str(tmp_path), 'email').sending() as alone:
        assert alone


def test_the_oldest_is_forgotten_first(file, monkeypatch):
    monkeypatch.setattr(module, '_REMEMBERED', 3)
    for number in range(5):
        with file.open() as told:
            told.add(str(number), 'image', AT, [])
    assert new(file, ['2', '3', '4']) == set()
    assert new(file, ['0', '1']) == {'0', '1'}


def test_what_is_forgotten_is_that_of_one_image(file):
    with file.open() as told:
        for key, about in (('1', 'a'), ('2', 'b'), ('3', 'a')):
            told.add(key, about, AT, [])
        assert told.forget('a')
        assert not told.forget('a')
    assert new(file, '123') == {'1', '3'}


def test_what_is_so_no_more_is_forgotten(file):
    with file.open() as told:
        for key, about in (('1', 'a'), ('2', 'a'), ('3', 'b')):
            told.add(key, about, AT, [])
        told.only('a', {'2', '4'})
    assert new(file, '1234') == {'1', '4'}


def test_more_may_wait_of_some(file):
    with file.open() as told:
        told.queue([ITEM] * 500)
        told.queue([ITEM] * 3, 502)
        assert (len(told.waiting()), told.missed()) == (502, 1)


def test_an_event_costs_the_same_however_many_there_were(file):
    """Not the whole file again, to the disk."""
    with file.open() as told:
        for number in range(10_000):
            told.add(str(number), 'image', AT, [])
    begin = time.process_time()
    for number in range(100):
        with file.open() as told:
            assert told.add(f'new-{number}', 'image', AT, [ITEM])
    assert (time.process_time() - begin) / 100 < 0.02


def test_what_fails_changes_nothing(file):
    with pytest.raises(RuntimeError), file.open() as told:
        told.add('1', 'a', AT, [ITEM])
        raise RuntimeError
    assert new(file, '1') == {'1'}


def test_what_does_not_fit_is_counted(file, tmp_path):
    with file.open() as told:
        told.queue([ITEM] * 499)
        told.add('1', 'a', AT, [ITEM] * 3)
        assert (len(told.waiting()), told.missed()) == (500, 2)
    # Each notifier has a queue of its own.
    with ToldFile(str(tmp_path), 'other').open() as told:
        assert (told.waiting(), told.missed()) == ({}, 0)


def test_what_was_added_survives_a_kill(tmp_path):
    """Nothing is closed or written at the end."""
    work = textwrap.dedent(f"""
        import os, signal
        from hepix_vm.exchange.notify.told import ToldFile
        file = ToldFile({str(tmp_path)!r}, 'email')
        for number in range(3):
            with file.open() as told:
                told.queue([str(number)])
        os.kill(os.getpid(), signal.SIGKILL)
        """)
    done = subprocess.run([sys.executable, '-c', work], check=False)
    assert done.returncode == -signal.SIGKILL
    with ToldFile(str(tmp_path), 'email').open() as told:
        assert [*told.waiting().values()] == ['0', '1', '2']
