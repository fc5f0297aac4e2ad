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

"""Several endorsers who must agree, and images that several lists claim."""

import dataclasses
import json

import pytest

from hepix_vm.errors import Code
from hepix_vm.gate import Gate
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.standing import Change
from hepix_vm.trust.standing import change_for
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.unit.judging import BOB_ENDORSES
from tests.unit.judging import codes
from tests.unit.judging import DATA
from tests.unit.judging import HOUR
from tests.unit.judging import inline
from tests.unit.judging import judge

BOTH = [{'dn': ALICE, 'ca': CA}, {'dn': BOB, 'ca': CA}]


@pytest.fixture
def lists(site):
    """A list of Alice's and one of Bob's, with the same bytes."""
    return (site.image_list(entry(DATA)),
            site.image_list(entry(DATA), endorser=BOB_ENDORSES))


def accept(site, *image_lists, **keys):
    """Put lists where accepted ones lie, each by whom it names."""
    signers = {ALICE: site.alice, BOB: site.bob}
    for each in image_lists:
        (site.state / 'lists' / f'{each.identifier}.smime').write_bytes(
            site.sign(each, signers[each.endorser.dn]))
    site.write_subscriptions([
        {'uuid': each.identifier, 'endorsers': BOTH, **keys}
        for each in image_lists])


def test_two_who_agree(site, lists):
    accept(site, *lists, agree=2)
    assert judge(site).endorsed


def test_one_is_not_enough(site, lists):
    accept(site, lists[0], agree=2)
    verdict = judge(site)
    assert codes(verdict) == {Code.NOT_ENDORSED}
    assert 'Only 1 of the 2 endorsers' in verdict.explain()
    accept(site, lists[0])
    assert judge(site).endorsed


def test_the_same_endorser_twice_is_one(site, lists):
    accept(site, lists[0], site.image_list(entry(DATA)), agree=2)
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_a_list_that_is_not_here_decides_nothing(site, lists):
    accept(site, *lists, agree=2)
    (site.state / 'lists' / f'{lists[1].identifier}.smime').unlink()
    verdict = judge(site)
    assert codes(verdict) == {Code.LIST_ROLLBACK}
    assert change_for(verdict, 'endorsed') == Change()
    # One of others is not waited for.
    site.write_subscriptions([
        {'uuid': lists[0].identifier, 'endorsers': BOTH, 'agree': 2},
        {'uuid': lists[1].identifier,
         'endorsers': [{'dn': '/CN=Carol', 'ca': CA}]}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_they_agree_on_bytes(site, lists):
    other = dataclasses.replace(
        lists[1], images=(dataclasses.replace(
            lists[1].images[0], sha512='0' * 128),))
    accept(site, lists[0], other, agree=2)
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_who_is_not_pinned_for_a_list_does_not_count_for_it(site, lists):
    accept(site, *lists)
    other = [{'dn': f'{CA}/CN=Third', 'ca': CA}]
    site.write_subscriptions([
        {'uuid': lists[0].identifier, 'endorsers': [BOTH[0], *other],
         'agree': 2},
        {'uuid': lists[1].identifier, 'endorsers': BOTH, 'agree': 2}])
    verdict = judge(site)
    # Bob's list is agreed on: Alice is pinned for it.
    assert verdict.endorsed
    assert verdict.endorsement.image_list.identifier == lists[1].identifier
    site.write_subscriptions([
        {'uuid': lists[0].identifier, 'endorsers': [BOTH[0], *other],
         'agree': 2},
        {'uuid': lists[1].identifier, 'endorsers': [BOTH[1], *other],
         'agree': 2}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


@pytest.mark.parametrize('change', ['list', 'image', 'future'])
def test_what_does_not_count_now_agrees_with_nobody(site, lists, change):
    alices, bobs = lists
    now = pki.utcnow()
    if change == 'image':
        bobs = dataclasses.replace(bobs, images=(dataclasses.replace(
            bobs.images[0], expires=now - HOUR),))
    elif change == 'list':
        bobs = dataclasses.replace(
            bobs, created=now - 2 * HOUR, expires=now - HOUR)
    else:
        bobs = dataclasses.replace(bobs, created=now + HOUR)
    accept(site, alices, bobs, agree=2)
    assert Code.NOT_ENDORSED in codes(judge(site))
    accept(site, alices, bobs)
    assert judge(site).endorsed


def test_a_revoked_endorser_agrees_with_nobody(site, lists):
    accept(site, *lists, agree=2)
    site.write_anchors(revoked=[site.bob])
    assert Code.NOT_ENDORSED in codes(judge(site))


def test_a_late_crl_is_no_disagreement_within_grace(site, lists):
    accept(site, *lists, agree=2)
    now = pki.utcnow()
    gate = Gate('glance-api')
    site.write_anchors(this_update=now - 100 * HOUR,
                       next_update=now - 71 * HOUR)
    assert judge(site, gate=gate).endorsed
    gate.now = lambda: now + 2 * HOUR
    # Late, which decides nothing on images that are in use.
    assert codes(judge(site, gate=gate)) == {Code.CRL_EXPIRED}


def test_only_the_other_endorser_is_late(site, lists):
    other_ca = pki.Authority.create('/C=EU/O=Other/CN=Other CA')
    carol = other_ca.issue('/C=EU/O=Other/CN=Carol')
    carols = site.image_list(entry(DATA), endorser=Endorser(
        '/C=EU/O=Other/CN=Carol', other_ca.one_line))
    pinned = [BOTH[0], {'dn': carols.endorser.dn, 'ca': carols.endorser.ca}]
    accept(site, lists[0])
    (site.state / 'lists' / f'{carols.identifier}.smime').write_bytes(
        site.sign(carols, carol))
    site.write_subscriptions([
        {'uuid': each.identifier, 'endorsers': pinned, 'agree': 2}
        for each in (lists[0], carols)])
    pki.write_folder(site.anchors, [other_ca.files()])
    assert judge(site).endorsed
    pki.write_folder(site.anchors, [other_ca.files(other_ca.crl(
        revoked=[carol]))])
    assert Code.NOT_ENDORSED in codes(judge(site))
    crl, = site.anchors.glob(f'{pki.subject_hash(other_ca.certificate)}.r0')
    crl.unlink()
    verdict = judge(site)
    assert codes(verdict) == {Code.CRL_MISSING}
    assert change_for(verdict, 'endorsed') == Change()


def test_messages_that_come_with_an_image_need_agreement_too(site, lists):
    alices, bobs = lists
    accept(site, alices, bobs, agree=2)
    assert judge(site, inline(site, alices)).endorsed
    accept(site, alices, dataclasses.replace(
        bobs, images=(entry(b'other'),)), agree=2)
    assert codes(judge(site, inline(site, alices))) == {Code.NOT_ENDORSED}
    # One of a list of his own is not the site's business.
    assert judge(site, site.endorse(DATA)).endorsed


def hold(site, image, image_list):
    path = site.state / 'lists' / 'holders.json'
    path.write_text(json.dumps({image.identifier: {
        'list': image_list.identifier, 'since': '2026-01-31T12:00:00Z'}}))


def test_the_older_holder_keeps_an_image(site, lists):
    image = lists[0].images[0]
    first, second = (dataclasses.replace(each, images=(image,))
                     for each in lists)
    other = dataclasses.replace(second, images=(dataclasses.replace(
        image, sha512='0' * 128),))
    accept(site, other, first)
    assert codes(judge(site)) == {Code.UUID_CONFLICT}
    hold(site, image, first)
    assert judge(site).endorsed
    hold(site, image, second)
    assert codes(judge(site)) == {Code.UUID_CONFLICT}


def test_the_ledger_knows_the_holder_better(site, lists):
    image = lists[0].images[0]
    first, second = (dataclasses.replace(each, images=(image,))
                     for each in lists)
    other = dataclasses.replace(second, images=(dataclasses.replace(
        image, sha512='0' * 128),))
    accept(site, other, first)
    record = Record(Fact.HELD, Blockable.IMAGE, image.identifier, 'first',
                    'sync', pki.utcnow(), image_list=first.identifier)

    def verdict(*given):
        return judge(site, *given, gate=Gate('glance-api', search=lambda
                     names: [record] if record.name in names else []))

    hold(site, image, other)
    assert codes(judge(site)) == {Code.UUID_CONFLICT}
    assert verdict().endorsed
    record = dataclasses.replace(record, image_list=other.identifier)
    hold(site, image, first)
    assert judge(site).endorsed
    assert codes(verdict()) == {Code.UUID_CONFLICT}
    # So does a message that comes with an image.
    assert judge(site, inline(site, first)).endorsed
    assert codes(verdict(inline(site, first))) == {Code.UUID_CONFLICT}


def test_a_holder_that_cannot_be_read_now_keeps_its_images(site, lists):
    image = lists[0].images[0]
    first, second = (dataclasses.replace(each, images=(image,))
                     for each in lists)
    accept(site, first, second)
    hold(site, image, first)
    path = site.state / 'lists' / f'{first.identifier}.smime'
    path.write_bytes(b'what the disk made of it')
    assert codes(judge(site)) == {Code.UUID_CONFLICT}
    # One that is no longer subscribed, or has it no more, holds nothing.
    accept(site, second)
    assert judge(site).endorsed
    accept(site, dataclasses.replace(first, images=(entry(b'other'),)),
           second)
    assert judge(site).endorsed


@pytest.mark.parametrize('text', [
    '', '[', '[]', '{"a": 1}', '{"a": {}}', '\x00',
    '{"a": {"list": [], "since": "2026-01-31T12:00:00Z"}}'])
def test_without_a_readable_note_the_first_list_holds(site, lists, text):
    image = lists[0].images[0]
    first, second = (dataclasses.replace(each, images=(image,))
                     for each in lists)
    accept(site, first, second)
    (site.state / 'lists' / 'holders.json').write_text(text)
    verdict = judge(site)
    assert verdict.endorsed
    assert verdict.endorsement.image_list.identifier == first.identifier
