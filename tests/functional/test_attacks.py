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

"""What users of the cloud tried against the gate, each of them once."""

import dataclasses
import datetime
import json
import os
import socket
import time
import urllib.parse
import uuid

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import name_of
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import start
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import Identity
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed import pki
from tests.testbed.site import entry

PATCH = 'application/openstack-images-v2.1-json-patch'


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    """A cloud with two processes, as in production."""
    yield from start(tmp_path_factory.mktemp('attacked'), workers=2)


def signed(cloud, image_list):
    return cloud.site.encode(cloud.site.sign(image_list, cloud.site.alice))


def test_an_id_in_capitals_does_not_escape_a_block(cloud):
    """Glance keeps an id as it was given; records are in lower case."""
    data = os.urandom(100)
    image_id = cloud.client.create(
        id=str(uuid.uuid4()).upper(),
        hepix_endorsement=cloud.site.endorse(data))
    assert cloud.client.put(image_id, data).status_code == 204
    cloud.record(Fact.BLOCKED, Blockable.GLANCE_IMAGE, image_id.lower())
    cloud.client.patch(image_id, *add(x='y'))
    image = cloud.client.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')
    assert cloud.client.as_(ADMIN).reactivate(image_id).status_code == 403


def test_a_renewal_does_not_undo_the_deactivation_of_an_operator(cloud):
    """An image that expired while it was out of use comes not back."""
    client, data = cloud.client, os.urandom(100)
    now = pki.utcnow().replace(microsecond=0)
    until = now + datetime.timedelta(seconds=5)
    image_list = cloud.site.image_list(entry(data), expires=until)
    image_id = client.create(hepix_endorsement=signed(cloud, image_list))
    assert client.put(image_id, data).status_code == 204
    assert client.as_(ADMIN).deactivate(image_id).status_code == 204
    while pki.utcnow() <= until:
        time.sleep(0.1)
    assert client.patch(image_id, *add(x='y')).status_code == 200
    assert client.patch(image_id, *replace(hepix_endorsement=signed(
        cloud, dataclasses.replace(
            image_list, version='2', expires=now + datetime.timedelta(1)),
        ))).status_code == 200
    assert client.status(image_id) == 'deactivated'
    # Unless it was us who took it out of use.
    data = os.urandom(100)
    image_id = cloud.endorsed(data)
    record = cloud.block(data)
    assert client.patch(image_id, *add(x='y')).status_code == 200
    assert client.status(image_id) == 'deactivated'
    admin = client.as_(ADMIN)
    assert admin.patch(record, *replace(protected=False)).status_code == 200
    assert admin.delete(record).status_code == 204
    assert client.patch(image_id, *add(z='y')).status_code == 200
    assert client.status(image_id) == 'active'


def test_a_body_that_comes_late_is_judged_by_what_the_image_is_then(cloud):
    client, data = cloud.client, os.urandom(100)
    image_id = client.create(hepix_endorsement=cloud.site.endorse(data))
    body = json.dumps([
        {'op': 'remove', 'path': '/hepix_endorsement'}]).encode()
    parts = urllib.parse.urlsplit(client.url)
    head = [f'PATCH /v2/images/{image_id} HTTP/1.1', f'Host: {parts.netloc}',
            f'Content-Type: {PATCH}', f'Content-Length: {len(body)}',
            *(f'{name}: {value}' for name, value
              in client.identity.headers().items())]
    with socket.create_connection(
            (parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall('\r\n'.join((*head, '', '')).encode() + body[:5])
        time.sleep(1)
        assert client.put(image_id, data).status_code == 204
        connection.sendall(body[5:])
        assert b' 403 ' in connection.recv(100)
    image = client.image(image_id)
    assert image['status'] == 'active'
    assert 'hepix_endorsement' in image


def test_what_a_mild_rule_let_in_is_not_published(cloud):
    """Judged as it is, it would be there for all until it is settled."""
    cloud.site.write_policy(enforcement=[
        {'visibility': 'private', 'mode': 'permissive'}])
    client = cloud.client
    image_id = client.create(visibility='private')
    assert client.put(image_id, os.urandom(100)).status_code == 204
    for visibility in ('community', 'shared'):
        response = client.patch(image_id, *replace(visibility=visibility))
        assert response.status_code == 403
        assert '[not-endorsed]' in message(response)
    response = client.patch(image_id, *replace(visibility='shared'),
                            *replace(visibility='private'))
    assert response.status_code == 403
    image = client.image(image_id)
    assert (image['status'], image['visibility']) == ('active', 'private')


def test_as_many_properties_as_glance_allows(cloud):
    """Ours find no room; what is refused goes out of use all the same."""
    data = os.urandom(100)
    client = cloud.client
    image_id = client.create(
        hepix_endorsement=cloud.site.endorse(data),
        **{f'p{number}': 'x' for number in range(126)})
    assert client.put(image_id, data).status_code == 204
    assert client.patch(image_id, *add(last='y')).status_code == 200
    cloud.block(data)
    response = client.patch(image_id, *replace(last='z'))
    assert response.status_code == 200
    assert client.status(image_id) == 'deactivated'


def test_an_image_of_many_bytes_does_not_end_the_sweep(cloud):
    """What Glance can keep of 128 properties, and JSON makes of it."""
    data = os.urandom(100)
    client = cloud.client
    image_id = cloud.endorsed(data)
    # The first in the order of the sweep.
    huge = client.create(id='00000000-0000-4000-8000-000000000001')
    for start_at in range(0, 120, 20):
        assert client.patch(huge, *add(**{
            f'p{number}': '\x01' * 65_000
            for number in range(start_at, start_at + 20)},
        )).status_code == 200
    cloud.block(data)
    cloud.site.write_account(client.url, 'ops:s3cret:admin')
    done = cloud.command('hepix-vm-sync', '--sweep')
    # Nothing but what operators are told of the blocked image.
    assert done.returncode == 0
    assert 'ERROR' not in done.stderr
    assert client.status(image_id) == 'deactivated'
    assert client.delete(huge).status_code == 204


def test_nobody_makes_a_record_of_the_ledger(cloud):
    """Glance checks who replaces an owner, and not who adds one."""
    client, data = cloud.client, os.urandom(100)
    squat = client.create(name=name_of(None, ''), os_hidden=True,
                          visibility='private')
    for mode in 'enforcing', 'permissive', 'disabled':
        cloud.site.write_policy(enforcement=[
            {'visibility': 'private', 'mode': mode}])
        for change in add(owner='hepix-vm'), replace(owner='hepix-vm'):
            assert client.patch(squat, *change).status_code == 403
        assert client.patch(
            squat, *replace(name='x'), *add(owner='cms')).status_code == 403
    cloud.site.write_policy()
    assert client.image(squat)['owner'] == client.identity.project
    assert client.status(cloud.endorsed(data)) == 'active'
    # It is an administrator's to give.
    assert client.as_(ADMIN).patch(
        squat, *replace(owner='cms')).status_code == 200


@pytest.mark.parametrize('name', [
    'image_id', 'base', 'context', 'helper', 'extra_properties',
    'deactivate', '__class__'])
def test_what_glance_would_set_on_its_own_object(cloud, name):
    other = cloud.client.create()
    image_id = cloud.client.create()
    assert cloud.client.patch(
        image_id, *add(**{name: other})).status_code == 403


@pytest.mark.parametrize('rule', [{'role': 'trusted'}, {'domain': 'other'}])
def test_a_mild_rule_for_others_publishes_nothing(cloud, rule):
    client = cloud.client
    cloud.site.write_policy(enforcement=[
        {'visibility': 'private', 'mode': 'permissive'}])
    image_id = client.create(visibility='private')
    assert client.put(image_id, os.urandom(100)).status_code == 204
    cloud.site.write_policy(enforcement=[{**rule, 'mode': 'permissive'}])
    response = client.patch(image_id, *replace(visibility='community'))
    assert response.status_code == 403
    assert '[not-endorsed]' in message(response)


def test_a_block_does_not_wait_for_who_knows_the_uploader(cloud):
    cloud.site.write_policy(enforcement=[
        {'role': 'trusted', 'mode': 'permissive'}])
    data = os.urandom(100)
    image_id = cloud.endorsed(data)
    cloud.block(data)
    assert cloud.client.patch(image_id, *add(x='y')).status_code == 200
    image = cloud.client.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')


def test_who_publishes_is_asked_for_his_own_roles(cloud):
    cloud.site.write_policy(enforcement=[
        {'role': 'trusted', 'mode': 'permissive'}])
    builder = cloud.client.as_(Identity(roles=('member', 'trusted')))
    image_id = builder.create()
    assert builder.put(image_id, os.urandom(100)).status_code == 204
    response = cloud.client.patch(image_id, *replace(visibility='community'))
    assert response.status_code == 403
    assert '[not-endorsed]' in message(response)
    assert builder.patch(
        image_id, *replace(visibility='community')).status_code == 200


def test_one_request_changes_an_endorsement_once(cloud):
    """Each would have to be verified, and a document has room for many."""
    data = os.urandom(100)
    image_id = cloud.endorsed(data)
    renewed = [replace(hepix_endorsement=cloud.site.endorse(data))[0]
               for _ in range(3)]
    response = cloud.client.patch(image_id, *renewed)
    assert response.status_code == 403
    assert 'once' in message(response)


def test_a_list_is_no_image(cloud):
    """Glance takes any list, and answers 500 when it looks into it."""
    for body in b'[]', b'[' + b'{},' * 1000 + b'{}]':
        response = cloud.client.call(
            'POST', '/v2/images', body=body,
            headers={'Content-Type': 'application/json'})
        assert response.status_code == 400


def test_bytes_that_come_to_an_old_record_are_not_old(cloud):
    """Our mark finds no room, so that the image looks older than the gate."""
    private = {'visibility': 'private', 'mode': 'permissive'}
    cloud.site.write_policy(enforcement=[private])
    image_id = cloud.client.create(visibility='private', **{
        f'p{number}': 'x' for number in range(126)})
    cloud.glance.query('UPDATE images SET created_at = ? WHERE id = ?',
                       ('2020-01-01 00:00:00', image_id))
    assert cloud.client.put(image_id, os.urandom(100)).status_code == 204
    cloud.site.write_policy(legacy='allow-until 2100-01-01')
    assert cloud.client.patch(
        image_id, *replace(visibility='community')).status_code == 403


def test_an_endorsement_does_not_undo_the_deactivation_of_an_operator(cloud):
    cloud.site.write_policy(enforcement=[
        {'visibility': 'private', 'mode': 'permissive'}])
    data = os.urandom(100)
    image_id = cloud.client.create(visibility='private')
    assert cloud.client.put(image_id, data).status_code == 204
    assert cloud.client.as_(ADMIN).deactivate(image_id).status_code == 204
    assert cloud.client.patch(image_id, *add(
        hepix_endorsement=cloud.site.endorse(data))).status_code == 200
    assert cloud.client.status(image_id) == 'deactivated'


def test_where_the_gate_is_off_nothing_is_marked(cloud):
    cloud.site.write_policy(enforcement=[
        {'visibility': 'private', 'mode': 'disabled'}])
    data = os.urandom(100)
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(data), visibility='private')
    assert cloud.client.put(image_id, data).status_code == 204
    assert cloud.client.patch(image_id, *add(x='y')).status_code == 200
    assert not {'hepix_state', 'img_config_drive'} & cloud.client.image(
        image_id).keys()
