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

"""What Glance is asked of images, how often, and how long it is waited for."""

from concurrent.futures import Future
import threading
import time
from types import SimpleNamespace

import pytest

from hepix_vm import config
from hepix_vm.deadline import Deadline
from hepix_vm.errors import ServiceError
from hepix_vm.nova_ctx import answers
from hepix_vm.nova_ctx import lookup
from hepix_vm.nova_ctx.lookup import Lookup
from hepix_vm.nova_ctx.lookup import Unknown

ID = 'aaaaaaaa-0000-4000-8000-000000000000'
IMAGE = {
    'id': ID, 'status': 'active', 'owner': 'p1', 'visibility': 'private',
    'created_at': '2026-01-01T00:00:00Z', 'disk_format': 'raw',
    'container_format': 'bare', 'size': 1, 'os_hash_algo': 'sha512',
    'os_hash_value': 'a' * 128, 'name': 'one'}
LONG = Deadline(10 ** 6)
MANY = 200


class Glance:
    """A catalogue and a ledger, which count who asks and who waits."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.waiting = threading.Semaphore(0)
        self.begun = threading.Event()
        # What is done before anything is said.
        self.before = lambda: None

        class Noticed(Future):
            def result(future, timeout=None):
                self.waiting.release()
                return super().result(timeout)
        monkeypatch.setattr(answers, 'Future', Noticed)
        monkeypatch.setattr(lookup, 'Catalogue', lambda adapter: self)
        monkeypatch.setattr(lookup, 'LedgerCopy', lambda *given: self)

    def find(self, image_id):
        self.asked.append('image')
        self.begun.set()
        self.before()
        return IMAGE

    def refresh(self):
        self.asked.append('ledger')
        self.before()

    def search(self, names):
        return ()

    def wait_for(self, number):
        for _ in range(number):
            assert self.waiting.acquire(timeout=10), 'nobody waits'


@pytest.fixture
def glance(monkeypatch):
    return Glance(monkeypatch)


@pytest.fixture
def known(site, glance):
    site.write_config(boot_cache='60')
    return Lookup(config.load())


class Asking(threading.Thread):
    """Asks for the image, and keeps what comes of it."""

    def __init__(self, known, deadline):
        super().__init__(daemon=True)
        self.known, self.deadline, self.said = known, deadline, None
        self.start()

    def run(self):
        try:
            self.said = self.known.image(ID, self.deadline)
        except Unknown as error:
            self.said = error

    def answer(self):
        self.join(10)
        return self.said


def test_many_at_once_are_one_look_up(glance, known):
    """Whoever comes while Glance is asked does not ask it."""
    start, found = threading.Barrier(MANY), []
    # It says nothing until all others wait for it.
    glance.before = lambda: glance.wait_for(MANY - 1)

    def ask():
        start.wait(10)
        image = known.image(ID, LONG)
        start.wait(10)
        found.append((image.name, known.ledger(LONG)))
    threads = [threading.Thread(target=ask, daemon=True)
               for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert glance.asked == ['image', 'ledger']
    assert found == [('one', glance.search)] * MANY


def test_nobody_waits_for_another_longer_than_he_may(glance, known):
    go = threading.Event()
    glance.before = lambda: go.wait(30)
    first = Asking(known, LONG)
    assert glance.begun.wait(10)
    began = time.monotonic()
    assert isinstance(Asking(known, Deadline(0.2)).answer(), Unknown)
    assert time.monotonic() - began < 5
    go.set()
    assert first.answer().name == 'one'


def test_who_has_more_time_asks_again(glance, known):
    """The time of who asked first is not that of who waits for him."""
    short = SimpleNamespace(left=100)

    def late():
        glance.wait_for(1)
        short.left, glance.before = 0, lambda: None
        raise TimeoutError
    glance.before = late
    first = Asking(known, short)
    assert glance.begun.wait(10)
    second = Asking(known, LONG)
    assert isinstance(first.answer(), Unknown)
    assert second.answer().name == 'one'
    assert glance.asked == ['image', 'image']


@pytest.mark.parametrize('ask', [
    lambda known: known.image(ID, Deadline(0)),
    lambda known: known.ledger(Deadline(0))])
def test_when_the_time_is_over_nothing_is_asked(glance, known, ask):
    with pytest.raises(Unknown, match='too long'):
        ask(known)
    assert glance.asked == []


def test_who_was_waited_for_in_vain_brings_back_nothing_old(glance, known):
    running, most, go = [], [], threading.Event()

    def refresh():
        running.append(1)
        most.append(len(running))
        go.wait(20)
        running.pop()
    glance.before = refresh
    for _ in range(2):
        with pytest.raises(Unknown):
            known.ledger(Deadline(0.2))
    go.set()
    known.ledger(LONG)
    assert max(most) == 1


def test_errors_of_ours_are_not_taken_for_silence(caplog):
    def fail(error):
        def ask(seconds):
            raise error
        return lookup.asked('Glance', LONG, ask)
    with pytest.raises(KeyError):
        fail(KeyError('x'))
    with pytest.raises(Unknown, match='Glance does not say now'):
        fail(ServiceError('Glance answers 500.', 500, 'Look.'))
    assert 'Glance answers 500. Look.' in caplog.text
