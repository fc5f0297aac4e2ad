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


"""Images made from servers: which are refused, and what a site may say."""

import os

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional import world as worlds
from tests.functional.world import refused
from tests.testbed.client import Identity
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.site import entry

UPLOADING = 'image_uploading'
UUID = '3a1c4b0e-6b1e-4b0a-8f39-3c1a2b7d1f00'


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from worlds.run(tmp_path_factory.mktemp('world'))


@pytest.fixture(autouse=True)
def inherit(request):
    """Let images of servers in, none of which is being made yet."""
    if 'world' in request.fixturenames:
        world = request.getfixturevalue('world')
        world.site.write_policy(derived_images='inherit')
        world.nova.query(
            'nova.sqlite', 'UPDATE instances SET task_state = NULL')


@pytest.fixture
def busy(world):
    """Make servers whose images are being uploaded."""
    def make(base, **known):
        return world.server(base, state=UPLOADING, **known)

    return make


@pytest.fixture
def disk():
    return os.urandom(300).hex().encode()


def test_two_bases_are_ambiguous(world, busy, disk):
    first, second = (world.base(os.urandom(500)) for _ in range(2))
    server = world.server(first)
    image_id = world.create_image(server)
    for base in (second, first, first):
        busy(base)
    refused(world, world.upload(server, image_id, disk), image_id,
            'derived-refused', 'run from different images')


def test_many_servers_of_one_base(world, busy, disk):
    first, second = (world.base(os.urandom(500)) for _ in range(2))
    for _ in range(3):
        busy(first)
    # Those of other projects do not count.
    busy(second, project='cms')
    world.snapshot(world.server(first), disk)


def test_a_volume_is_ambiguous(world, busy, disk):
    server = world.server(world.base(os.urandom(500)))
    image_id = world.create_image(server)
    busy('')
    refused(world, world.upload(server, image_id, disk), image_id,
            'derived-refused', 'runs from a volume')


def test_no_server_in_question(world, disk):
    """As with Cinder's upload of a volume, or Nova's resize across cells."""
    image_id = world.alice.create(instance_uuid=UUID, image_type='snapshot')
    for service in ('cinder', 'nova'):
        client = world.client('alice', 'atlas', service)
        refused(world, client.put(image_id, disk), image_id,
                'derived-refused', 'makes no image of a server')
    world.site.write_policy(derived_images='allow')
    refused(world, client.put(image_id, disk), image_id,
            'derived-refused', 'makes no image of a server')


@pytest.mark.parametrize('state', [
    None, 'deleting', 'resize_migrating', 'powering-off'])
def test_states_in_which_no_image_is_made(world, disk, state):
    world.server(world.base(os.urandom(500)), state=state)
    image_id = world.alice.create()
    nova = world.client('alice', 'atlas', 'nova')
    refused(world, nova.put(image_id, disk), image_id, 'derived-refused',
            'makes no image of a server')


@pytest.mark.parametrize('state', [
    'image_snapshot_pending', 'image_snapshot', 'image_backup', 'shelving',
    'image_pending_upload', 'shelving_image_pending_upload'])
def test_states_before_the_bytes_are_sent(world, disk, state):
    """They count only where no bytes of another server are being sent."""
    first, second = (world.base(os.urandom(500)) for _ in range(2))
    world.server(first, state=state)
    nova = world.client('alice', 'atlas', 'nova')
    image_id = world.alice.create()
    assert nova.put(image_id, disk).status_code == 204
    later = world.snapshot(world.server(second), disk)
    for each, base in ((image_id, first), (later, second)):
        assert base in {record.get('base') for record in world.records(each)}


def test_a_base_that_is_not_good(world, disk):
    base_data = os.urandom(500)
    server = world.server(world.base(base_data))
    world.revoke(base_data)
    image_id = world.create_image(server)
    refused(world, world.upload(server, image_id, disk), image_id,
            'image-revoked', 'The server ran from the image')


def test_a_base_that_is_gone(world, disk):
    base = world.base(os.urandom(500))
    server = world.server(base)
    assert world.alice.delete(base).status_code == 204
    image_id = world.create_image(server)
    refused(world, world.upload(server, image_id, disk), image_id,
            'derived-refused', f'The image {base}, from which')


def test_a_disk_that_was_blocked(world, disk):
    world.write(Fact.BLOCKED, Blockable.SHA512, entry(disk).sha512)
    for choice in ('inherit', 'allow'):
        world.site.write_policy(derived_images=choice)
        server = world.server(world.base(os.urandom(500)))
        image_id = world.create_image(server)
        refused(world, world.upload(server, image_id, disk), image_id,
                'image-blocked', 'ops@example.org blocked data')


def test_allow_asks_for_no_base(world, busy, disk):
    world.site.write_policy(derived_images='allow')
    base = world.base(os.urandom(500))
    busy('')
    image_id = world.snapshot(world.server(base), disk)
    assert world.alice.delete(base).status_code == 204
    image = world.alice.image(image_id)
    assert (image['status'], image['hepix_state'],
            image['img_config_drive']) == ('active', 'derived', 'mandatory')
    assert 'hepix_expires' not in image
    # Whatever the site says later, what was let in stays.
    world.site.write_policy()
    assert world.alice.patch(
        image_id, *replace(name='x')).status_code == 200
    assert world.alice.status(image_id) == 'active'


def test_rules_by_project_and_role(world, disk):
    def tried(**rules):
        world.site.write_policy(derived_images=rules)
        server = world.server(world.base(os.urandom(500)))
        return world.upload(server, world.create_image(server), disk)

    assert 'error' not in tried(projects={'atlas': 'inherit'})
    assert 'error' not in tried(roles={'member': 'inherit'})
    assert 'error' in tried(projects={'cms': 'inherit'}, default='refuse')
    assert 'error' in tried(projects={'atlas': 'refuse'}, default='allow')


def test_backup_and_shelve(world, disk):
    server = world.server(world.base(os.urandom(500)))
    for make, shelving in ((world.backup, False), (world.shelve, True)):
        image_id = make(server)
        assert 'error' not in world.upload(
            server, image_id, disk, shelving=shelving)
        assert world.alice.image(image_id)['hepix_state'] == 'derived'
        world.nova.compute('state', server=server, state=None)


def test_a_server_with_a_kernel(world, disk):
    """Nova names it again, in a PATCH, as the user to whom it is closed."""
    base = world.base(os.urandom(500))
    kernel = [{'op': 'add', 'path': f'/{name}', 'value': UUID}
              for name in ('kernel_id', 'ramdisk_id')]
    assert world.admin.patch(base, *kernel).status_code == 200
    image_id = world.snapshot(world.server(base, kernel=UUID), disk)
    image = world.alice.image(image_id)
    assert (image['kernel_id'], image['ramdisk_id']) == (UUID, UUID)
    assert world.alice.patch(image_id, *replace(
        kernel_id=base)).status_code == 403


def test_what_a_user_writes_himself(world):
    """Without a service token nothing is left out, but refused."""
    for name in ('hepix_state', 'hepix_expires'):
        response = world.alice.try_create(**{name: 'endorsed'})
        assert response.status_code == 403, response.text
        assert '[route-closed]' in message(response)
    # It is Glance that protects this one.
    assert world.alice.try_create(
        img_config_drive='optional').status_code == 403


def test_a_snapshot_of_volumes(world):
    server = world.server('')
    answer = world.nova.compute(
        'volume_backed', server=server,
        token=world.keystone.token('alice', 'atlas'),
        project=world.keystone.project('atlas'))
    assert answer['error'] == 'Forbidden'
    assert '[derived-refused]' in answer['text']


def test_a_place_in_ceph(world):
    """Nova 34 does not fall back to an upload: it waits for Forbidden."""
    server = world.server(world.base(os.urandom(500)))
    image_id = world.create_image(server)
    answer = world.nova.compute(
        'location', server=server, image=image_id,
        token=world.keystone.token('alice', 'atlas'),
        project=world.keystone.project('atlas'))
    assert (answer['error'], answer['forbidden']) == (
        'ImageNotAuthorized', False)
    assert world.alice.status(image_id) == 'queued'


def test_an_administrator_snapshots_anothers_server(world, busy, disk):
    busy(world.base(os.urandom(500)))
    nova = world.client('admin', 'admin', 'nova')
    image_id = world.admin.create()
    assert nova.put(image_id, disk).status_code == 204
    assert world.admin.image(image_id)['hepix_state'] == 'derived'


def test_an_endorsement_of_its_own(world, disk):
    base_data = os.urandom(500)
    image_id = world.snapshot(world.server(world.base(base_data)), disk)
    client = world.alice
    for wrong in (world.site.endorse(base_data), 'nonsense',
                  world.site.endorse(b'other')):
        assert client.patch(image_id, *replace(
            hepix_endorsement=wrong)).status_code == 422
    assert client.image(image_id)['hepix_state'] == 'derived'
    response = client.patch(image_id, *replace(
        hepix_endorsement=world.site.endorse(disk)))
    assert response.status_code == 200, response.text
    assert client.image(image_id)['hepix_state'] == 'endorsed'
    world.revoke(base_data)
    assert client.patch(image_id, *replace(name='x')).status_code == 200
    assert client.status(image_id) == 'active'


def test_what_the_owner_said_before_does_not_stay(world, disk):
    server = world.server(world.base(os.urandom(500)))
    image_id = world.create_image(server)
    assert world.alice.patch(image_id, {
        'op': 'add', 'path': '/hepix_endorsement',
        'value': world.site.endorse(b'other')}).status_code == 200
    world.site.write_policy(derived_images='allow')
    assert 'error' not in world.upload(server, image_id, disk)
    assert 'hepix_endorsement' not in world.alice.image(image_id)


def test_permissive_lets_pass_and_says_what_it_would_do(world, disk):
    world.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    server = world.server(world.base(os.urandom(500)))
    image_id = world.snapshot(server, disk)
    record = world.records(image_id)[-1]
    assert (record['allowed'], record['endorsed']) == (True, False)
    assert record['reasons'][0]['code'] == 'derived-refused'
    assert world.alice.status(image_id) == 'active'


def test_nova_that_does_not_answer(world, disk):
    server = world.server(world.base(os.urandom(500)))
    image_id = world.create_image(server)
    nova = world.client('alice', 'atlas', 'nova')
    world.nova.stop()
    try:
        refused(world, nova.put(image_id, disk), image_id,
                'internal-error', 'It cannot be told now')
        assert 'ConnectFailure' in world.records(image_id)[-1]['cause']
    finally:
        world.nova.start()
    assert world.upload(server, image_id, disk) == {'result': None}


@pytest.mark.parametrize('headers', [
    {'X-Service-Roles': 'service'},
    {'X-Service-Roles': 'service', 'X-Service-Identity-Status': 'Invalid'},
    {'X-Service-Roles': 'member', 'X-Service-Identity-Status': 'Confirmed'},
    {'X-Service-Identity-Status': 'Confirmed'}])
def test_headers_that_do_not_say_enough(cloud, headers):
    """What keystonemiddleware leaves if it delays its decision."""
    image_id = cloud.client.create()
    response = cloud.client.put(image_id, b'disk', headers)
    assert '[not-endorsed]' in message(response)
    confirmed = Identity(service_roles=('Service',))
    response = cloud.client.as_(confirmed).put(image_id, b'disk')
    assert '[derived-refused]' in message(response)
