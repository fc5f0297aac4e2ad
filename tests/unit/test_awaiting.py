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
"""Images that stay in use until their next version is there."""

import dataclasses
import datetime

import pytest

from hepix_vm.gate import Gate
from hepix_vm.held import Held
from hepix_vm.held import judge
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

HOUR = datetime.timedelta(hours=1)
OLD = entry(b'old')
NEW = dataclasses.replace(entry(b'new'), identifier=OLD.identifier)
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'


def waiting(**extra):
    """Return an image of ours, in use, whose bytes no list has any more."""
    known = {
        'hepix_state': 'endorsed', 'hepix_subscription': LIST,
        'hepix_shared': 'members', 'hepix_list_id': LIST,
        'hepix_image_id': OLD.identifier, 'hepix_sha512': OLD.sha512,
        'hepix_expires': format_time(pki.utcnow() + HOUR), **extra}
    return Held(
        'id', 'active', 'atlas', pki.utcnow(), disk_format='raw',
        container_format='bare', size=OLD.size, sha512=OLD.sha512,
        extra={name: value for name, value in known.items() if value})


@pytest.fixture
def accepted(site):
    """A site with the next version of the list."""
    site.accept(site.image_list(NEW, identifier=LIST, version='2'))
    return site


def test_it_stays_until_its_next_version_is_there(accepted):
    assert judge(Gate('sync'), waiting()).nothing


@pytest.mark.parametrize('extra', [
    {'hepix_subscription': ''}, {'hepix_shared': ''},
    {'hepix_parked': '2026-11-01T00:00:00Z'}, {'hepix_state': 'refused'},
    {'hepix_image_id': NEW.sha512[:36]}, {'hepix_list_id': ''},
    {'hepix_expires': ''}, {'hepix_expires': 'whenever'},
    # No longer than it was endorsed.
    {'hepix_expires': format_time(pki.utcnow() - HOUR)}],
    ids=lambda extra: ' '.join(extra))
def test_what_does_not_wait(accepted, extra):
    assert judge(Gate('sync'), waiting(**extra)).status == 'deactivated'


COPY = {'hepix_subscription': '', 'hepix_shared': ''}


@pytest.fixture
def followed(accepted):
    """The same list, which the site fetches."""
    accepted.write_subscriptions([{
        'uuid': LIST, 'endorsers': [{'dn': ALICE, 'ca': CA}],
        'url': 'https://lists.example.org/image.list',
        'projects': {'vo.example.org': 'atlas'}}])
    return accepted


def test_what_users_made_of_the_same_bytes_waits_too(followed):
    assert judge(Gate('sync'), waiting()).nothing
    assert judge(Gate('sync'), waiting(**COPY)).nothing


@pytest.mark.parametrize('extra', [
    {'hepix_shared': ''}, {'hepix_parked': '2026-11-01T00:00:00Z'},
    {**COPY, 'hepix_state': 'refused'}, {**COPY, 'hepix_list_id': ''},
    {**COPY, 'hepix_image_id': NEW.sha512[:36]},
    {**COPY, 'hepix_expires': format_time(pki.utcnow() - HOUR)}],
    ids=lambda extra: ' '.join(extra))
def test_what_does_not_wait_for_a_list_that_is_fetched(followed, extra):
    assert judge(Gate('sync'), waiting(**extra)).status == 'deactivated'


def test_the_ledger_ends_the_wait_of_a_copy(followed):
    record = Record(Fact.SUPERSEDED, Blockable.SHA512, OLD.sha512, 'why',
                    'sync', pki.utcnow(), image_list=LIST, version='2')
    gate = Gate('sync', search=lambda names: [
        record] if record.name in names else [])
    assert judge(gate, waiting(**COPY)).status == 'deactivated'


def test_no_longer_than_its_list(site):
    now = pki.utcnow().replace(microsecond=0)
    site.accept(site.image_list(NEW, identifier=LIST, version='2',
                                expires=now - HOUR))
    assert judge(Gate('sync'), waiting()).status == 'deactivated'


@pytest.mark.parametrize('fact', [
    Fact.SUPERSEDED, Fact.REVOKED, Fact.BLOCKED])
def test_what_the_ledger_says_ends_it(accepted, fact):
    record = Record(fact, Blockable.SHA512, OLD.sha512, 'why', 'sync',
                    pki.utcnow(), image_list=LIST, version='2')
    gate = Gate('sync', search=lambda names: [
        record] if record.name in names else [])
    assert judge(gate, waiting()).status == 'deactivated'
