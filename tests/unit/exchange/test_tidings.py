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

"""What is told of an image whose state changes."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange import tidings
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.site import SiteFiles
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.verdict import Verdict
from tests.testbed.site import file_entry
from tests.unit.exchange.events import AT
from tests.unit.exchange.events import GLANCE_ID
from tests.unit.exchange.events import reasons
from tests.unit.exchange.events import settings

ENTRY = file_entry('ab' * 64, 1000)


@pytest.fixture
def image_list(site):
    found = site.image_list(ENTRY)
    site.accept(found)
    return found


def held(of, state='endorsed', **extra):
    return Held(GLANCE_ID, 'active', 'atlas', AT, size=1000, name='Debian',
                extra={
        name: value for name, value in {
            'hepix_state': state, 'hepix_list_id': of.identifier,
            'hepix_image_id': ENTRY.identifier,
            'hepix_image_version': '1.0', 'hepix_sha512': ENTRY.sha512,
            'hepix_uri': ENTRY.uri, 'hepix_hypervisor': 'kvm',
            'architecture': 'x86_64', 'os_distro': 'debian',
            'os_version': '12', **extra}.items() if value})


def told(site, image, state, *codes, endorsement=None):
    return tidings.event_of(
        image, Outcome(Verdict(reasons(*codes), endorsement), '',
                       {'hepix_state': state} if state else {}),
        SiteFiles(settings(site)).current(), AT)


def test_an_image_that_its_list_dropped(site, image_list):
    """Nothing endorses it any more, and its endorser is told all the same."""
    event = told(site, held(image_list), 'revoked', Code.NOT_ENDORSED,
                 Code.IMAGE_REVOKED)
    assert event.kind is Kind.IMAGE_REVOKED
    assert event.image_list.identifier == image_list.identifier
    assert event.image_list.endorser.email == 'alice@example.org'
    assert event.entry == dataclasses.replace(
        ENTRY, title='', description='', comments='', format='', osname='',
        os='debian')
    # Its title is gone with its entry.
    assert (event.glance_image, event.name) == (GLANCE_ID, 'Debian')
    assert event.reasons == reasons(Code.NOT_ENDORSED, Code.IMAGE_REVOKED)


def test_an_image_that_is_still_endorsed(site, image_list):
    endorsement = Endorsement(
        ENTRY, image_list, image_list.endorser, site.alice.certificate,
        'lists')
    event = told(site, held(image_list), 'blocked', Code.IMAGE_BLOCKED,
                 endorsement=endorsement)
    assert (event.kind, event.image_list, event.entry) == (
        Kind.IMAGE_BLOCKED, image_list, ENTRY)


def test_an_image_of_a_list_that_is_not_followed_any_more(site, image_list):
    site.write_subscriptions([])
    event = told(site, held(image_list), 'refused', Code.NOT_ENDORSED)
    assert (event.kind, event.image_list) == (Kind.IMAGE_REFUSED, None)
    assert event.list_uuid == image_list.identifier
    assert event.entry.identifier == ENTRY.identifier


def test_an_image_of_no_list(site, image_list):
    event = told(site, Held(GLANCE_ID, 'active', 'atlas', AT), 'refused',
                 Code.NOT_ENDORSED)
    assert (event.image_list, event.entry, event.list_uuid) == (
        None, None, '')


@pytest.mark.parametrize(('before', 'after', 'kind'), [
    ('endorsed', 'expired', Kind.IMAGE_EXPIRED),
    ('endorsed', 'superseded', Kind.IMAGE_SUPERSEDED),
    ('expired', 'endorsed', Kind.IMAGE_ENDORSED),
    ('', 'revoked', Kind.IMAGE_REVOKED),
    ('superseded', 'revoked', None), ('expired', 'revoked', None),
    ('superseded', 'refused', None), ('endorsed', 'refused',
                                      Kind.IMAGE_REFUSED),
    ('superseded', 'blocked', Kind.IMAGE_BLOCKED),
    # A block may be taken back.
    ('blocked', 'revoked', Kind.IMAGE_REVOKED), ('blocked', 'refused', None),
    ('endorsed', 'adopted', None), ('endorsed', 'derived', None),
    ('revoked', 'revoked', None), ('revoked', '', None),
    ('', 'endorsed', None), ('', '', None)])
def test_what_is_news(site, image_list, before, after, kind):
    event = told(site, held(image_list, before), after)
    assert (event.kind if event else None) == kind


@pytest.mark.parametrize(('before', 'after'), [
    ('endorsed', ''), ('endorsed', 'endorsed'), ('revoked', 'revoked'),
    ('refused', 'adopted'), ('', 'derived')])
def test_what_is_no_news(site, image_list, before, after):
    assert told(site, held(image_list, before), after) is None


@pytest.mark.parametrize(('state', 'kind'), [
    ('revoked', Kind.IMAGE_REVOKED), ('blocked', Kind.IMAGE_BLOCKED),
    ('endorsed', None)])
def test_what_nobody_was_told_yet(site, image_list, state, kind):
    image = held(image_list, state)
    untold = dataclasses.replace(
        image, extra={**image.extra, 'hepix_untold': 'true'})
    event = told(site, untold, state)
    assert (event.kind if event else None) == kind


def test_what_was_refused_is_told_with_its_own_remedy(image_list):
    event, = tidings.found([Refusal(
        image_list, ENTRY, Code.FORMAT_MISMATCH, 'It is x.', 'Ask Bob.')],
        (), AT)
    reason, = event.reasons
    assert (event.kind, reason.code, reason.remedy) == (
        Kind.IMAGE_REFUSED, Code.FORMAT_MISMATCH, 'Ask Bob.')
