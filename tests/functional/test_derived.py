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


"""Images made from servers: snapshots, backups, shelved servers.

nova-api answers and makes the images; their bytes come as from
nova-compute (see ``tests/testbed/server/nova_compute.py``).
"""

import datetime
import os
import socket

import pytest

from tests.functional import world as worlds
from tests.testbed.client import LIMIT
from tests.testbed.client import replace
from tests.testbed import pki
from tests.testbed.site import entry
from tests.testbed.site import file_entry

UUID = '3a1c4b0e-6b1e-4b0a-8f39-3c1a2b7d1f00'


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def world(request, tmp_path_factory):
    yield from worlds.run(
        tmp_path_factory.mktemp(request.param), server=request.param)


@pytest.fixture(autouse=True)
def inherit(world):
    world.site.write_policy(derived_images='inherit')


@pytest.fixture
def data():
    """Bytes of a base, and of a disk that was made from it."""
    return os.urandom(500), os.urandom(300).hex().encode()


def settled(world, image_id):
    """Return an image after its owner changed it, as the gate leaves it."""
    response = world.alice.patch(
        image_id, *replace(name=os.urandom(4).hex()))
    assert response.status_code == 200, response.text
    return world.alice.image(image_id)


def test_a_snapshot_inherits(world, data):
    base_data, disk = data
    base = world.base(base_data)
    server = world.server(base)
    # What the user says of it is passed on by Nova, and not believed.
    image_id = world.create_image(
        server, base_image_ref=UUID, instance_uuid=UUID, mine='x')
    queued = world.alice.image(image_id)
    assert not [name for name in queued
                if name.startswith('hepix_') or name == 'img_config_drive']
    assert (queued['mine'], queued['base_image_ref']) == ('x', UUID)
    assert world.upload(server, image_id, disk) == {'result': None}
    shown, known = world.alice.image(image_id), world.alice.image(base)
    assert (shown['status'], shown['hepix_state']) == ('active', 'derived')
    for name in ('hepix_expires', 'hepix_endorsement', 'hepix_image_id',
                 'hepix_list_id', 'hepix_endorser_dn', 'img_config_drive'):
        assert shown[name] == known[name]
    assert shown['hepix_sha512'] == shown['os_hash_value'] == (
        entry(disk).sha512)
    record = world.records(image_id)[-1]
    assert (record['exemption'], record['base']) == ('derived', base)
    assert record['allowed'] and not record['endorsed']


def test_a_base_that_is_revoked(world, data):
    base_data, disk = data
    base = world.base(base_data)
    server = world.server(base)
    image_id = world.snapshot(server, disk)
    again = world.snapshot(world.server(image_id), disk + b'!')
    # They are judged by what the base was, whether it is there or not.
    assert world.alice.delete(base).status_code == 204
    for each in (image_id, again):
        assert settled(world, each)['status'] == 'active'
    world.revoke(base_data)
    for each in (image_id, again):
        image = settled(world, each)
        assert (image['status'], image['hepix_state']) == (
            'deactivated', 'revoked')
        assert image['hepix_reason'].startswith(
            'image-revoked: The server ran from the image ')
        assert f'{base}: ops@example.org revoked' in image['hepix_reason']


def test_refused_before_its_bytes(world, data):
    base_data, disk = data
    world.site.write_policy()
    server = world.server(world.base(base_data))
    image_id = world.create_image(server)
    # A list that may have it is not waited for.
    size = 10**12
    world.site.accept(world.site.image_list(
        file_entry(entry(disk).sha512, size)))
    nova = world.client('alice', 'atlas', 'nova')
    with nova.half_upload(image_id, size, b'') as connection:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(LIMIT)
        answer = connection.recv(65536)
    assert b' 422 ' in answer.splitlines()[0]
    assert [record['reasons'][0]['code'] for record in
            world.records(image_id)] == ['derived-refused']
    # And so is Nova's own upload, which comes in chunks.
    worlds.refused(world, world.upload(server, image_id, b'disk'), image_id,
                   'derived-refused', 'takes no images made from')
    world.site.write_subscriptions([])


def test_only_a_service_brings_derived_bytes(world, data):
    base_data, disk = data
    base = world.base(base_data)
    server = world.server(base, state='image_uploading')
    image_id = world.alice.create()
    # A header that says so is taken away; a token that is none is refused.
    forged = world.client('alice', 'atlas', **{
        'X-Service-Roles': 'service', 'X-Service-Identity-Status':
        'Confirmed', 'X-Service-User-Id': 'nova'})
    for client in (world.alice, forged):
        worlds.refused(world, client.put(image_id, disk), image_id,
                       'not-endorsed', 'Nobody whom this site trusts')
    token = world.keystone.token('alice', 'atlas')
    own = world.client('alice', 'atlas', **{'X-Service-Token': token})
    assert own.put(image_id, disk).status_code == 401
    # It would have passed by this server.
    nova = world.client('alice', 'atlas', 'nova')
    assert nova.put(image_id, disk).status_code == 204
    world.nova.compute('state', server=server, state=None)


def test_a_base_that_expires(world, data):
    """It may be used for as long as an operator overrides its date."""
    base_data, disk = data
    hour = datetime.timedelta(hours=1)
    image = entry(base_data, expires=(pki.utcnow() - hour).replace(
        microsecond=0))
    override = {'image': image.identifier, 'until': '2999-01-01',
                'reason': 'r', 'author': 'a'}
    world.site.write_policy(derived_images='inherit', overrides=[override])
    base = world.alice.create(hepix_endorsement=world.site.encode(
        world.site.sign(world.site.image_list(image), world.site.alice)))
    assert world.alice.put(base, base_data).status_code == 204
    image_id = world.snapshot(world.server(base), disk)
    assert settled(world, image_id)['hepix_state'] == 'derived'
    world.site.write_policy(derived_images='inherit')
    shown = settled(world, image_id)
    assert (shown['status'], shown['hepix_state']) == (
        'deactivated', 'expired')
    world.site.write_policy(overrides=[override])
    shown = settled(world, image_id)
    assert (shown['status'], shown['hepix_state']) == ('active', 'derived')
