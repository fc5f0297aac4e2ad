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

"""What an endorser brings into a cloud, as a user like others."""

import os

import pytest

from hepix_vm.exchange import upload
from hepix_vm.exchange.catalogue import Catalogue
from tests.testbed.client import ADMIN
from tests.testbed.openstack import OpenStack

MEMBER = 'alice:atlas:member,reader'


@pytest.fixture
def alice(cloud, tmp_path, monkeypatch):
    """Alice, whom the cloud accepts, with an image and her certificate."""
    monkeypatch.setenv('HOME', str(tmp_path))
    cloud.site.alice.write(tmp_path, 'alice')
    (tmp_path / 'image.raw').write_bytes(os.urandom(3000))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create(cloud, *more, who='alice', token=MEMBER):
    return OpenStack.at(cloud.glance.url, token=token)(
        'image endorsement create', 'image.raw', '--title', 'Debian 12',
        '--distro', 'Debian', '--distro-version', '12', '--architecture',
        'x86_64', '--hypervisor', 'kvm', '--image-version', '1.10',
        '--disk-format', 'raw', '--expires', '+90d', '--certificate',
        f'{who}.pem', '--key', f'{who}.key', '--upload', 'mine',
        '-f', 'json', *more)


def images(cloud):
    """All images there are, by the names of their owners."""
    found = cloud.client.as_(ADMIN).call(
        'GET', '/v2/images?visibility=all&limit=1000').json()['images']
    return {image['id'] for image in found}


def test_all_in_one_go(cloud, alice):
    done = create(cloud, '--kind', 'base')
    assert done.status == 0, done.err
    shown = done.json
    assert (shown['status'], shown['state'], shown['allowed'],
            shown['reasons']) == ('active', 'endorsed', True, [])
    image = cloud.client.image(shown['image'])
    assert (image['name'], image['owner'], image['disk_format'],
            image['container_format'], image['os_distro']) == (
        'mine', 'atlas', 'raw', 'bare', 'debian')
    assert image['hepix_image_id'] == shown['image_id']
    assert image['hepix_endorsement'] == (
        alice / 'image.raw.endorsement').read_bytes().decode()
    assert image['os_hash_value'] == shown['sha512']


def test_a_refusal_says_all_reasons(cloud, alice):
    cloud.site.write_policy(hypervisors=['xen'])
    cloud.site.bob.write(alice, 'bob')
    before = images(cloud)
    done = create(cloud, who='bob')
    assert done.status == 1, done.err
    shown = done.json
    assert (shown['status'], shown['allowed']) == ('refused', False)
    assert [each['code'] for each in shown['reasons']] == [
        'endorser-not-accepted', 'hypervisor-unsupported']
    assert shown['reasons'][0]['message'].endswith('this site accepts.')
    assert shown['reasons'][0]['remedy'].startswith('Ask the operator')
    assert 'which was deleted again' in done.err
    assert images(cloud) == before
    # It can be taken elsewhere.
    assert (alice / 'image.raw.endorsement').exists()


def test_what_the_import_refuses(cloud, alice, monkeypatch):
    """What staging let through, and what came up since."""
    staged = Catalogue.stage

    def stage(self, image_id, data):
        staged(self, image_id, data)
        cloud.site.write_policy(blocked=[
            {'glance_image': image_id, 'reason': 'CVE-2026-0001'}])

    monkeypatch.setattr(Catalogue, 'stage', stage)
    before = images(cloud)
    done = create(cloud)
    assert done.status == 1, done.err
    reason, = done.json['reasons']
    assert reason['code'] == 'image-blocked'
    assert reason['message'].endswith('CVE-2026-0001.')
    assert images(cloud) == before


def test_another_file_is_not_uploaded(cloud, alice, monkeypatch):
    opened = upload._pieces

    def pieces(file):
        (alice / 'image.raw').write_bytes(os.urandom(3000))
        return opened(file)

    monkeypatch.setattr(upload, '_pieces', pieces)
    before = images(cloud)
    done = create(cloud)
    assert done.status == 1
    assert 'It changed since it was read' in done.err
    assert images(cloud) == before


@pytest.mark.parametrize('where', ['stage', 'admit', 'tasks'])
def test_who_interrupts_it_leaves_nothing(cloud, alice, monkeypatch, where):
    called = getattr(Catalogue, where)

    def interrupted(self, *arguments):
        called(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalogue, where, interrupted)
    before = images(cloud)
    done = create(cloud)
    assert done.status == 130
    assert images(cloud) == before


def test_who_may_not_upload(cloud, alice):
    done = create(cloud, token='bad:atlas:reader')
    assert done.status == 1
    assert 'Glance answers 403' in done.err.splitlines()[-1]


def test_nobody_to_log_in_as(cloud, alice):
    done = OpenStack(None)(
        'image endorsement create', 'image.raw', '--title', 'x', '--distro',
        'x', '--distro-version', '1', '--architecture', 'x86_64',
        '--hypervisor', 'kvm', '--image-version', '1', '--disk-format',
        'raw', '--expires', '+1d', '--upload', 'mine')
    assert done.status == 1
    # Before anything is read or signed.
    assert not (alice / 'image.raw.endorsement').exists()
