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

"""Images of an endorser in a cloud, where he is a user like others."""

import dataclasses
import datetime
import os

import pytest

from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange import upload
from tests.testbed.client import ADMIN
from tests.testbed.client import wait
from tests.testbed.openstack import OpenStack
from tests.testbed.openstack import OPERATOR
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import entry

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
    image = cloud.client.image(shown['glance_id'])
    assert (image['name'], image['owner'], image['disk_format'],
            image['container_format'], image['os_distro']) == (
        'mine', 'atlas', 'raw', 'bare', 'debian')
    assert image['hepix_image_id'] == shown['endorsed_image_id']
    assert image['hepix_endorsement'] == (
        alice / 'image.raw.endorsement').read_bytes().decode()
    assert image['os_hash_value'] == shown['sha512']


def test_a_cloud_that_judges_nothing(cloud, alice, monkeypatch):
    monkeypatch.setattr(upload.Uploader, 'upload', lambda *unused:
                        upload.Outcome('some-id', 'active', ''))
    done = create(cloud)
    assert (done.status, done.json['state']) == (0, '')
    assert 'no gate judges images there' in done.err


def test_a_refusal_says_all_reasons(cloud, alice):
    cloud.site.write_policy(hypervisors=['xen'])
    cloud.site.bob.write(alice, 'bob')
    before = images(cloud)
    done = create(cloud, who='bob')
    assert done.status == 1, done.err
    shown = done.json
    assert (shown['status'], shown['allowed']) == ('deleted', False)
    assert [each['code'] for each in shown['reasons']] == [
        'endorser-not-accepted', 'hypervisor-unsupported']
    assert shown['reasons'][0]['message'].endswith('this site accepts.')
    assert shown['reasons'][0]['remedy'].startswith('Ask the operator')
    assert 'which was deleted again' in done.err
    assert images(cloud) == before
    # It can be taken elsewhere, or here when the cloud takes it.
    assert (alice / 'image.raw.endorsement').exists()
    done = create(cloud, who='bob')
    assert (done.status, done.out) == (1, '')
    assert ('openstack image create --property hepix_endorsement="$(cat '
            'image.raw.endorsement)"' in done.err)


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


@pytest.mark.parametrize('where', ['create', 'stage', 'admit', 'tasks'])
def test_who_interrupts_it_leaves_nothing(cloud, alice, monkeypatch, where):
    called = getattr(Catalogue, where)

    def interrupted(self, *arguments, **named):
        called(self, *arguments, **named)
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


def run(cloud, command, *arguments, token=MEMBER):
    done = OpenStack.at(cloud.glance.url, cloud.site, token)(
        f'image endorsement {command}', *arguments, '-f', 'json')
    assert 'Traceback' not in done.err
    return done


def renew(cloud, image, *more, who='alice', **account):
    return run(cloud, 'renew', image, '--expires', '+90d', '--certificate',
               f'{who}.pem', '--key', f'{who}.key', *more, **account)


def swept(cloud):
    """Let the sweep look at all images."""
    done = cloud.command('hepix-vm-sync', '--sweep')
    assert done.returncode == 0, done.stderr


@pytest.fixture
def account(cloud):
    """An account for the sweep."""
    cloud.site.write_account(cloud.glance.url, 'ops:s3cret:admin')
    yield
    cloud.site.write_credentials({})


def expired(cloud, data):
    """Bring in an image whose endorsement ends, and take it out of use."""
    image_id = cloud.endorsed(data, expires=pki.utcnow().replace(
        microsecond=0) + datetime.timedelta(seconds=3))

    def look():
        swept(cloud)
        return cloud.client.image(image_id)

    image = wait(look, lambda image: image['status'] == 'deactivated')
    assert image['hepix_state'] == 'expired'
    return image_id


def test_an_expired_image_is_used_again(cloud, alice, account):
    """By its owner, at once, and without a new upload."""
    data = os.urandom(1000)
    image_id = expired(cloud, data)
    before = cloud.client.image(image_id)
    done = renew(cloud, image_id, '--output', 'kept')
    assert done.status == 0, done.err
    shown = done.json
    assert (shown['glance_id'], shown['status'], shown['state'],
            shown['allowed'], shown['reasons']) == (
        image_id, 'active', 'endorsed', True, [])
    image = cloud.client.image(image_id)
    assert (image['hepix_list_id'], image['hepix_image_id']) == (
        before['hepix_list_id'], before['hepix_image_id'])
    assert image['hepix_list_version'] == '2'
    assert image['hepix_expires'] == shown['expires']
    assert 'hepix_withdrawn' not in image
    assert b''.join(cloud.client.download(image_id).iter_content()) == data
    assert (alice / 'kept').read_bytes().decode() == (
        image['hepix_endorsement'])
    swept(cloud)
    assert cloud.client.status(image_id) == 'active'


def test_what_an_operator_took_out_of_use_stays_so(cloud, alice):
    image_id = cloud.endorsed(os.urandom(1000))
    assert cloud.client.as_(ADMIN).deactivate(image_id).status_code == 204
    done = renew(cloud, image_id)
    assert (done.status, done.json['status']) == (0, 'deactivated')
    assert 'an operator of the cloud decided so' in done.err


def test_a_renewal_that_the_cloud_refuses(cloud, alice):
    image_id = cloud.endorsed(os.urandom(1000))
    cloud.site.bob.write(alice, 'bob')
    before = cloud.client.image(image_id)
    done = renew(cloud, image_id, '--output', 'refused', who='bob')
    assert (done.status, done.json['allowed'], done.json['status']) == (
        1, False, 'active')
    # What is shown is what the image bears.
    assert 'Nothing was changed' in done.err
    assert not (alice / 'refused').exists()
    assert (done.json['list_version'], done.json['endorser_dn'],
            done.json['expires']) == (
        '1', ALICE, before['hepix_expires'])
    assert done.json['reasons'][0]['code'] == 'endorser-not-accepted'
    assert cloud.client.image(image_id)['hepix_list_version'] == '1'
    done = renew(cloud, image_id, token='eve:cms:member')
    assert (done.status, done.out) == (1, '')


def test_what_came_by_a_list_is_renewed_there(cloud, alice):
    data = os.urandom(1000)
    cloud.site.accept(cloud.site.image_list(entry(data), entry(b'x')))
    image_id = cloud.client.create(name='of-a-list')
    assert cloud.client.put(image_id, data).status_code == 204
    done = renew(cloud, 'of-a-list')
    assert (done.status, done.out) == (1, '')
    assert 'it came by the list' in done.err
    assert 'openstack image catalog publish' in done.err
    done = renew(cloud, cloud.client.create())
    assert 'has no endorsement of its own. Have it endorsed' in done.err


def verify(cloud, *arguments, token=OPERATOR):
    return run(cloud, 'verify', *arguments, token=token)


def test_an_image_is_judged(cloud, alice):
    data = os.urandom(1000)
    image_id = cloud.endorsed(data)
    done = verify(cloud, image_id)
    assert (done.status, done.err) == (0, '')
    image = cloud.client.image(image_id)
    assert {name: done.json[name] for name in (
        'allowed', 'state', 'glance_id', 'status', 'sha512', 'size',
        'disk_format', 'list_id', 'expires')} == {
        'allowed': True, 'state': 'endorsed', 'glance_id': image_id,
        'status': 'active', 'sha512': image['os_hash_value'], 'size': 1000,
        'disk_format': 'raw', 'list_id': image['hepix_list_id'],
        'expires': image['hepix_expires']}
    done = verify(cloud, image_id, '--at', '+31d')
    assert (done.status, done.json['state']) == (1, 'expired')
    # Another endorsement would not do.
    (alice / 'other').write_text(cloud.site.endorse(b'other'))
    done = verify(cloud, image_id, '--endorsement', 'other')
    assert [each['code'] for each in done.json['reasons']] == [
        'uuid-conflict', 'size-mismatch', 'checksum-mismatch']
    cloud.block(data)
    done = verify(cloud, image_id)
    assert (done.status, done.json['state']) == (1, 'blocked')


def test_an_older_endorsement_would_not_do(cloud, alice):
    data = os.urandom(1000)
    made = cloud.site.image_list(entry(data), version='2')
    image_id = cloud.client.create(hepix_endorsement=cloud.site.encode(
        cloud.site.sign(made, cloud.site.alice)))
    assert cloud.client.put(image_id, data).status_code == 204
    for version, codes in (('1', ['list-rollback']), ('3', [])):
        (alice / 'other').write_bytes(cloud.site.sign(dataclasses.replace(
            made, version=version), cloud.site.alice))
        done = verify(cloud, image_id, '--endorsement', 'other')
        assert [each['code'] for each in done.json['reasons']] == codes
        assert done.status == bool(codes)


def test_what_is_no_image_with_data(cloud, alice):
    done = verify(cloud, 'nothing')
    assert done.status == 1
    assert ("There is no file 'nothing'. There is no image nothing that you "
            "may see. Give " in done.err)
    done = verify(cloud, cloud.client.create())
    assert 'is queued; it has no data' in done.err


def test_only_administrators_judge_images(cloud, alice):
    """Others see no ledger, and would take a blocked image for endorsed."""
    image_id = cloud.endorsed(os.urandom(1000))
    done = verify(cloud, image_id, token=MEMBER)
    assert (done.status, done.out) == (1, '')
    assert f'openstack image endorsement show {image_id}' in done.err
