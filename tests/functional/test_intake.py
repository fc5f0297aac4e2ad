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

"""Accepting lists that a real server publishes."""

import dataclasses
import json
import stat

import pytest

from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.report import status_of
from hepix_vm import paths
from tests.testbed.follower import BOB_ENDORSES
from tests.testbed.follower import codes
from tests.testbed.follower import Follower
from tests.testbed.follower import newer
from tests.testbed.follower import PINNED
from tests.testbed.follower import PINNED_BOB
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed.listserver import ListServer
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

ACCEPTED, UNCHANGED = ('accepted', ''), ('unchanged', '')
HOUR = pki.DAY / 24


@pytest.fixture(scope='module')
def server():
    with ListServer() as running:
        yield running


@pytest.fixture
def world(server, tmp_path, monkeypatch):
    follower = Follower(tmp_path, server)
    monkeypatch.setenv(paths.ENVIRONMENT, str(follower.site.config))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return follower


@pytest.fixture
def first(world):
    """A list of two images, accepted in its first version."""
    image_list = world.site.image_list(entry(b'one'), entry(b'two'))
    world.follow(image_list)
    world.publish(image_list)
    assert codes(world.run()) == [ACCEPTED]
    return image_list


def test_the_first_version(world):
    image_list = world.site.image_list(entry(b'one'), entry(b'two'))
    world.follow(image_list)
    message = world.publish(image_list)
    intake = world.intake()
    report, = intake.run()
    uuid = image_list.identifier
    assert world.stored(image_list) == message
    accepted = intake.site.accepted.by_uuid[uuid].signed.image_list
    assert accepted.created == image_list.created
    assert str(report) == (
        f'{uuid} accepted: version 1, 2 images, expires '
        f'{image_list.expires:%Y-%m-%d} (127.0.0.1)')
    assert report.fetched
    assert abs(report.fetched - pki.utcnow()) < HOUR
    assert status_of([report]) == 0
    assert world.told() == ['list-accepted', 'image-listed', 'image-listed']
    assert world.events[1].entry == accepted.images[0]
    record, = world.journal()
    assert record['event'] == 'list'
    assert record['outcome'] == 'accepted'
    assert record['endorser_dn'] == ALICE
    assert (record['list_version'], record['images']) == ('1', 2)
    assert json.loads((world.lists / 'holders.json').read_text()) == {
        image.identifier: uuid for image in image_list.images}


def test_the_gate_reads_it_and_nobody_else(world, first):
    world.publish(newer(first))
    world.run()
    made = [path for folder in ('previous', 'fetched', 'lists')
            for path in (world.site.state / folder).rglob('*')]
    assert len(made) == 6
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (
            0o750 if path.is_dir() else 0o640), path


@pytest.mark.parametrize('validated', [True, False])
def test_nothing_new(world, first, validated):
    world.server.answers[f'/{first.identifier}'].validated = validated
    before = world.state()
    report, = world.run()
    assert codes([report]) == [UNCHANGED]
    assert report.version == '1'
    assert world.state() == before
    assert world.told().count('list-accepted') == 1
    assert len(world.journal()) == 1
    asked = world.server.asked[-1].headers
    assert ('If-None-Match' in asked)
    assert str(report).startswith(f'{first.identifier} unchanged: version 1')


def test_what_we_have_is_asked_for_whole_if_it_changed(world, first):
    path = world.lists / f'{first.identifier}.smime'
    path.write_bytes(b'what the disk made of it')
    assert codes(world.run()) == [ACCEPTED]
    assert 'If-None-Match' not in world.server.asked[-1].headers
    assert world.stored(first) != b'what the disk made of it'
    # The same of another address.
    world.site.write_subscriptions([world.block(
        first.identifier, '/elsewhere')])
    world.publish(first, path='/elsewhere')
    world.run()
    assert 'If-None-Match' not in world.server.asked[-1].headers


@pytest.mark.parametrize('text', ['', '{', '[]', '{"etag": 1}',
                                  '{"other": "x"}', '{"success": "x"}'])
def test_notes_are_only_notes(world, first, text):
    note = world.site.state / 'fetched' / f'{first.identifier}.json'
    note.write_text(text)
    assert codes(world.run()) == [UNCHANGED]
    assert 'If-None-Match' not in world.server.asked[-1].headers
    assert world.run()[0].fetched
    assert 'If-None-Match' in world.server.asked[-1].headers


def test_a_new_version(world, first):
    before = world.stored(first)
    kept, new = first.images[0], entry(b'three')
    message = world.publish(newer(first, images=(kept, new)))
    world.events.clear()
    assert codes(world.run()) == [ACCEPTED]
    assert world.stored(first) == message
    assert world.previous(first) == [before]
    assert [event.entry.identifier for event in world.events
            if event.kind is Kind.IMAGE_LISTED] == [new.identifier]
    # An image that comes back was there before.
    world.publish(newer(first, '3'))
    world.events.clear()
    assert codes(world.run()) == [ACCEPTED]
    assert world.told() == ['list-accepted']
    assert world.previous(first) == [before, message]


def refused(world, image_list, message, code, words=''):
    """Look that what came changed nothing, and that it was said why."""
    before = world.state()
    world.events.clear()
    report, = world.run()
    assert codes([report]) == [('refused', code)]
    assert words in report.message
    assert report.remedy
    assert report.version == image_list.version
    assert status_of([report]) == 1
    assert f'refused: [{code}] ' in str(report)
    assert f'In use: version {image_list.version}, ' in str(report)
    assert world.state() == before
    assert world.told() == ['list-refused']
    assert world.events[0].reasons[0].code == code
    told = world.events[0].image_list
    assert (told.identifier, told.version) == (
        image_list.identifier, image_list.version)
    assert image_list.identifier in world.events[0].message
    assert world.journal()[-1]['outcome'] == 'refused'
    assert world.journal()[-1]['reasons'][0]['code'] == code
    assert world.stored(image_list) != message
    # Said again to who listens, and journalled once.
    length = len(world.journal())
    assert codes(world.run()) == [('refused', code)]
    assert len(world.journal()) == length


def test_a_version_that_is_lower(world, first):
    current = newer(first, '1.10')
    world.publish(current)
    assert codes(world.run()) == [ACCEPTED]
    refused(world, current, world.publish(newer(first, '1.9')),
            'list-rollback', 'Version 1.9')


def test_the_same_version_of_another_date(world, first):
    earlier = newer(first, '1', created=first.created - HOUR)
    refused(world, first, world.publish(earlier), 'list-rollback',
            'was made at')
    later = newer(first, '1', created=first.created + HOUR / 2)
    message = world.publish(later)
    assert codes(world.run()) == [ACCEPTED]
    assert world.stored(first) == message


def test_a_version_below_the_mark_of_the_ledger(world, first):
    marks = {first.identifier: '3'}
    before = world.stored(first)
    world.publish(newer(first, '2'))
    assert codes(world.run(marks=marks)) == [('refused', 'list-rollback')]
    assert world.stored(first) == before
    # What is stored has the same fault.
    world.publish(first)
    assert codes(world.run(marks=marks)) == [('refused', 'list-rollback')]
    world.publish(newer(first, '3'))
    assert codes(world.run(marks=marks)) == [ACCEPTED]


def test_a_list_that_calls_itself_otherwise(world, first):
    other = dataclasses.replace(world.site.image_list(), version='9')
    refused(world, first,
            world.publish(other, path=f'/{first.identifier}'),
            'uuid-conflict', f'now calls itself {other.identifier}')


def test_another_endorser_than_pinned(world, first):
    bobs = newer(first, endorser=BOB_ENDORSES)
    refused(world, first, world.publish(bobs, world.site.bob),
            'endorser-not-accepted', 'is not an endorser that is pinned')


def test_a_new_endorser_is_pinned(world, first):
    """The version that the old one reached counts all the same."""
    world.publish(newer(first, '5'))
    world.run()
    world.follow(first, endorsers=[PINNED_BOB])
    report, = world.run()
    assert codes([report]) == [('refused', 'endorser-not-accepted')]
    assert report.version == ''
    bobs = newer(first, '4', endorser=BOB_ENDORSES)
    world.publish(bobs, world.site.bob)
    assert codes(world.run()) == [('refused', 'list-rollback')]
    world.publish(newer(bobs, '6'), world.site.bob)
    assert codes(world.run()) == [ACCEPTED]


def test_one_that_names_another_endorser(world, first):
    stated = newer(first, endorser=BOB_ENDORSES)
    refused(world, first, world.publish(stated), 'endorser-mismatch')


def test_one_that_was_tampered_with(world, first):
    message = world.publish(newer(first)).replace(b'Testbed', b'Tostbed')
    world.server.serve(f'/{first.identifier}', message)
    refused(world, first, message, 'signature-invalid')


@pytest.mark.parametrize('body', [
    b'', b'<html>Please log in</html>', bytes(5000)])
def test_what_is_no_list(world, first, body):
    world.server.serve(f'/{first.identifier}', body)
    report, = world.run()
    assert report.outcome == 'refused'
    assert report.version == '1'


def test_one_that_expired(world, first):
    old = newer(first, created=first.created - 5 * HOUR,
                expires=pki.utcnow() - HOUR)
    refused(world, first, world.publish(old), 'list-expired')


def test_one_that_is_not_valid_yet(world, first):
    refused(world, first, world.publish(
        newer(first, created=pki.utcnow() + HOUR)), 'list-not-yet-valid')


def test_one_that_is_too_long(world, first):
    world.site.write_config(max_list_bytes='60000', fetch_retries='0')
    world.server.answers[f'/{first.identifier}'] = Answer(
        tail=listserver.endless)
    refused(world, first, b'', 'too-large', 'more than 60000 bytes')


def test_one_that_is_a_bomb(world, first):
    world.server.answers[f'/{first.identifier}'] = listserver.bomb(
        50_000_000)
    refused(world, first, b'', 'malformed', 'comes compressed')


def test_a_crl_that_is_late(world, first):
    now = pki.utcnow()
    world.site.write_anchors(this_update=now - 9 * HOUR,
                             next_update=now - HOUR)
    world.events.clear()
    report, = world.run()
    assert codes([report]) == [('stale', 'crl-expired')]
    assert (report.version, status_of([report])) == ('1', 0)
    assert world.told() == ['list-stale']
    assert 'stale: version 1, 2 images' in str(report)
    # Nothing new is accepted, and nothing that is there is lost.
    refused(world, first, world.publish(newer(first)), 'crl-expired')
    assert first.identifier in world.intake().site.accepted.by_uuid
    world.site.write_anchors()
    assert codes(world.run()) == [ACCEPTED]


def test_an_endorser_who_was_revoked(world, first):
    world.site.write_anchors(revoked=[world.site.alice])
    assert codes(world.run()) == [('refused', 'signer-revoked')]
    refused(world, first, world.publish(newer(first)), 'signer-revoked')


def test_a_list_that_expires_here(world):
    image_list = world.site.image_list(
        entry(b'one'), expires=pki.utcnow() - HOUR / 2)
    world.follow(image_list)
    (world.lists / f'{image_list.identifier}.smime').write_bytes(
        world.publish(image_list))
    assert codes(world.run()) == [('refused', 'list-expired')]
    world.publish(newer(image_list, '1.1',
                        expires=pki.utcnow() + 9 * HOUR))
    assert codes(world.run()) == [ACCEPTED]


@pytest.mark.parametrize('answer', [
    Answer(status=500), Answer(status=404), listserver.truncated(b'x' * 99),
    listserver.redirect('file:///etc/passwd'),
    listserver.redirect('http://127.0.0.1/list')],
    ids=['500', '404', 'truncated', 'file', 'http'])
def test_one_that_does_not_come(world, first, answer):
    before = world.state()
    fetched = world.run()[0].fetched
    world.server.answers[f'/{first.identifier}'] = answer
    world.events.clear()
    report, = world.run()
    assert codes([report]) == [('failed', '')]
    assert report.message
    assert report.remedy
    assert (report.version, report.images) == ('1', 2)
    assert report.fetched == fetched
    assert status_of([report]) == 2
    assert world.state() == before
    assert world.told() == []
    assert world.journal()[-1]['outcome'] == 'failed'
    assert world.journal()[-1]['cause'] == report.message
    # It comes again, and nothing has happened.
    world.server.serve(f'/{first.identifier}', world.stored(first))
    assert codes(world.run()) == [UNCHANGED]


def test_first_an_error_then_the_list(world):
    world.site.write_config(fetch_retries='1')
    image_list = world.site.image_list(entry(b'one'))
    world.follow(image_list)
    message = world.publish(image_list)
    world.server.answers[f'/{image_list.identifier}'] = [
        Answer(status=500), Answer(message)]
    assert codes(world.run()) == [ACCEPTED]


def test_one_bad_list_does_not_stop_the_others(world):
    lists = [world.site.image_list(entry(bytes([n]))) for n in range(4)]
    world.follow(*lists)
    for each in lists:
        world.publish(each)
    world.server.answers[f'/{lists[0].identifier}'] = Answer(status=404)
    world.server.serve(f'/{lists[2].identifier}', b'no list')
    reports = world.run()
    assert [report.uuid for report in reports] == [
        each.identifier for each in lists]
    assert [str(report.outcome) for report in reports] == [
        'failed', 'accepted', 'refused', 'accepted']
    assert status_of(reports) == 2
    assert 'no version' in str(reports[0])


def test_an_error_of_ours_does_not_stop_the_others(world, monkeypatch,
                                                   caplog):
    lists = [world.site.image_list(entry(bytes([n]))) for n in range(2)]
    world.follow(*lists)
    for each in lists:
        world.publish(each)
    monkeypatch.setattr('hepix_vm.exchange.intake.list_dates', _broken(
        lists[0].identifier))
    reports = world.run()
    assert codes(reports) == [('failed', 'internal-error'), ACCEPTED]
    assert 'Traceback' in caplog.text


def _broken(uuid):
    def list_dates(image_list, at):
        if image_list.identifier == uuid:
            raise KeyError('a mistake of ours')
        return ()
    return list_dates


@pytest.mark.parametrize('order', [0, 1])
def test_an_image_that_another_list_has(world, order):
    """The older holder keeps it, wherever it stands in the file."""
    image = entry(b'one')
    first = world.site.image_list(image)
    second = world.site.image_list(dataclasses.replace(
        entry(b'evil'), identifier=image.identifier), entry(b'two'))
    world.follow(first)
    world.publish(first)
    world.run()
    world.follow(*([first, second], [second, first])[order])
    world.publish(second)
    world.events.clear()
    reports = {report.uuid: report for report in world.run()}
    report = reports[second.identifier]
    assert codes([report]) == [('accepted', 'uuid-conflict')]
    assert report.message == (
        f'Image {image.identifier} belongs to the list {first.identifier}, '
        f'not to {second.identifier}.')
    assert status_of(reports.values()) == 1
    assert codes([reports[first.identifier]]) == [UNCHANGED]
    accepted, = [event for event in world.events
                 if event.kind is Kind.LIST_ACCEPTED]
    assert accepted.reasons[0].code == 'uuid-conflict'
    accepted = world.intake().site.accepted
    assert accepted.conflict(image.identifier, second.identifier)
    assert not accepted.conflict(image.identifier, first.identifier)
    # It is said again, and the other images of the list count.
    assert codes(world.run()).count(('unchanged', 'uuid-conflict')) == 1
    assert not accepted.conflict(
        second.images[1].identifier, second.identifier)


def test_of_two_new_lists_the_first_holds_an_image(world):
    image = entry(b'one')
    lists = [world.site.image_list(image, entry(b'two')),
             world.site.image_list(image, entry(b'three'))]
    for each in lists:
        world.publish(each)
    world.follow(*lists)
    assert codes(world.run()) == [ACCEPTED, ('accepted', 'uuid-conflict')]
    world.follow(*reversed(lists))
    assert codes(world.run()) == [('unchanged', 'uuid-conflict'), UNCHANGED]


def test_lists_by_hand(world, first):
    by_hand = world.site.image_list(entry(b'three'))
    awaited = world.site.image_list(entry(b'four'))
    path = world.lists / f'{by_hand.identifier}.smime'
    path.write_bytes(world.site.sign(by_hand, world.site.alice))
    hand = [{'uuid': each.identifier, 'endorsers': [PINNED]}
            for each in (by_hand, awaited)]
    world.site.write_subscriptions(
        [*hand, world.block(first.identifier, f'/{first.identifier}')])
    reports = world.run()
    assert codes(reports) == [UNCHANGED, UNCHANGED]
    assert str(reports[0]).endswith('(by hand)')
    assert reports[0].fetched is None
    assert by_hand.images[0].identifier in (
        world.lists / 'holders.json').read_text()
    path.write_bytes(b'x')
    assert world.run()[0].outcome == 'refused'


def test_lists_of_files(world, tmp_path):
    image_list = world.site.image_list(entry(b'one'))
    path = tmp_path / 'image.list'
    path.write_bytes(world.site.sign(image_list, world.site.alice))
    world.site.write_subscriptions([{
        'uuid': image_list.identifier, 'share': 'public',
        'url': path.as_uri(), 'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(world.run()) == [ACCEPTED]
    assert codes(world.run()) == [UNCHANGED]
    path.unlink()
    report, = world.run()
    assert report.outcome == 'failed'
    assert '(a file)' in str(report)
