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

"""Import plugins of Glance beside ours, with the real qemu-img."""

import gzip
import hashlib
import os
import pathlib

import pytest

from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import stage_and_import
from tests.functional.test_routes import web_download
from tests.testbed.client import wait
from tests.testbed.config import UNCHECKED
from tests.testbed import images
from tests.testbed.site import entry

ROUTES = [stage_and_import, web_download]
CONVERSION = {'image_conversion': {'output_format': 'raw'}}
INJECTED = {'inject_metadata_properties': {
    'ignore_user_roles': 'admin', 'inject': 'injected:yes'}}


@pytest.fixture(scope='module')
def all_plugins(tmp_path_factory):
    """A cloud with every plugin of Glance after ours."""
    yield from start(
        tmp_path_factory.mktemp('plugins'), import_plugins=(
            'hepix_trust', 'no_op', 'inject_image_metadata',
            'image_decompression', 'image_conversion'),
        extra=CONVERSION | INJECTED)


@pytest.fixture(autouse=True)
def clean(all_plugins):
    yield
    all_plugins.site.write_policy()


@pytest.fixture(scope='module')
def raw(tmp_path_factory) -> bytes:
    path = images.patterned_file(
        tmp_path_factory.mktemp('raw') / 'image', 1024 * 1024)
    return path.read_bytes()


@pytest.fixture(scope='module')
def qcow2(raw: bytes, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp('qcow2')
    (folder / 'raw').write_bytes(raw)
    return images.qcow2(folder / 'raw', folder / 'qcow2').read_bytes()


def create(cloud: Cloud, data: bytes, kind: str, **properties: str) -> str:
    return cloud.client.create(
        hepix_endorsement=cloud.site.endorse(data, format=kind),
        **properties)


@pytest.mark.parametrize('route', ROUTES)
def test_what_would_be_converted_is_refused(all_plugins, route, qcow2):
    image_id = create(all_plugins, qcow2, 'QCOW2', disk_format='qcow2')
    text = route(all_plugins, image_id, qcow2)
    assert '[checksum-mismatch]' in text
    assert 'image_conversion' in text
    assert 'image_decompression' not in text
    assert_untouched(all_plugins, image_id)


@pytest.mark.parametrize('route', ROUTES)
def test_what_would_be_unpacked_is_refused(all_plugins, route, raw):
    packed = gzip.compress(raw)
    image_id = create(all_plugins, packed, 'RAW')
    text = route(all_plugins, image_id, packed)
    assert '[checksum-mismatch]' in text
    assert 'image_decompression' in text
    assert 'image_conversion' not in text
    assert_untouched(all_plugins, image_id)


@pytest.mark.parametrize('allow', [{}, {'altered_images': 'allow'}])
@pytest.mark.parametrize('route', ROUTES)
def test_what_stays_as_it_is_passes(all_plugins, route, raw, allow):
    all_plugins.site.write_policy(**allow)
    image_id = create(all_plugins, raw, 'RAW')
    assert route(all_plugins, image_id, raw) == ''
    image = all_plugins.client.image(image_id)
    assert image['hepix_state'] == 'endorsed'
    assert image['hepix_altered'] == 'false'
    assert image['hepix_sha512'] == image['os_hash_value'] == (
        entry(raw).sha512)
    assert image['injected'] == 'yes'
    assert all_plugins.client.download(image_id).content == raw


@pytest.mark.parametrize('route', ROUTES)
def test_where_the_site_allows_it_the_image_is_converted(
        all_plugins, route, qcow2, raw):
    all_plugins.site.write_policy(altered_images='allow')
    image_id = create(all_plugins, qcow2, 'QCOW2', disk_format='qcow2')
    assert route(all_plugins, image_id, qcow2) == ''
    assert_altered(all_plugins, image_id, qcow2, raw)


@pytest.mark.parametrize('route', ROUTES)
def test_where_the_site_allows_it_the_image_is_unpacked(
        all_plugins, route, raw):
    all_plugins.site.write_policy(altered_images='allow')
    packed = gzip.compress(raw)
    image_id = create(all_plugins, packed, 'raw.gz')
    assert route(all_plugins, image_id, packed) == ''
    assert_altered(all_plugins, image_id, packed, raw)


def assert_altered(cloud, image_id, endorsed, stored):
    image = cloud.client.image(image_id)
    assert image['status'] == 'active'
    assert image['hepix_state'] == 'endorsed'
    assert image['hepix_altered'] == 'true'
    assert image['hepix_sha512'] == entry(endorsed).sha512
    assert image['disk_format'] == 'raw'
    assert image['os_hash_value'] == hashlib.sha512(stored).hexdigest()
    assert cloud.client.download(image_id).content == stored


@pytest.mark.parametrize('route', ROUTES)
def test_other_bytes_are_refused_whatever_follows(
        all_plugins, route, qcow2):
    all_plugins.site.write_policy(altered_images='allow')
    other = qcow2[:-1] + bytes([qcow2[-1] ^ 1])
    image_id = create(all_plugins, qcow2, 'QCOW2', disk_format='qcow2')
    assert '[checksum-mismatch]' in route(all_plugins, image_id, other)
    assert_untouched(all_plugins, image_id)


def test_a_plugin_that_alters_before_ours(make, qcow2, raw):
    cloud = make(import_plugins=('image_conversion', 'hepix_trust'),
                 filters=UNCHECKED, extra=CONVERSION)
    cloud.web.contents['/qcow2'] = qcow2
    for policy in ({}, {'altered_images': 'allow'}):
        cloud.site.write_policy(**policy)
        for method in ({}, {'uri': cloud.web.url('/qcow2')}):
            image_id = create(cloud, qcow2, 'QCOW2', disk_format='qcow2')
            if not method:
                assert cloud.client.stage(image_id, qcow2).status_code == 204
            assert cloud.client.import_(
                image_id, **method).status_code == 202
            # Glance's plugin may fail to take itself back, keeps the lock
            # and says nothing then: the bytes are what matters here.
            wait(lambda image=image_id: cloud.client.tasks(image),
                 lambda tasks: tasks[0]['status'] == 'failure')
            last = cloud.records()[-1]
            assert last['image'] == image_id
            assert {'checksum-mismatch', 'size-mismatch'} & {
                reason['code'] for reason in last['reasons']}
            assert cloud.client.status(image_id) != 'active'
            assert not stored(cloud, image_id)


def stored(cloud: Cloud, image_id: str) -> list[pathlib.Path]:
    return [path for path in cloud.glance.stored_files()
            if image_id in path.name]


def test_an_unknown_plugin_after_ours_is_believed_to_alter(make):
    data = os.urandom(10_000)
    cloud = make(import_plugins=('hepix_trust', 'hepix_trusty'))
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(data))
    text = stage_and_import(cloud, image_id, data)
    assert '[checksum-mismatch] hepix_trusty would alter' in text
    assert_untouched(cloud, image_id)
