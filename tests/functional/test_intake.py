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
import os
import stat
import threading
import uuid

import pytest

from hepix_vm.errors import FetchError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.report import status_of
from tests.testbed.client import LIMIT
from tests.testbed.follower import codes
from tests.testbed.follower import newer
from tests.testbed.follower import PINNED
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

ACCEPTED, UNCHANGED = ('accepted', ''), ('unchanged', '')
HOUR = pki.DAY / 24


@pytest.fixture
def first(follower):
    """A list of two images, accepted in its first version."""
    image_list = follower.site.image_list(entry(b'one'), entry(b'two'))
    follower.follow(image_list)
    follower.publish(image_list)
    assert codes(follower.run()) == [ACCEPTED]
    return image_list


def test_the_first_version(follower):
    image_list = follower.site.image_list(entry(b'one'), entry(b'two'))
    follower.follow(image_list)
    message = follower.publish(image_list)
    intake = follower.intake()
    report, = intake.run()
    uuid = image_list.identifier
    assert follower.stored(image_list) == message
    accepted = intake.site.accepted.by_uuid[uuid].signed.image_list
    assert accepted.created == image_list.created
    assert str(report) == (
        f'{uuid} accepted: version 1, 2 images, expires '
        f'{image_list.expires:%Y-%m-%d} ("Testbed", 127.0.0.1)')
    assert report.fetched
    assert abs(report.fetched - pki.utcnow()) < HOUR
    assert status_of([report]) == 0
    assert follower.told() == ['list-accepted', 'image-listed', 'image-listed']
    assert follower.events[1].entry == accepted.images[0]
    record, = follower.journal()
    assert record['event'] == 'list'
    assert record['outcome'] == 'accepted'
    assert record['endorser_dn'] == ALICE
    assert (record['list_version'], record['images']) == ('1', 2)
    assert json.loads((follower.lists / 'holders.json').read_text()) == {
        image.identifier: {'list': uuid, 'since': record['time']}
        for image in image_list.images}


@pytest.mark.parametrize('umask', [0o077, 0])
def test_the_gate_reads_it_and_nobody_else(follower, first, umask):
    follower.publish(newer(first))
    before = os.umask(umask)
    try:
        follower.run()
    finally:
        os.umask(before)
    made = [path for folder in ('previous', 'fetched', 'lists')
            for path in (follower.site.state / folder).rglob('*')]
    assert len(made) == 6
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (
            0o750 if path.is_dir() else 0o640), path


@pytest.mark.parametrize('validated', [True, False])
def test_nothing_new(follower, first, validated):
    follower.server.answers[f'/{first.identifier}'].validated = validated
    before = follower.state()
    report, = follower.run()
    assert codes([report]) == [UNCHANGED]
    assert report.version == '1'
    assert follower.state() == before
    assert follower.told().count('list-accepted') == 1
    assert len(follower.journal()) == 1
    asked = follower.server.asked[-1].headers
    assert ('If-None-Match' in asked)
    assert str(report).startswith(f'{first.identifier} unchanged: version 1')


def test_what_we_have_is_asked_for_whole_if_it_changed(follower, first):
    path = follower.lists / f'{first.identifier}.smime'
    path.write_bytes(b'what the disk made of it')
    assert codes(follower.run()) == [ACCEPTED]
    assert 'If-None-Match' not in follower.server.asked[-1].headers
    assert follower.stored(first) != b'what the disk made of it'
    # The same of another address.
    follower.site.write_subscriptions([follower.block(
        first.identifier, '/elsewhere')])
    follower.publish(first, path='/elsewhere')
    follower.run()
    assert 'If-None-Match' not in follower.server.asked[-1].headers


@pytest.mark.parametrize('text', ['', '{', '[]', '{"etag": 1}',
                                  '{"other": "x"}', '{"success": "x"}'])
def test_notes_are_only_notes(follower, first, text):
    note = follower.site.state / 'fetched' / f'{first.identifier}.json'
    note.write_text(text)
    assert codes(follower.run()) == [UNCHANGED]
    assert 'If-None-Match' not in follower.server.asked[-1].headers
    assert follower.run()[0].fetched
    assert 'If-None-Match' in follower.server.asked[-1].headers


def test_a_new_version(follower, first):
    before = follower.stored(first)
    kept, new = first.images[0], entry(b'three')
    message = follower.publish(newer(first, images=(kept, new)))
    follower.events.clear()
    assert codes(follower.run()) == [ACCEPTED]
    assert follower.stored(first) == message
    assert follower.previous(first) == [before]
    assert [event.entry.identifier for event in follower.events
            if event.kind is Kind.IMAGE_LISTED] == [new.identifier]
    # An image that comes back was there before.
    follower.publish(newer(first, '3'))
    follower.events.clear()
    assert codes(follower.run()) == [ACCEPTED]
    assert follower.told() == ['list-accepted']
    assert follower.previous(first) == [before, message]


@pytest.mark.parametrize('answer', [
    Answer(status=500), Answer(status=404), listserver.truncated(b'x' * 99),
    listserver.redirect('file:///etc/passwd'),
    listserver.redirect('http://127.0.0.1/list')],
    ids=['500', '404', 'truncated', 'file', 'http'])
def test_one_that_does_not_come(follower, first, answer):
    before = follower.state()
    fetched = follower.run()[0].fetched
    follower.server.answers[f'/{first.identifier}'] = answer
    follower.events.clear()
    report, = follower.run()
    assert codes([report]) == [('failed', '')]
    assert report.message
    assert report.remedy
    assert (report.version, report.images) == ('1', 2)
    assert report.fetched == fetched
    assert status_of([report]) == 2
    assert follower.state() == before
    assert follower.told() == []
    assert follower.journal()[-1]['outcome'] == 'failed'
    assert follower.journal()[-1]['cause'] == report.message
    # It comes again, and nothing has happened.
    follower.server.serve(f'/{first.identifier}', follower.stored(first))
    assert codes(follower.run()) == [UNCHANGED]


def test_first_an_error_then_the_list(follower):
    follower.site.write_config(fetch_retries='1')
    image_list = follower.site.image_list(entry(b'one'))
    follower.follow(image_list)
    message = follower.publish(image_list)
    follower.server.answers[f'/{image_list.identifier}'] = [
        Answer(status=500), Answer(message)]
    assert codes(follower.run()) == [ACCEPTED]


def test_one_bad_list_does_not_stop_the_others(follower):
    lists = [follower.site.image_list(entry(bytes([n]))) for n in range(4)]
    follower.follow(*lists)
    for each in lists:
        follower.publish(each)
    follower.server.answers[f'/{lists[0].identifier}'] = Answer(status=404)
    follower.server.serve(f'/{lists[2].identifier}', b'no list')
    reports = follower.run()
    assert [report.uuid for report in reports] == [
        each.identifier for each in lists]
    assert [str(report.outcome) for report in reports] == [
        'failed', 'accepted', 'refused', 'accepted']
    assert status_of(reports) == 2
    assert 'no version' in str(reports[0])


def test_an_error_of_ours_does_not_stop_the_others(follower, monkeypatch,
                                                   caplog):
    lists = [follower.site.image_list(entry(bytes([n]))) for n in range(2)]
    follower.follow(*lists)
    for each in lists:
        follower.publish(each)
    monkeypatch.setattr('hepix_vm.exchange.inventory.list_dates', _broken(
        lists[0].identifier))
    reports = follower.run()
    assert codes(reports) == [('failed', 'internal-error'), ACCEPTED]
    assert 'Traceback' in caplog.text


def _broken(uuid):
    def list_dates(image_list, at):
        if image_list.identifier == uuid:
            raise KeyError('a mistake of ours')
        return ()
    return list_dates


@pytest.mark.parametrize('order', [0, 1])
def test_an_image_that_another_list_has(follower, order):
    """The older holder keeps it, wherever it stands in the file."""
    image = entry(b'one')
    first = follower.site.image_list(image)
    second = follower.site.image_list(dataclasses.replace(
        entry(b'evil'), identifier=image.identifier), entry(b'two'))
    follower.follow(first)
    follower.publish(first)
    follower.run()
    follower.follow(*([first, second], [second, first])[order])
    follower.publish(second)
    follower.events.clear()
    reports = {report.uuid: report for report in follower.run()}
    report = reports[second.identifier]
    assert codes([report]) == [('accepted', 'uuid-conflict')]
    assert report.message == (
        f'Image {image.identifier} belongs to the list {first.identifier}, '
        f'not to {second.identifier}.')
    assert status_of(reports.values()) == 1
    assert codes([reports[first.identifier]]) == [UNCHANGED]
    accepted, = [event for event in follower.events
                 if event.kind is Kind.LIST_ACCEPTED]
    assert accepted.reasons[0].code == 'uuid-conflict'
    accepted = follower.intake().site.accepted
    assert accepted.conflict(image.identifier, second.identifier)
    assert not accepted.conflict(image.identifier, first.identifier)
    clashes, = [event for event in follower.events
                if event.kind is Kind.LIST_CLASHES]
    assert clashes.image_list.identifier == second.identifier
    assert [reason.code for reason in clashes.reasons] == ['uuid-conflict']
    follower.events.clear()
    # It is said again, and the other images of the list count.
    assert codes(follower.run()).count(('unchanged', 'uuid-conflict')) == 1
    assert not accepted.conflict(
        second.images[1].identifier, second.identifier)
    # Nobody is told twice.
    assert follower.events == []


def test_of_two_new_lists_the_first_holds_an_image(follower):
    image = entry(b'one')
    lists = [follower.site.image_list(image, entry(b'two')),
             follower.site.image_list(image, entry(b'three'))]
    for each in lists:
        follower.publish(each)
    follower.follow(*lists)
    assert codes(follower.run()) == [ACCEPTED, ('accepted', 'uuid-conflict')]
    follower.follow(*reversed(lists))
    assert codes(follower.run()) == [('unchanged', 'uuid-conflict'), UNCHANGED]


def test_lists_by_hand(follower, first):
    by_hand = follower.site.image_list(entry(b'three'))
    awaited = follower.site.image_list(entry(b'four'))
    path = follower.lists / f'{by_hand.identifier}.smime'
    path.write_bytes(follower.site.sign(by_hand, follower.site.alice))
    hand = [{'uuid': each.identifier, 'endorsers': [PINNED]}
            for each in (by_hand, awaited)]
    follower.site.write_subscriptions(
        [*hand, follower.block(first.identifier, f'/{first.identifier}')])
    reports = follower.run()
    assert codes(reports) == [UNCHANGED, UNCHANGED]
    assert str(reports[0]).endswith('("Testbed", by hand)')
    assert reports[0].fetched is None
    assert by_hand.images[0].identifier in (
        follower.lists / 'holders.json').read_text()
    path.write_bytes(b'x')
    assert follower.run()[0].outcome == 'refused'


def test_lists_of_files(follower, tmp_path):
    image_list = follower.site.image_list(entry(b'one'))
    path = tmp_path / 'image.list'
    path.write_bytes(follower.site.sign(image_list, follower.site.alice))
    follower.site.write_subscriptions([{
        'uuid': image_list.identifier, 'share': 'public',
        'url': path.as_uri(), 'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(follower.run()) == [ACCEPTED]
    assert codes(follower.run()) == [UNCHANGED]
    path.unlink()
    report, = follower.run()
    assert report.outcome == 'failed'
    assert '("Testbed", a file)' in str(report)


def test_a_silent_server_holds_up_its_own_lists_only(follower, monkeypatch):
    """Though it has more lists than are fetched from a server at once."""
    silent = [follower.block(str(uuid.uuid4()),
                             url=f'https://silent.example.org/{number}')
              for number in range(30)]
    other = follower.site.image_list(entry(b'one'))
    follower.site.write_subscriptions([
        *silent, follower.block(other.identifier)])
    follower.publish(other, path='/list')
    came = threading.Event()
    lock, at_work = threading.Lock(), [0, 0]
    get = Fetcher.get

    def slow(fetcher, *given):
        if 'silent' not in fetcher._following.url:
            try:
                return get(fetcher, *given)
            finally:
                came.set()
        with lock:
            at_work[0] += 1
            at_work[1] = max(at_work)
        assert came.wait(LIMIT)
        with lock:
            at_work[0] -= 1
        raise FetchError('It is silent.', 'Wait.')

    monkeypatch.setattr(Fetcher, 'get', slow)
    assert codes(follower.run()) == [('failed', '')] * 30 + [ACCEPTED]
    assert at_work == [0, 4]


def test_whose_turn_does_not_come(follower):
    follower.site.write_config(fetch_timeout='1', fetch_retries='0')
    follower.server.answers['/list'] = Answer(whole=listserver.silent)
    follower.site.write_subscriptions([
        follower.block(str(uuid.uuid4())) for _ in range(20)])
    reports = follower.run()
    assert codes(reports) == [('failed', '')] * 20
    # Four at a time, for a second, and once more.
    waited = [report for report in reports
              if 'other lists waited for its server' in report.message]
    assert len(waited) >= 12
    assert 'next run tries again' in waited[0].remedy
