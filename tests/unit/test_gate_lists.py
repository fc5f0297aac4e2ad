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

"""The gate and lists: accepted ones, and messages that bear their names."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.gate import Gate
from hepix_vm.trust.endorsement import check_succession
from hepix_vm.trust.policy import Moment
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site
from tests.unit.judging import BOB_ENDORSES
from tests.unit.judging import codes
from tests.unit.judging import DATA
from tests.unit.judging import DIGEST
from tests.unit.judging import HOUR
from tests.unit.judging import inline
from tests.unit.judging import judge
from tests.unit.judging import LIST


def test_an_expired_image_of_a_valid_list(site):
    image = entry(DATA, expires=(pki.utcnow() - HOUR).replace(microsecond=0))
    verdict = judge(site, inline(site, site.image_list(image)))
    assert codes(verdict) == {Code.IMAGE_EXPIRED}


def test_a_list_that_names_another_endorser(site):
    verdict = judge(site, site.endorse(DATA, signer=site.bob))
    assert Code.ENDORSER_MISMATCH in codes(verdict)


@pytest.mark.parametrize('number', [0, 2])
def test_inline_means_one_image(site, number):
    images = [entry(DATA) for _ in range(number)]
    verdict = judge(site, inline(site, site.image_list(*images)))
    assert codes(verdict) == {Code.MALFORMED}


def test_a_listed_image_needs_no_property(site):
    site.accept(site.image_list(entry(b'other'), entry(DATA)))
    verdict = judge(site)
    assert verdict.allowed, verdict.explain()
    assert verdict.endorsement.source == 'lists'
    assert codes(judge(site, data=b'x')) == {Code.NOT_ENDORSED}


def test_a_list_that_is_not_subscribed_endorses_nothing(site):
    site.accept(site.image_list(entry(DATA)))
    site.write_subscriptions([])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_a_list_of_another_endorser_than_pinned(site):
    image_list = site.image_list(entry(DATA), endorser=BOB_ENDORSES)
    site.accept(image_list, site.bob)
    assert judge(site).allowed
    site.write_subscriptions([{
        'uuid': image_list.identifier,
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_a_list_under_another_name_than_its_own(site):
    image_list = site.image_list(entry(DATA))
    site.accept(image_list)
    lists = site.state / 'lists'
    (lists / f'{image_list.identifier}.smime').rename(
        lists / f'{LIST}.smime')
    site.write_subscriptions([{
        'uuid': LIST, 'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    assert codes(judge(site)) == {Code.NOT_ENDORSED}


def test_an_image_that_waits_for_approval_holds_bytes_but_does_not_run(site):
    image_list = site.image_list(entry(DATA))
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    verdict = judge(site)
    assert verdict.allowed
    assert not verdict.endorsement.approved
    assert codes(judge(site, moment=Moment.RUN)) == {Code.NOT_APPROVED}


def test_inline_as_a_version_of_a_subscribed_list(site):
    ours, other = entry(DATA), entry(b'other')
    accepted = site.image_list(ours, identifier=LIST, version='2.0')
    site.accept(accepted)

    def message(image, version):
        return codes(judge(site, inline(site, site.image_list(
            image, identifier=LIST, version=version))))

    assert message(ours, '2.0') == set()
    assert message(ours, '2.1') == set()
    assert message(ours, '10.0') == set()
    other_bytes = dataclasses.replace(other, identifier=ours.identifier)
    site.accept(dataclasses.replace(accepted, images=(other_bytes,)))
    assert message(ours, '2.0') == {Code.LIST_ROLLBACK}
    site.accept(accepted)
    assert message(ours, '1.9') == {Code.LIST_ROLLBACK}
    site.accept(dataclasses.replace(accepted, images=(other,)))
    assert message(ours, '2.0') == {Code.LIST_ROLLBACK}
    assert message(ours, '1.9') == {Code.LIST_ROLLBACK, Code.IMAGE_REVOKED}


def test_inline_with_a_subscribed_list_by_another_endorser(site):
    site.write_policy(endorsers=[
        {'dn': ALICE, 'ca': CA},
        {'dn': BOB, 'ca': CA}])
    site.accept(site.image_list(entry(b'other'), identifier=LIST))
    text = site.endorse(DATA, signer=site.bob, endorser=BOB_ENDORSES,
                        identifier=LIST, version='2')
    assert codes(judge(site, text)) == {Code.ENDORSER_NOT_ACCEPTED}


def test_an_image_identifier_that_another_list_holds(site):
    listed = entry(b'other')
    site.accept(site.image_list(listed, identifier=LIST))
    image = dataclasses.replace(entry(DATA), identifier=listed.identifier)
    verdict = judge(site, inline(site, site.image_list(image)))
    assert codes(verdict) == {Code.UUID_CONFLICT}


def test_a_stale_list_admits_within_grace(site):
    site.accept(site.image_list(entry(DATA)))
    now = pki.utcnow()
    gate = Gate('glance-api')
    site.write_anchors(this_update=now - 100 * HOUR,
                       next_update=now - 71 * HOUR)
    assert judge(site, gate=gate).allowed
    # What comes with an image is not a list that was accepted before.
    assert Code.CRL_EXPIRED in codes(judge(site, site.endorse(DATA)))
    gate.now = lambda: now + 2 * HOUR
    assert codes(judge(site, gate=gate)) == {Code.CRL_EXPIRED}


def test_a_listed_image_that_is_blocked_by_its_digest(site):
    site.accept(site.image_list(entry(DATA)))
    assert judge(site).allowed
    site.write_policy(blocked=[{'sha512': DIGEST, 'reason': 'broken'}])
    assert codes(judge(site)) == {Code.IMAGE_BLOCKED}


def test_of_two_lists_with_one_image_the_first_holds_it(site):
    image = entry(DATA)
    first = site.image_list(dataclasses.replace(entry(b'other'),
                            identifier=image.identifier))
    second = site.image_list(image)
    for image_list in (first, second):
        site.accept(image_list)

    def subscribe(*lists):
        site.write_subscriptions([
            {'uuid': each.identifier, 'endorsers': [{'dn': ALICE, 'ca': CA}]}
            for each in lists])

    subscribe(first, second)
    assert codes(judge(site)) == {Code.UUID_CONFLICT}
    subscribe(second, first)
    assert judge(site).allowed


def test_succession():
    old = Site.image_list(version='1.9')
    assert check_succession(old, dataclasses.replace(
        old, version='1.10')) == ()
    assert check_succession(old, old) == ()
    lower, = check_succession(old, dataclasses.replace(old, version='1.8'))
    assert lower.code is Code.LIST_ROLLBACK
    other, = check_succession(old, Site.image_list(version='2.0'))
    assert other.code is Code.UUID_CONFLICT


def test_grace_is_not_for_what_was_revoked(site):
    site.accept(site.image_list(entry(DATA)))
    site.write_anchors(revoked=[site.alice])
    assert codes(judge(site)) == {Code.SIGNER_REVOKED}


def test_inline_images_of_a_list_wait_for_approval_as_well(site):
    image_list = site.image_list(entry(DATA))
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    verdict = judge(site, inline(site, image_list))
    assert verdict.allowed
    assert not verdict.endorsement.approved
