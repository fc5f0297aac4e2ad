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

"""Servers whose image may not be used any more, without a cloud."""

import json

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.locking import Locking
from hepix_vm.exchange.oneline import clean
from hepix_vm.servers import Running
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.verdict import Mode
from tests.unit.exchange.outofuse import IMAGE
from tests.unit.exchange.outofuse import Images
from tests.unit.exchange.outofuse import looker
from tests.unit.exchange.outofuse import Nova
from tests.unit.exchange.outofuse import server


@pytest.fixture
def look(tmp_path):
    return looker(tmp_path)


def journal(tmp_path):
    return [json.loads(line) for line in (
        tmp_path / 'journal' / 'hepix-vm-sync.jsonl').read_text().splitlines()
        if line]


def test_a_server_is_locked_before_it_is_stopped(look, tmp_path):
    nova = Nova(server())
    done = look(nova)
    assert nova.did == [('1', 'lock'), ('1', 'os-stop')]
    assert str(done.tally) == 'servers 1, locked 1, stopping 1, unstopped 0'
    event, = done.told
    assert event.kind is Kind.SERVER_STOPPING
    assert event.glance_image == IMAGE
    assert (event.server.identifier, event.server.email) == (
        '1', 'alice@example.org')
    assert [(record['action'], record['server'], record['state'])
            for record in journal(tmp_path)] == [
        ('locked', '1', 'revoked'), ('stopping', '1', 'revoked')]


def test_what_is_not_locked_is_not_stopped(look, caplog):
    """Its user would only start it again."""
    nova = Nova(server(), server('2'), answers={'lock': 500})
    done = look(nova)
    assert [name for _, name in nova.did] == ['lock', 'lock']
    assert (done.tally.failed, done.tally.stopping) == (2, 0)
    assert 'Nova answers 500' in caplog.text
    # That they run is told all the same.
    assert [event.kind for event in done.told] == [Kind.SERVER_RUNS] * 2


@pytest.mark.parametrize(('answer', 'unstopped'), [(404, 0), (409, 1)])
def test_what_is_gone_or_busy_is_no_failure(look, answer, unstopped):
    done = look(Nova(server(), answers={'os-stop': answer}))
    assert str(done.tally) == (
        f'servers 1, locked 1, stopping 0, unstopped {unstopped}')
    assert done.tally.failed == 0
    assert done.told[0].kind is Kind.SERVER_LOCKED
    assert len([line for line in done.said if 'tries again' in line]) == (
        unstopped)


@pytest.mark.parametrize('answers', [{'lock': 404}, {'os-stop': 404}])
def test_of_what_is_gone_before_anything_is_done_nothing_is_told(
        look, tmp_path, answers):
    nova = Nova(server(locked='lock' not in answers), answers=answers,
                actions=[{'action': 'lock', 'project_id': 'admin'}])
    done = look(nova)
    assert [name for _, name in nova.did] == [*answers]
    assert (done.told, done.tally.failed, done.tally.unstopped) == ([], 0, 0)
    assert done.said == ['1 is gone']
    assert not (tmp_path / 'journal').exists()


@pytest.mark.parametrize('state', ['resized', 'rescued'])
def test_operators_are_told_once_of_what_cannot_be_stopped(
        look, tmp_path, state):
    done = look(Nova(server(state=state)))
    assert str(done.tally) == 'servers 1, locked 1, stopping 0, unstopped 1'
    assert [event.kind for event in done.told] == [
        Kind.SERVER_LOCKED, Kind.SERVER_UNSTOPPED]
    # He could help himself by it.
    assert done.told[1].server.email == ''
    assert 'confirm the resize or end the rescue' in done.told[1].message
    done = look(Nova(server(state=state, locked=True)))
    assert (done.tally.unstopped, done.told) == (1, [])
    assert [(record['action'], record['status'])
            for record in journal(tmp_path)] == [
        ('locked', state.upper()), ('unstopped', state.upper())]
    # It could be, and then not.
    look(Nova(server(state='stopped', locked=True)))
    assert len(look(Nova(server(state=state, locked=True))).told) == 1
    # Nobody wants it stopped.
    assert look(Nova(server(state=state)), Measure.LOCK
                ).tally.unstopped == 0


@pytest.mark.parametrize('answers', [{'os-stop': 409}, {'lock': 500}])
def test_what_nova_is_busy_with_is_told_if_it_lasts(look, answers):
    def told(answers):
        return Kind.SERVER_UNSTOPPED in [event.kind for event in look(
            Nova(server(), answers=answers)).told]

    assert [told(answers) for _ in range(3)] == [False, True, False]
    # Told to stop in between, it had its time.
    assert not told({})
    assert [told(answers) for _ in range(3)] == [True, False, False]


def test_a_server_was_stopped_when_nova_says_so(look, tmp_path):
    look(Nova(server()))
    off = server(state='stopped', locked=True)
    done = look(Nova(off))
    assert done.said == [f'1 was stopped: its image {IMAGE} is revoked']
    assert (done.told, done.tally.stopping) == ([], 0)
    assert look(Nova(off)).said == []
    # Others are stopped by whom it may be.
    look(Nova(server('2', locked=True), off), Measure.LOCK)
    assert look(Nova(server('2', state='stopped', locked=True), off)
                ).said == []
    assert [record['action'] for record in journal(tmp_path)
            if record['server'] == '1'] == ['locked', 'stopping', 'stopped']


def test_a_guest_that_does_not_obey(look, tmp_path):
    """How long Nova waits for it the image says, which is its owner's."""
    look(Nova(server()))
    # It is powering-off until then.
    waiting = Nova(server(locked=True), answers={'os-stop': 409})
    done = look(waiting)
    assert (done.tally.stopping, done.tally.unstopped) == (0, 1)
    event, = done.told
    assert event.kind is Kind.SERVER_UNSTOPPED
    assert 'powering-off' in event.message
    assert 'virsh destroy' in clean(event.message, 600)
    assert look(waiting).told == []
    assert 'stopped' not in [
        record['action'] for record in journal(tmp_path)]


def test_only_what_an_administrator_locked_is_locked(look):
    owners = {'action': 'lock', 'project_id': 'atlas'}
    ours = {'action': 'lock', 'project_id': 'admin'}
    unlock = {'action': 'unlock', 'project_id': 'admin'}
    stop = {'action': 'stop', 'project_id': 'atlas'}
    for actions, holds in (
            ([owners], False), ([ours], True), ([stop, ours, owners], True),
            ([owners, unlock, ours], False), ([stop], False), ([], False)):
        nova = Nova(server(locked=True), actions=actions)
        assert Locking(nova).holds(Running(
            '1', 'x', 'atlas', 'ACTIVE', IMAGE, locked=True)) is holds
        look(Nova(), out=())  # and nothing is remembered
        look(nova, Measure.LOCK)
        assert [name for _, name in nova.did] == ['lock'] * (not holds)


def test_whoever_locked_it_for_that_told_of_it(look, tmp_path):
    """Which is another controller; others lock servers for their reasons."""
    nova = Nova(server())
    look(nova)
    reason = nova.reasons[0]
    assert f'The image {IMAGE} is revoked' in reason
    ours = [{'action': 'lock', 'project_id': 'admin'}]
    for given, told in ((reason, 0), ('forensics', 1), (None, 1)):
        look(Nova(), out=())
        assert len(look(Nova(server(
            'x', 'stopped', locked=True, locked_reason=given), actions=ours),
            ).told) == told
    assert [record['action'] for record in journal(tmp_path)] == [
        'locked', 'stopping', 'seen', 'seen', 'seen']
    # Nor does its owner keep it quiet by saying the same.
    look(Nova(), out=())
    assert len(look(Nova(server(locked=True, locked_reason=reason)),
                    Measure.REPORT).told) == 1


def test_it_is_told_once_and_again_when_it_is_so_again(look, tmp_path):
    assert len(look(Nova(server()), Measure.REPORT).told) == 1
    again = look(Nova(server(), server('2')), Measure.REPORT)
    assert [event.server.identifier for event in again.told] == ['2']
    worse = look(Nova(server()), Measure.REPORT, Images(
        'blocked', Code.IMAGE_BLOCKED))
    assert len(worse.told) == 1
    # It was in use again.
    assert look(Nova(server()), out=()).told == []
    assert len(look(Nova(server()), Measure.REPORT).told) == 1
    assert [record['action'] for record in journal(tmp_path)] == ['seen'] * 4


@pytest.mark.parametrize('images', [
    Images(mode=Mode.PERMISSIVE), Images(mode=Mode.DISABLED),
    Images('endorsed'), Images('adopted'), Images(''),
    Images(status='active')])
def test_what_may_be_used_is_let_alone(look, images):
    nova = Nova(server())
    done = look(nova, images=images)
    assert (nova.did, done.told, done.tally.servers) == ([], [], 0)


def test_what_cannot_be_read_stops_nothing(look, caplog):
    nova = Nova(server())
    images = Images('refused', Code.INTERNAL_ERROR)
    assert look(nova, images=images).told[0].kind is Kind.SERVER_RUNS
    images.failed = ServiceError('Glance is away.', 0, 'Mend it.')
    assert look(nova, images=images).tally.failed == 1
    assert 'Glance is away. Mend it.' in caplog.text
    assert nova.did == []


def test_an_id_in_capitals_means_what_glance_means_by_it(look):
    def typed():
        return Nova(server(image={'id': IMAGE.upper()}), server(
            '2', image={'id': 'B' * 8}, **{
                'OS-EXT-SRV-ATTR:kernel_id': IMAGE.upper()}))

    nova = typed()
    assert look(nova, images=Images(capitals=False)).tally.stopping == 2
    assert {number for number, _ in nova.did} == {'1', '2'}
    # There it is another image, of which nothing is known, or none at all.
    nova = typed()
    assert look(nova, images=Images()).tally.servers == 0
    assert nova.did == []


def test_where_glance_does_not_say_what_is_meant_nothing_is_forgotten(
        look, caplog):
    assert len(look(Nova(server()), Measure.REPORT).told) == 1
    images = Images()
    images.failed = ServiceError('Glance is away.', 0, 'Mend it.')
    # Twice, and it is asked once.
    nova = Nova(*(server(number, image={'id': IMAGE.upper()})
                  for number in '12'))
    done = look(nova, Measure.REPORT, images)
    assert (done.tally.failed, done.told) == (1, [])
    assert 'Glance is away. Mend it.' in caplog.text
    assert look(Nova(server()), Measure.REPORT).told == []


def test_a_dry_run_does_nothing(look, tmp_path):
    nova = Nova(server())
    done = look(nova, dry_run=True)
    assert (nova.did, done.told) == ([], [])
    assert done.said == [
        f'1 would be locked and stopped: its image {IMAGE} is revoked']
    assert [*tmp_path.iterdir()] == []


def test_without_an_image_that_is_out_of_use_nova_is_not_asked(look):
    nova = Nova(server())
    assert str(look(nova, out=()).tally) == (
        'servers 0, locked 0, stopping 0, unstopped 0')
    assert nova.asked == []


def test_where_there_is_no_nova(look, caplog):
    tally = look(None, Measure.REPORT).tally
    assert (str(tally), tally.failed) == ('servers unknown', 0)
    # A site that wants more would wait for it for ever.
    tally = look(None, Measure.LOCK).tally
    assert (str(tally), tally.failed) == ('servers unknown', 1)
    assert 'There is no Nova here' in caplog.text
    assert look(None, Measure.LOCK, out=()).tally.failed == 0
