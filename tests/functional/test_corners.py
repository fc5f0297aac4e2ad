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

"""Where two parts meet that are right each for itself."""

import os
import uuid

import pytest

from hepix_vm.cmd import sync
from hepix_vm.exchange.settle import Settler
from hepix_vm.trust.ledger import name_of
from tests.functional.conftest import start
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.site import POLICY

PRIVATE = {'visibility': 'private'}


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """A cloud whose Glance asks everybody for a role before an upload."""
    folder = tmp_path_factory.mktemp('corners')
    policy = folder / 'policy.yaml'
    policy.write_text(POLICY.read_text() + '"add_image": "role:member"\n')
    for cloud in start(folder, policy=policy, extra={
            'DEFAULT': {'hashing_algorithm': 'sha256'}}):
        cloud.site.write_account(cloud.glance.url, 'ops:service:admin,member')
        yield cloud


@pytest.fixture(autouse=True)
def policy(cloud):
    cloud.site.write_policy()


def touch(cloud, image_id):
    """Change an image, so that it is looked at again."""
    assert cloud.client.patch(image_id, *replace(
        name=os.urandom(4).hex())).status_code == 200
    return cloud.client.image(image_id)


def sync_command(cloud, *arguments):
    done = cloud.command('hepix-vm-sync', *arguments)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def test_old_records_get_bytes_while_the_gate_is_off(cloud):
    cloud.site.write_policy(
        enforcement=[{**PRIVATE, 'mode': 'disabled'}],
        legacy='allow-until 2100-01-01')
    client = cloud.client
    image_id = client.create(**PRIVATE)
    cloud.glance.query('UPDATE images SET created_at = ? WHERE id = ?',
                       ('2020-01-01 00:00:00', image_id))
    assert client.put(image_id, os.urandom(100)).status_code == 204
    assert 'hepix_state' not in client.image(image_id)
    assert client.patch(
        image_id, *replace(visibility='community')).status_code == 403


def test_nobody_makes_an_image_of_others(cloud):
    """Glance itself would make it, and refuse to show it."""
    response = cloud.client.try_create(
        owner='hepix-vm', name=name_of(None, ''), os_hidden=True, **PRIVATE)
    assert response.status_code == 403
    assert cloud.client.status(cloud.endorsed(os.urandom(10))) == 'active'
    mine = cloud.client.try_create(owner=cloud.client.identity.project)
    assert mine.status_code == 201
    assert cloud.client.as_(ADMIN).try_create(
        owner='cms').status_code == 201


def test_what_comes_while_a_sweep_looks(cloud, monkeypatch, capsys):
    """Its record is newer than what the sweep read of the ledger."""
    came = []
    begin = Settler.begin

    def upload_then(settler, dry_run):
        begin(settler, dry_run)
        came.append(cloud.endorsed(os.urandom(100)))

    monkeypatch.setattr(Settler, 'begin', upload_then)
    monkeypatch.setenv('HEPIX_VM_CONFIG', str(cloud.site.config))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    assert sync.main(['--sweep']) == 0
    assert f'{came[0]} was' not in capsys.readouterr().out
    assert cloud.client.status(came[0]) == 'active'


def test_an_operator_deactivates_what_was_withdrawn_already(cloud):
    data = os.urandom(100)
    image_id = cloud.endorsed(data)
    sync_command(cloud, 'block', '--glance-image', image_id, '--reason', 'x')
    assert touch(cloud, image_id)['hepix_withdrawn'] == 'true'
    admin = cloud.client.as_(ADMIN)
    assert admin.deactivate(image_id).status_code == 204
    sync_command(cloud, 'lift', '--glance-image', image_id, '--reason', 'x')
    assert touch(cloud, image_id)['status'] == 'deactivated'
    sync_command(cloud, '--sweep')
    assert cloud.client.status(image_id) == 'deactivated'
    assert admin.reactivate(image_id).status_code == 204
    assert touch(cloud, image_id)['status'] == 'active'


def test_an_adoption_of_what_has_an_id_in_capitals(cloud):
    """And of whose bytes the gate alone knows SHA-512."""
    cloud.site.write_policy(enforcement=[{**PRIVATE, 'mode': 'permissive'}])
    image_id = cloud.client.create(id=str(uuid.uuid4()).upper(), **PRIVATE)
    assert cloud.client.put(image_id, os.urandom(100)).status_code == 204
    assert 'adopted without end' in sync_command(
        cloud, 'adopt', '--reason', 'x', image_id)
    assert 'adopted already' in sync_command(
        cloud, 'adopt', '--reason', 'x', image_id)
    cloud.site.write_policy()
    image = touch(cloud, image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'adopted')


def test_what_cannot_be_judged_is_answered(cloud):
    client, data = cloud.client, os.urandom(100)
    image_id = cloud.endorsed(data)
    response = client.call(
        'PATCH', f'/v2/images/{image_id}', body=b'[' * 200_000, headers={
            'Content-Type': 'application/openstack-images-v2.1-json-patch'})
    assert response.status_code == 400
    (cloud.site.folder / 'policy.yaml').write_text('{')
    response = client.patch(image_id, *replace(
        hepix_endorsement=cloud.site.endorse(data)))
    assert response.status_code == 422
    assert '[internal-error]' in message(response)
    # What has a state of ours stays.
    assert client.patch(image_id, *add(x='y')).status_code == 200
    assert client.status(image_id) == 'active'
