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

"""A cloud that has images already, and starts with some projects."""

import datetime
import os

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.testbed.client import ADMIN
from tests.testbed.client import Client
from tests.testbed.client import Identity
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.glance import Glance
from tests.testbed import pki
from tests.testbed.site import entry
from tests.testbed.site import POLICY
from tests.testbed.site import PROPERTY_PROTECTIONS
from tests.testbed.site import Site

OLD = 11  # images, one a test
BOB = Identity(user='bob', project='cms')
TOMORROW = f'{pki.utcnow() + datetime.timedelta(days=1):%Y-%m-%d}'


@pytest.fixture(scope='module')
def aged(tmp_path_factory):
    """A Glance that had images before the gate, which stands now."""
    folder = tmp_path_factory.mktemp('aged')
    old = []
    with Glance(folder / 'glance', filters=(), import_plugins=()) as bare:
        client = Client(bare.url)
        for _ in range(OLD):
            data = os.urandom(1000)
            old.append((client.create(), data))
            assert client.put(*old[-1]).status_code == 204
    site = Site(folder / 'site')
    with Glance(folder / 'glance', hepix_config=site.config, policy=POLICY,
                property_protections=PROPERTY_PROTECTIONS) as glance:
        yield Cloud(site, glance, None), old


@pytest.fixture
def grown(aged):
    """This cloud, the id of an image of its own, and its bytes."""
    cloud, old = aged
    yield cloud, *old.pop()
    cloud.site.write_policy()


def touch(cloud, image_id):
    """Change an image, so that it is looked at again."""
    assert cloud.client.patch(image_id, *replace(
        name=os.urandom(4).hex())).status_code == 200
    return cloud.client.image(image_id)


def test_images_that_are_older_than_the_gate(grown):
    cloud, old, data = grown
    cloud.site.write_policy(legacy=f'allow-until {TOMORROW}')
    image = touch(cloud, old)
    assert image['status'] == 'active'
    assert 'hepix_state' not in image
    # New ones are judged all the same.
    new = cloud.client.create()
    assert cloud.client.put(new, data).status_code == 422
    # A block counts more than age.
    record = cloud.block(data)
    assert touch(cloud, old)['hepix_state'] == 'blocked'
    assert cloud.client.status(old) == 'deactivated'
    lift(cloud, record)
    image = touch(cloud, old)
    assert image['status'] == 'active'
    assert 'hepix_state' not in image
    cloud.site.write_policy(legacy='refuse')
    image = touch(cloud, old)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'refused')
    assert image['hepix_reason'].startswith('not-endorsed: ')


def lift(cloud, record):
    """Take a record of the ledger back, as an operator's command does."""
    admin = cloud.client.as_(ADMIN)
    text = admin.image(record)['hepix_ledger']
    assert admin.patch(record, *replace(hepix_ledger=text.replace(
        '{', '{"lifted": "ops: wrong", ', 1))).status_code == 200


def test_the_day_that_legacy_ends(grown):
    cloud, old, data = grown
    cloud.site.write_policy(legacy='allow-until 2026-01-01')
    assert touch(cloud, old)['status'] == 'deactivated'


def test_what_passed_the_gate_is_not_older_than_it(grown):
    cloud, _, data = grown
    # Made before, but its bytes came since, in mode permissive.
    cloud.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    image_id = cloud.client.create()
    assert cloud.client.put(image_id, data).status_code == 204
    cloud.glance.query('update images set created_at = "2020-01-01" '
                       'where id = ?', (image_id,))
    cloud.site.write_policy(legacy=f'allow-until {TOMORROW}')
    assert touch(cloud, image_id)['status'] == 'deactivated'


def test_an_adopted_image(grown):
    cloud, old, data = grown
    adopted = {'sha512': entry(data).sha512,
               'until': pki.utcnow() + datetime.timedelta(days=1)}
    record = cloud.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, old,
                          **adopted)
    image = touch(cloud, old)
    assert (image['status'], image['hepix_state']) == ('active', 'adopted')
    # Nobody else's copy of it is.
    other = cloud.client.create()
    assert cloud.client.put(other, data).status_code == 422
    cloud.block(data)
    assert touch(cloud, old)['hepix_state'] == 'blocked'
    lift(cloud, record)


@pytest.mark.parametrize('adopted', [
    {'sha512': '0' * 128},
    {'until': pki.utcnow() - datetime.timedelta(seconds=1)},
    {'lifted': 'ops: wrong'}])
def test_an_adoption_that_does_not_count(grown, adopted):
    cloud, old, data = grown
    cloud.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, old, **adopted)
    assert touch(cloud, old)['status'] == 'deactivated'


def test_an_endorsement_for_an_image_that_had_none(grown):
    cloud, old, data = grown
    wrong = cloud.client.patch(old, {
        'op': 'add', 'path': '/hepix_endorsement',
        'value': cloud.site.endorse(b'other')})
    assert wrong.status_code == 422
    assert '[checksum-mismatch]' in message(wrong)
    right = cloud.client.patch(old, {
        'op': 'add', 'path': '/hepix_endorsement',
        'value': cloud.site.endorse(data)})
    assert right.status_code == 200
    image = cloud.client.image(old)
    assert (image['status'], image['hepix_state']) == ('active', 'endorsed')
    assert image['hepix_list_version'] == '1'


@pytest.mark.parametrize('rule, admitted', [
    ({'project': 'cms'}, True), ({'project': 'atlas'}, False),
    ({'domain': 'default'}, True), ({'domain': 'Grid'}, False),
    ({'role': 'builder'}, True), ({'role': 'admin'}, False),
    ({'visibility': 'shared'}, True), ({'visibility': 'public'}, False),
    ({'project': 'cms', 'role': 'admin'}, False)])
def test_modes_by_rule(cloud, rule, admitted):
    cloud.site.write_policy(enforcement=[{**rule, 'mode': 'permissive'}])
    bob = cloud.client.as_(Identity(
        user='bob', project='cms', roles=('member', 'reader', 'builder')))
    headers = {'X-Project-Domain-Id': 'default',
               'X-Project-Domain-Name': 'Default'}
    response = bob.put(bob.create(), b'anything', headers)
    assert response.status_code == (204 if admitted else 422)


def test_an_id_that_is_used_again(cloud):
    """Glance gives an id again once the database was purged."""
    data = os.urandom(1000)
    admin = cloud.client.as_(ADMIN)
    first = cloud.endorsed(data)
    cloud.record(Fact.BLOCKED, Blockable.GLANCE_IMAGE, first)
    cloud.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, first,
                 sha512=entry(data).sha512)
    assert admin.delete(first).status_code == 204
    assert cloud.client.try_create(id=first).status_code == 409
    purge(cloud, first)
    other = os.urandom(1000)
    bob = cloud.client.as_(BOB)
    assert bob.create(id=first, hepix_endorsement=cloud.site.endorse(
        other)) == first
    # What was blocked by its id stays so, until an operator lifts it.
    response = bob.put(first, other)
    assert response.status_code == 422
    assert '[image-blocked]' in message(response)


@pytest.mark.parametrize('digest', [True, False])
def test_an_adopted_id_that_is_used_again(grown, digest):
    cloud, old, data = grown
    cloud.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, old,
                 sha512=entry(data).sha512 if digest else '')
    assert cloud.client.delete(old).status_code == 204
    purge(cloud, old)
    other = os.urandom(1000)
    assert cloud.client.create(id=old) == old
    for data in (other, data):
        response = cloud.client.put(old, data)
        assert response.status_code == 422
        assert '[not-endorsed]' in message(response)


def purge(cloud, image_id):
    """Do what glance-manage db purge does to an image deleted long ago."""
    for statement in (
            'delete from image_properties where image_id = ?',
            'delete from image_locations where image_id = ?',
            'delete from image_tags where image_id = ?',
            'delete from image_members where image_id = ?',
            'delete from images where id = ?'):
        cloud.glance.query(statement, (image_id,))


def test_two_images_with_one_digest(cloud):
    """Each is judged by what endorses it; a digest hits both."""
    data = os.urandom(1000)
    one_entry, two_entry = entry(data), entry(data)
    ids = []
    for each in (one_entry, two_entry):
        image_id = cloud.client.create(hepix_endorsement=cloud.site.encode(
            cloud.site.sign(cloud.site.image_list(each), cloud.site.alice)))
        assert cloud.client.put(image_id, data).status_code == 204
        ids.append(image_id)
    one, two = ids
    record = cloud.record(Fact.REVOKED, Blockable.IMAGE,
                          one_entry.identifier)
    assert touch(cloud, one)['hepix_state'] == 'revoked'
    assert touch(cloud, two)['status'] == 'active'
    lift(cloud, record)
    assert touch(cloud, one)['status'] == 'active'
    cloud.block(data)
    assert touch(cloud, one)['hepix_state'] == 'blocked'
    assert touch(cloud, two)['hepix_state'] == 'blocked'


def test_an_image_that_is_deleted_while_it_is_uploaded(cloud):
    data = os.urandom(100_000)
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(data))
    with cloud.client.half_upload(image_id, len(data), data[:50_000]) as it:
        cloud.client.wait_status(image_id, 'saving')
        assert cloud.client.delete(image_id).status_code == 204
        it.sendall(data[50_000:])
        answer = it.recv(4096)
    assert b' 204 ' not in answer.splitlines()[0]
    assert cloud.client.call(
        'GET', f'/v2/images/{image_id}').status_code == 404
    assert [path for path in cloud.glance.stored_files()
            if path.name == image_id] == []
