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

"""Images of whose bytes Glance knows other digests than those endorsed."""

import os

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.functional.test_conversion import CONVERSION
from tests.functional.test_routes import stage_and_import
from tests.testbed.client import Client
from tests.testbed.client import replace
from tests.testbed.glance import Glance
from tests.testbed import images
from tests.testbed.site import entry
from tests.testbed.site import POLICY
from tests.testbed.site import PROPERTY_PROTECTIONS
from tests.testbed.site import Site


@pytest.fixture(scope='module')
def converting(tmp_path_factory):
    """A cloud that converts what is imported."""
    for cloud in start(
            tmp_path_factory.mktemp('converting'),
            import_plugins=('hepix_trust', 'image_conversion'),
            extra=CONVERSION):
        cloud.site.write_policy(altered_images='allow')
        yield cloud


@pytest.fixture(scope='module')
def other_hash(tmp_path_factory):
    """A cloud whose Glance does not compute SHA-512."""
    yield from start(tmp_path_factory.mktemp('other'), extra={
        'DEFAULT': {'hashing_algorithm': 'sha256'}})


def touch(cloud, image_id):
    """Change an image, so that it is looked at again."""
    assert cloud.client.patch(image_id, *replace(
        name=os.urandom(4).hex())).status_code == 200
    return cloud.client.image(image_id)


def revoke(cloud, data):
    cloud.record(Fact.REVOKED, Blockable.SHA512, entry(data).sha512)


def test_what_was_converted_is_judged_as_it_came(converting, tmp_path):
    (tmp_path / 'raw').write_bytes(os.urandom(65536))
    data = images.qcow2(tmp_path / 'raw', tmp_path / 'qcow2').read_bytes()
    client = converting.client
    image_id = client.create(
        hepix_endorsement=converting.site.endorse(data, format='qcow2'),
        disk_format='qcow2')
    stage_and_import(converting, image_id, data)
    assert client.wait_import(image_id)['status'] == 'success'
    image = touch(converting, image_id)
    assert (image['status'], image['hepix_state'], image['hepix_altered'],
            image['hepix_sha512']) == (
        'active', 'endorsed', 'true', entry(data).sha512)
    assert image['os_hash_value'] != image['hepix_sha512']
    revoke(converting, data)
    image = touch(converting, image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'revoked')


def test_another_hash_than_sha512(other_hash):
    data = os.urandom(1000)
    image_id = other_hash.endorsed(data)
    image = touch(other_hash, image_id)
    assert (image['status'], image['hepix_state'], image['os_hash_algo']) == (
        'active', 'endorsed', 'sha256')
    revoke(other_hash, data)
    assert touch(other_hash, image_id)['status'] == 'deactivated'


def planted(client, site, data, altered):
    """Bring in bytes that claim to have come as others."""
    good = os.urandom(1000)
    image_id = client.create(
        hepix_endorsement=site.endorse(good), hepix_altered=altered,
        hepix_sha512=entry(good).sha512, hepix_state='endorsed')
    assert client.put(image_id, data).status_code == 204
    return image_id


@pytest.mark.parametrize('algorithm', ['sha512', 'sha256'])
def test_properties_from_before_they_were_protected(tmp_path, algorithm):
    site = Site(tmp_path / 'site')
    site.write_policy(altered_images='allow')
    options = {'extra': {'DEFAULT': {'hashing_algorithm': algorithm}}}
    with Glance(tmp_path / 'glance', filters=(), import_plugins=(),
                **options) as bare:
        claims = [planted(Client(bare.url), site, os.urandom(1000), altered)
                  for altered in ('true', 'false')]
    with Glance(tmp_path / 'glance', hepix_config=site.config, policy=POLICY,
                property_protections=PROPERTY_PROTECTIONS,
                **options) as glance:
        cloud = Cloud(site, glance, None)
        for image_id in claims:
            image = touch(cloud, image_id)
            assert (image['status'], image['hepix_state']) == (
                'deactivated', 'refused')
