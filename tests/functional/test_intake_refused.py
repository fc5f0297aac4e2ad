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

"""Lists that a real server publishes, and that are not relied upon."""

import dataclasses
import uuid

import pytest

from hepix_vm.exchange.notify import words
from hepix_vm.exchange.report import status_of
from tests.testbed.follower import BOB_ENDORSES
from tests.testbed.follower import codes
from tests.testbed.follower import newer
from tests.testbed.follower import PINNED_BOB
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed import pki
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


def refused(follower, image_list, message, code, said=''):
    """Look that what came changed nothing, and that it was said why."""
    before = follower.state()
    follower.events.clear()
    report, = follower.run()
    assert codes([report]) == [('refused', code)]
    assert said in report.message
    assert report.remedy
    assert report.version == image_list.version
    assert status_of([report]) == 1
    assert f'refused: [{code}] ' in str(report)
    assert f'Stored: version {image_list.version}, ' in str(report)
    assert follower.state() == before
    assert follower.told() == ['list-refused']
    assert follower.events[0].reasons[0].code == code
    told = follower.events[0].image_list
    assert (told.identifier, told.version) == (
        image_list.identifier, image_list.version)
    assert image_list.identifier in follower.events[0].message
    assert follower.journal()[-1]['outcome'] == 'refused'
    assert follower.journal()[-1]['reasons'][0]['code'] == code
    assert follower.stored(image_list) != message
    # Said again to who listens, and journalled once.
    length = len(follower.journal())
    assert codes(follower.run()) == [('refused', code)]
    assert len(follower.journal()) == length


def test_a_version_that_is_lower(follower, first):
    current = newer(first, '1.10')
    follower.publish(current)
    assert codes(follower.run()) == [ACCEPTED]
    refused(follower, current, follower.publish(newer(first, '1.9')),
            'list-rollback', 'Version 1.9')


def test_the_same_version_of_another_date(follower, first):
    earlier = newer(first, '1', created=first.created - HOUR)
    refused(follower, first, follower.publish(earlier), 'list-rollback',
            'was made at')
    later = newer(first, '1', created=first.created + HOUR / 2)
    message = follower.publish(later)
    assert codes(follower.run()) == [ACCEPTED]
    assert follower.stored(first) == message


def test_a_version_below_the_mark_of_the_ledger(follower, first):
    marks = {first.identifier: '3'}
    before = follower.stored(first)
    follower.publish(newer(first, '2'))
    assert codes(follower.run(marks=marks)) == [('refused', 'list-rollback')]
    assert follower.stored(first) == before
    # What is stored has the same fault.
    follower.publish(first)
    assert codes(follower.run(marks=marks)) == [('refused', 'list-rollback')]
    # What is older than both is refused once, not twice.
    follower.publish(newer(first, '0.9'))
    follower.events.clear()
    assert codes(follower.run(marks=marks)) == [('refused', 'list-rollback')]
    (told,) = follower.events
    assert [reason.code for reason in told.reasons] == ['list-rollback']
    follower.publish(newer(first, '3'))
    assert codes(follower.run(marks=marks)) == [ACCEPTED]


def test_a_list_that_calls_itself_otherwise(follower, first):
    other = dataclasses.replace(follower.site.image_list(), version='9')
    refused(follower, first,
            follower.publish(other, path=f'/{first.identifier}'),
            'uuid-conflict', f'The list is {other.identifier}, but '
            f'{first.identifier} is pinned')


def test_a_uuid_that_was_mistyped(follower):
    image_list = follower.site.image_list(entry(b'one'))
    follower.publish(image_list, path='/list')
    wrong = str(uuid.uuid4())
    follower.site.write_subscriptions([follower.block(wrong)])
    report, = follower.run()
    assert codes([report]) == [('refused', 'uuid-conflict')]
    assert f'is {image_list.identifier}, but {wrong} is' in report.message
    assert 'Correct uuid of this list' in report.remedy


def test_a_crl_that_fetch_crl_did_not_get(follower, first):
    for path in follower.site.anchors.glob('*.r0'):
        path.unlink()
    report, = follower.run()
    assert codes([report]) == [('stale', 'crl-missing')]
    assert report.remedy == 'Look at fetch-crl on this host.'
    assert report.remedy in words.why(follower.events[-1])[-1]


def test_no_list_is_subscribed_any_more(follower, first, caplog):
    follower.site.write_subscriptions([])
    assert follower.run() == []
    assert 'names no list, and 1 are stored' in caplog.text
    caplog.clear()
    (follower.lists / f'{first.identifier}.smime').unlink()
    assert follower.run() == []
    assert caplog.text == ''


def test_another_endorser_than_pinned(follower, first):
    bobs = newer(first, endorser=BOB_ENDORSES)
    refused(follower, first, follower.publish(bobs, follower.site.bob),
            'endorser-not-accepted', 'is not an endorser that is pinned')


def test_a_new_endorser_is_pinned(follower, first):
    """The version that the old one reached counts all the same."""
    follower.publish(newer(first, '5'))
    follower.run()
    follower.follow(first, endorsers=[PINNED_BOB])
    report, = follower.run()
    assert codes([report]) == [('refused', 'endorser-not-accepted')]
    assert (report.version, report.unused) == ('', '5')
    assert 'Stored: version 5, which is not used: its images go out of ' in (
        str(report))
    assert 'correct endorsers of this list' in report.remedy
    assert report.remedy in words.why(follower.events[-1])[-1]
    bobs = newer(first, '4', endorser=BOB_ENDORSES)
    follower.publish(bobs, follower.site.bob)
    assert codes(follower.run()) == [('refused', 'list-rollback')]
    follower.publish(newer(bobs, '6'), follower.site.bob)
    assert codes(follower.run()) == [ACCEPTED]


def test_one_that_names_another_endorser(follower, first):
    stated = newer(first, endorser=BOB_ENDORSES)
    refused(follower, first, follower.publish(stated), 'endorser-mismatch')


def test_one_that_was_tampered_with(follower, first):
    message = follower.publish(newer(first)).replace(b'Testbed', b'Tostbed')
    follower.server.serve(f'/{first.identifier}', message)
    refused(follower, first, message, 'signature-invalid')


@pytest.mark.parametrize('body', [
    b'', b'<html>Please log in</html>', bytes(5000)])
def test_what_is_no_list(follower, first, body):
    follower.server.serve(f'/{first.identifier}', body)
    report, = follower.run()
    assert report.outcome == 'refused'
    assert report.version == '1'


def test_one_that_expired(follower, first):
    old = newer(first, created=first.created - 5 * HOUR,
                expires=pki.utcnow() - HOUR)
    refused(follower, first, follower.publish(old), 'list-expired')


def test_one_that_is_not_valid_yet(follower, first):
    refused(follower, first, follower.publish(
        newer(first, created=pki.utcnow() + HOUR)), 'list-not-yet-valid')


def test_one_that_is_too_long(follower, first):
    follower.site.write_config(max_list_bytes='60000', fetch_retries='0')
    follower.server.answers[f'/{first.identifier}'] = Answer(
        tail=listserver.endless)
    refused(follower, first, b'', 'too-large', 'more than 60000 bytes')


def test_one_that_is_a_bomb(follower, first):
    follower.server.answers[f'/{first.identifier}'] = listserver.bomb(
        50_000_000)
    refused(follower, first, b'', 'malformed', 'comes compressed')


def test_a_crl_that_is_late(follower, first):
    now = pki.utcnow()
    follower.site.write_anchors(this_update=now - 9 * HOUR,
                             next_update=now - HOUR)
    follower.events.clear()
    report, = follower.run()
    assert codes([report]) == [('stale', 'crl-expired')]
    assert (report.version, status_of([report])) == ('1', 0)
    assert follower.told() == ['list-stale']
    assert 'stale: version 1, 2 images' in str(report)
    # Nothing new is accepted, and nothing that is there is lost.
    refused(follower, first, follower.publish(newer(first)), 'crl-expired')
    assert first.identifier in follower.intake().site.accepted.by_uuid
    follower.site.write_anchors()
    assert codes(follower.run()) == [ACCEPTED]


def test_an_endorser_who_was_revoked(follower, first):
    follower.site.write_anchors(revoked=[follower.site.alice])
    assert codes(follower.run()) == [('refused', 'signer-revoked')]
    refused(follower, first, follower.publish(newer(first)), 'signer-revoked')


def test_a_list_that_expires_here(follower):
    image_list = follower.site.image_list(
        entry(b'one'), expires=pki.utcnow() - HOUR / 2)
    follower.follow(image_list)
    (follower.lists / f'{image_list.identifier}.smime').write_bytes(
        follower.publish(image_list))
    assert codes(follower.run()) == [('refused', 'list-expired')]
    follower.publish(newer(image_list, '1.1',
                        expires=pki.utcnow() + 9 * HOUR))
    assert codes(follower.run()) == [ACCEPTED]
