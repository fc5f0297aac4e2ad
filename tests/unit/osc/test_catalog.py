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

"""``openstack image catalog list`` and ``show``, of the files of a site."""

import dataclasses
import datetime

import pytest

from hepix_vm.exchange.store import ListStore
from hepix_vm.trust.model import Endorser
from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site

OTHER = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
PINNED = [{'dn': ALICE, 'ca': CA}]


@pytest.fixture
def openstack(site):
    return OpenStack(site)


def stored(site, image_list, signer=None):
    (site.state / 'lists' / f'{image_list.identifier}.smime').write_bytes(
        site.sign(image_list, signer or site.alice))


def accepted(site, image_list):
    stored(site, image_list)
    site.write_subscriptions([
        {'uuid': image_list.identifier, 'endorsers': PINNED,
         'url': 'https://lists.example.org/list?secret=1',
         'share': 'public'}])


def test_a_list_that_is_current(site, openstack):
    image_list = Site.image_list(entry(b'one'), title='Of Atlas')
    accepted(site, image_list)
    row, = openstack('image catalog list --long -f json').json
    expires = f'{image_list.expires:%Y-%m-%dT%H:%M:%SZ}'
    assert row == {
        'ID': image_list.identifier, 'Title': 'Of Atlas',
        'Version': '1', 'Images': 1, 'Expires': expires,
        'State': 'current', 'Codes': [],
        'Created': f'{image_list.created:%Y-%m-%dT%H:%M:%SZ}',
        'Fetched': '', 'Endorser': ALICE, 'CA': CA,
        'URL': 'https://lists.example.org/list'}
    ran = openstack('image catalog list')
    assert ran.status == 0
    assert 'current' in ran.out and 'URL' not in ran.out


@pytest.mark.parametrize(('change', 'state', 'codes'), [
    ('nothing', 'not-fetched', []),
    ('crl', 'stale', ['crl-expired']),
    ('expired', 'expired', ['list-expired']),
    ('signer', 'not-pinned', ['endorser-not-accepted']),
    ('broken', 'refused', ['unsigned']),
    ('stated', 'refused', ['endorser-mismatch']),
    ('dropped', 'not-subscribed', []),
])
def test_what_a_list_is_worth(site, openstack, change, state, codes):
    image_list = Site.image_list(entry(b'one'))
    now = pki.utcnow()
    day = datetime.timedelta(days=1)
    if change == 'expired':
        image_list = dataclasses.replace(
            image_list, created=now - 3 * day, expires=now - day)
    if change == 'stated':
        image_list = dataclasses.replace(
            image_list, endorser=Endorser(BOB, CA))
    accepted(site, image_list)
    path = site.state / 'lists' / f'{image_list.identifier}.smime'
    if change == 'nothing':
        path.unlink()
    if change == 'crl':
        site.write_anchors(this_update=now - 3 * day, next_update=now - day)
    if change == 'signer':
        stored(site, image_list, site.bob)
    if change == 'broken':
        path.write_bytes(b'nonsense')
    if change == 'dropped':
        site.write_subscriptions([])
    row, = openstack('image catalog list -f json').json
    assert (row['ID'], row['State'], row['Codes']) == (
        image_list.identifier, state, codes)


def test_a_list_with_its_images(site, openstack):
    image = entry(b'one', title='Debian')
    image_list = Site.image_list(image, title='Of Atlas')
    accepted(site, image_list)
    for named in (image_list.identifier.upper(), 'Of Atlas'):
        shown = openstack('image catalog show -f json', named).json
        assert shown['id'] == image_list.identifier
        assert shown['vo'] == 'vo.example.org'
        assert shown['endorser_email'] == 'alice@example.org'
        assert shown['image_count'] == 1
        assert shown['images'] == [{
            'id': image.identifier, 'title': 'Debian', 'version': '1.0',
            'size': 3, 'sha512': image.sha512, 'architecture': 'x86_64',
            'os': 'Linux', 'distro': 'Debian 12', 'hypervisor': 'kvm',
            'format': 'RAW', 'uri': image.uri, 'expires': shown['expires']}]
    table = openstack('image catalog show', 'Of Atlas').out
    assert image.sha512[:16] in table and image.sha512 not in table


def test_former_versions(site, openstack):
    first = Site.image_list(entry(b'one'))
    second = dataclasses.replace(first, version='2')
    accepted(site, first)
    at = datetime.datetime(2026, 11, 1, 12, 30, tzinfo=datetime.UTC)
    store = ListStore(str(site.state))
    store.put(first.identifier, site.sign(second, site.alice),
              store.read(first.identifier), at)
    store.put(first.identifier, site.sign(second, site.alice), b'nonsense',
              at + datetime.timedelta(seconds=1))
    shown = openstack('image catalog show -f json', first.identifier).json
    assert shown['version'] == '2'
    assert shown['former_versions'] == [
        {'version': '1', 'image_count': 1,
         'replaced': '2026-11-01T12:30:00Z'},
        {'version': '', 'image_count': 0,
         'replaced': '2026-11-01T12:30:01Z'}]


def test_why_a_list_is_refused(site, openstack):
    image_list = Site.image_list(entry(b'one'))
    accepted(site, image_list)
    stored(site, image_list, site.bob)
    shown = openstack('image catalog show -f json',
                      image_list.identifier).json
    reason, = shown['reasons']
    assert reason['code'] == 'endorser-not-accepted'
    assert BOB in reason['message']
    assert 'subscriptions.yaml' in reason['remedy']
    assert '[endorser-not-accepted]' in openstack(
        'image catalog show', image_list.identifier).out


def test_a_list_that_is_not_known(site, openstack):
    same = [Site.image_list(title='Same') for _ in range(2)]
    for each in same:
        stored(site, each)
    ran = openstack('image catalog show', OTHER)
    assert (ran.status, ran.out) == (1, '')
    assert ran.err == (
        f'No list {OTHER} is known here. Give the UUID or the title of one: '
        f'openstack image catalog list.\n')
    ran = openstack('image catalog show Same')
    assert ran.status == 1
    assert '2 lists are called Same' in ran.err and ran.err.count('\n') == 1


def test_a_machine_that_is_no_controller(site, openstack):
    for name in ('policy.yaml', 'subscriptions.yaml'):
        (site.folder / name).unlink()
    ran = openstack('image catalog list')
    assert ran.status == 1
    assert ran.err.startswith(
        f'{site.folder}/policy.yaml: It is not here. What the site decided '
        f'lies on a controller. Give the command on a controller')
    assert ran.err.count('\n') == 1


def test_a_stored_list_that_cannot_be_read(site, openstack):
    image_list = Site.image_list()
    path = site.state / 'lists' / f'{image_list.identifier}.smime'
    path.mkdir()
    ran = openstack('image catalog list')
    assert ran.status == 1
    assert f'{path}: It cannot be read: Is a directory.' in ran.err
