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

"""Taking lists in when something is in the way: others, death, a full disk."""

from collections.abc import Callable
import fcntl
import os
import resource
import signal
import time

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.report import status_of
from hepix_vm.exchange import store
from hepix_vm.exchange.store import ListStore
from tests.testbed.client import wait
from tests.testbed.follower import codes
from tests.testbed.follower import newer
from tests.testbed.listserver import Answer
from tests.testbed.listserver import Handler
from tests.testbed import pki
from tests.testbed.site import entry

ACCEPTED, UNCHANGED = ('accepted', ''), ('unchanged', '')
LIMIT = 60.0  # seconds that any wait may take
# All by which the store changes anything.
CALLS = ('open', 'fsync', 'fchmod', 'replace', 'unlink', 'makedirs', 'close')


@pytest.fixture
def first(follower):
    """A list in a file, accepted in its first version."""
    image_list = follower.site.image_list(entry(b'one'))
    path = follower.site.folder / 'image.list'
    follower.site.write_subscriptions([follower.block(
        image_list.identifier, url=path.as_uri(), ca_bundle=None)])
    publish(follower, image_list)
    assert codes(follower.run()) == [ACCEPTED]
    return image_list


def publish(follower, image_list):
    message = follower.site.sign(image_list, follower.site.alice)
    (follower.site.folder / 'image.list').write_bytes(message)
    return message


def in_child(work: Callable[[], int]) -> int:
    """Return how a child process ends that does some work."""
    child = os.fork()
    if not child:
        try:
            os._exit(work())
        except BaseException:
            os._exit(99)
    return os.waitpid(child, 0)[1]


def killed_at(follower, number: int) -> bool:
    """Take lists in, and die when something is done for the nth time.

    :returns: whether it came to that
    """
    def work() -> int:
        left = [number]

        def dying(call):
            def called(*given, **more):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*given, **more)
            return called

        intake = follower.intake()
        for name in CALLS:
            setattr(store.os, name, dying(getattr(os, name)))
        return status_of(intake.run())

    status = in_child(work)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def test_killed_at_any_step(follower, first):
    """The stored list is the old or the new one, and the next run goes on."""
    outcomes = []
    number = 0
    version = 1
    died = True
    while died:
        number += 1
        version += 1
        old = follower.stored(first)
        current = newer(first, str(version), images=(
            *first.images, entry(b'%d' % version)))
        new = publish(follower, current)
        died = killed_at(follower, number)
        left = follower.stored(first)
        assert left in (old, new)
        accepted = follower.intake().site.accepted
        assert accepted.by_uuid[first.identifier]
        report, = follower.run()
        outcomes.append(str(report.outcome))
        assert report.version == str(version)
        assert follower.stored(first) == new
        assert follower.previous(first)[-1] == old
        assert list(follower.lists.glob('.new')) == []
        for image in current.images:
            assert not follower.intake().site.accepted.conflict(
                image.identifier, first.identifier)
    # Before the list is in its place, and after that.
    assert number > 15
    assert outcomes.count('accepted') > 5
    assert outcomes.count('unchanged') > 5
    assert len(follower.previous(first)) == number
    assert list(follower.site.state.rglob('.new')) == []


def test_a_disk_that_is_full(follower, first):
    """Not even a byte of what does not fit is left."""
    before = follower.state()
    old = follower.stored(first)
    new = publish(follower, newer(first, '2'))
    room = len(new) // 2

    def work() -> int:
        # The kernel writes as much as there is room for.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        intake = follower.intake()
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        report, = intake.run()
        assert 'The list cannot be stored: File too large.' == report.message
        assert report.version == '1'
        assert intake.site.accepted.by_uuid[
            first.identifier].signed.image_list.version == '1'
        return status_of([report])

    assert in_child(work) == 2 << 8
    assert follower.stored(first) == old
    assert list(follower.site.state.rglob('.new')) == []
    assert {name: state for name, state in follower.state().items()
            if name.endswith('.smime')} == {
        name: state for name, state in before.items()
        if name.endswith('.smime')}
    assert codes(follower.run()) == [ACCEPTED]


def test_what_cannot_be_written_down(follower, first, monkeypatch):
    """Who holds an image is written first, or nothing is."""
    publish(follower, newer(first, '2', images=(entry(b'other'),)))
    old = follower.stored(first)

    def full(*given):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(ListStore, 'write_holders', full)
        report, = follower.run()
        assert codes([report]) == [('failed', '')]
        assert 'No space left on device' in report.message
    assert follower.stored(first) == old
    with monkeypatch.context() as patch:
        patch.setattr(ListStore, 'write_note', full)
        assert codes(follower.run()) == [ACCEPTED]
    assert codes(follower.run()) == [UNCHANGED]


def test_two_at_once(follower):
    """Both fetch, one after the other stores, and both say what is so."""
    lists = [follower.site.image_list(entry(bytes([n]))) for n in range(8)]
    follower.follow(*lists)
    for each in lists:
        follower.publish(each)
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            reports = follower.run()
            said = {str(report.outcome) for report in reports}
            os._exit(0 if said == {'accepted'} else
                     1 if said == {'unchanged'} else 9)
        children.append(child)
    ends = sorted(os.WEXITSTATUS(os.waitpid(child, 0)[1])
                  for child in children)
    assert ends == [0, 1]
    assert len([record for record in follower.journal()
                if record['outcome'] == 'accepted']) == 8
    assert codes(follower.run()) == [UNCHANGED] * 8


def test_who_is_told_may_take_his_time(follower, first):
    publish(follower, newer(first, '2'))
    said = []

    def tell(event):
        # Another run would be held up by a lock that is kept meanwhile.
        with open(follower.site.state / 'lists.lock') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        said.append(str(event.kind))

    assert codes(follower.run(tell=tell)) == [ACCEPTED]
    assert said == ['list-accepted']


def awaited(follower):
    """Return whether somebody waits for the lock of the store."""
    inode = (follower.site.state / 'lists.lock').stat().st_ino
    with open('/proc/locks') as file:
        return any('->' in line and f':{inode} ' in line for line in file)


def test_who_stores_is_waited_for(follower, first):
    publish(follower, newer(first, '2'))
    begun, end = os.pipe()
    child = os.fork()
    if not child:
        held_up = False
        try:
            with ListStore(str(follower.site.state)).alone():
                os.write(end, b'x')
                wait(lambda: awaited(follower), bool)
                held_up = follower.stored(first) != (
                    follower.site.folder.joinpath('image.list').read_bytes())
        finally:
            os._exit(held_up)
    assert os.read(begun, 1)
    assert codes(follower.run()) == [ACCEPTED]
    assert os.waitpid(child, 0)[1] == 1 << 8


def test_where_nobody_may_write(follower):
    (follower.site.state / 'lists.lock').mkdir()
    with pytest.raises(ConfigError, match='Is a directory') as caught:
        follower.run()
    assert 'user to whom state_dir belongs' in caught.value.remedy
    (follower.site.state / 'lists.lock').rmdir()
    (follower.site.state / 'fetched').rmdir()
    (follower.site.state / 'fetched').write_bytes(b'')
    with pytest.raises(ConfigError, match='fetched: .*File exists'):
        follower.run()


def test_a_dry_run(follower, first):
    new = newer(first, '2', images=(entry(b'other'),))
    publish(follower, new)
    follower.events.clear()
    files = {path: path.stat().st_mtime_ns
             for path in follower.site.state.rglob('*')}
    intake = follower.intake(dry_run=True)
    assert codes(intake.run()) == [ACCEPTED]
    found = intake.site.accepted.by_uuid[first.identifier].signed.image_list
    assert found.version == '2'
    assert found.images[0].sha512 == new.images[0].sha512
    assert {path: path.stat().st_mtime_ns
            for path in follower.site.state.rglob('*')} == files
    assert follower.events == []
    assert codes(follower.run()) == [ACCEPTED]


def test_a_dry_run_where_nothing_may_be_written_yet(follower):
    image_list = follower.site.image_list(entry(b'one'))
    follower.follow(image_list)
    follower.publish(image_list)
    follower.lists.rmdir()
    assert codes(follower.run(dry_run=True)) == [ACCEPTED]
    assert list(follower.site.state.iterdir()) == []
    assert codes(follower.run()) == [ACCEPTED]


def test_some_lists_only(follower):
    lists = [follower.site.image_list(entry(bytes([n]))) for n in range(2)]
    follower.follow(*lists)
    for each in lists:
        follower.publish(each)
    report, = follower.run(only=[lists[1].identifier])
    assert report.uuid == lists[1].identifier
    assert follower.server.paths() == [f'/{lists[1].identifier}']
    with pytest.raises(ConfigError, match='is not subscribed'):
        follower.run(only=['8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'])


def test_a_hundred_lists(follower):
    """They are fetched at the same time, and reported in order."""
    lists = [follower.site.image_list(entry(b'%d' % n)) for n in range(100)]
    follower.follow(*lists)
    waited: list[float] = []

    def slow(body: bytes) -> Callable[[Handler], None]:
        def write(handler: Handler) -> None:
            handler.home.stopping.wait(0.2)
            waited.append(0.2)
            handler.wfile.write(body)
        return write

    for each in lists:
        body = follower.publish(each)
        follower.server.answers[f'/{each.identifier}'] = Answer(
            body, tail=slow(body))
    begin = time.monotonic()
    reports = follower.run()
    took = time.monotonic() - begin
    assert codes(reports) == [ACCEPTED] * 100
    assert [report.uuid for report in reports] == [
        each.identifier for each in lists]
    assert took < sum(waited)
    begin = time.monotonic()
    assert codes(follower.run()) == [UNCHANGED] * 100
    assert time.monotonic() - begin < LIMIT


def test_so_many_former_versions_are_kept(follower, first, monkeypatch):
    monkeypatch.setattr(store, 'MOST_PREVIOUS', 3)
    messages = [follower.stored(first)]
    for version in range(2, 7):
        messages.append(publish(follower, newer(first, str(version))))
        assert codes(follower.run()) == [ACCEPTED]
    assert follower.previous(first) == messages[-4:-1]


def test_the_sum_of_a_list_and_a_note(tmp_path):
    lists = ListStore(str(tmp_path))
    with lists.alone():
        lists.put('x', b'one', None, pki.utcnow())
        assert lists.read('x') == b'one'
        assert lists.read('y') is None
    (tmp_path / 'lists' / 'y.smime').mkdir()
    with pytest.raises(OSError, match='directory'):
        lists.read('y')
