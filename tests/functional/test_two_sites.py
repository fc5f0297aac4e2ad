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

"""Two sites: what one publishes, runs at the other until it is revoked."""

import os

import pytest

from tests.functional.conftest import start
from tests.testbed.client import ADMIN
from tests.testbed.listserver import ListServer
from tests.testbed import pki
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

_ACCOUNT = 'ops:service:admin'


@pytest.fixture
def home(tmp_path):
    """The site of those who make images."""
    for cloud in start(tmp_path / 'home'):
        cloud.site.write_account(cloud.glance.url, _ACCOUNT)
        yield cloud


@pytest.fixture
def guest(tmp_path, home):
    """A site that trusts the CA of the other, and nobody else."""
    for cloud in start(tmp_path / 'guest', download_ports=(home.web.port,)):
        cloud.site.write_account(cloud.glance.url, _ACCOUNT)
        for path in cloud.site.anchors.iterdir():
            path.unlink()
        pki.write_folder(cloud.site.anchors, [home.site.authority])
        yield cloud


def sync(cloud, *arguments):
    """Run the command, which succeeds; return what it says."""
    done = cloud.command('hepix-vm-sync', *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_published_at_one_site_and_followed_at_another(home, guest,
                                                       tmp_path):
    alice = Publisher(home.site, tmp_path / 'alice')
    alice.write(glance_images='shareable')
    data = os.urandom(4096)
    sha512 = entry(data).sha512
    home.web.contents['/image.raw'] = data
    site = home.site
    endorsement = site.encode(site.sign(site.image_list(
        entry(data, uri=home.web.url('/image.raw'))), site.alice))
    made = home.client.create(hepix_endorsement=endorsement)
    assert home.client.put(made, data).status_code == 204
    # Nothing leaves the site before an operator says so.
    alice.publish()
    assert sha512.encode() not in alice.output.read_bytes()
    sync(home, 'share', '--sha512', sha512, '--reason', 'for our partners')
    with ListServer() as server:
        def publish():
            alice.publish()
            return server.serve('/image.list', alice.output.read_bytes())

        guest.site.write_subscriptions([{
            'url': publish(), 'uuid': LIST, 'share': 'public',
            'ca_bundle': server.bundle(tmp_path), 'prefix': 'home ',
            'internal_addresses': True,
            'endorsers': [{'dn': ALICE, 'ca': CA}]}])
        assert f'{LIST} accepted: version 2, 1 image,' in sync(guest)
        image, = guest.client.call('GET', '/v2/images').json()['images']
        assert (image['status'], image['hepix_state']) == (
            'active', 'endorsed')
        assert image['os_hash_value'] == sha512
        assert image['name'].startswith('home ')
        assert guest.client.download(image['id']).content == data

        sync(home, 'block', '--sha512', sha512, '--reason', 'CVE-2026-0001')
        sync(home, '--sweep')
        assert home.client.status(made) == 'deactivated'
        publish()
        assert f'{LIST} accepted: version 3, 0 images' in sync(guest)
    after = guest.client.as_(ADMIN).image(image['id'])
    assert (after['status'], after['hepix_state'], after['os_hidden']) == (
        'deactivated', 'revoked', True)
    assert 'image-revoked: ' in after['hepix_reason']
    assert guest.client.download(image['id']).status_code == 403
    # Nor does it come back by somebody who kept bytes and endorsement.
    again = guest.client.create(hepix_endorsement=endorsement)
    refused = guest.client.put(again, data)
    assert refused.status_code == 422
    assert '[image-revoked]' in refused.text
