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


"""What images, volumes and requests bring along that would be booted."""

import gzip
import json
import os
import uuid

import pytest
import requests

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.boot.booting import change
from tests.functional.boot.booting import DISK
from tests.functional.boot.booting import FLAVOR
from tests.functional.boot.booting import refused
from tests.functional.boot.booting import taken
from tests.testbed.client import wait

VOLUME = {**DISK, 'source_type': 'volume'}
SNAPSHOT = {**DISK, 'source_type': 'snapshot'}
LOCAL = {**DISK, 'destination_type': 'local'}
OTHER = 'http://127.0.0.1:9/v2/images/'


@pytest.fixture
def inherit(world):
    world.site.write_policy(volumes='inherit')


@pytest.mark.parametrize('kind', ['kernel', 'ramdisk'])
def test_kernel_and_ramdisk(world, good, bad, kind):
    image = world.endorsed()
    change(world, image, **{f'{kind}_id': good})
    taken(world.boot(image))
    change(world, image := world.endorsed(), **{f'{kind}_id': bad})
    refused(world.boot(image), 'not-endorsed',
            f'The {kind} {bad} of the image {image}: ')
    refused(world.act(world.server(good), 'rescue',
                      {'rescue_image_ref': image}), 'not-endorsed', kind)
    change(world, image := world.endorsed(), **{
        f'{kind}_id': bad, 'kernel_id': 'nokernel'})
    taken(world.boot(image))


@pytest.mark.parametrize('name', [
    '{other}{good}', '../images/{bad}', '{bad}?', '{good}/../{bad}', 'x'])
def test_a_kernel_that_is_no_id(world, good, bad, name):
    """Nova would take a URL for that of a Glance, and ask it."""
    image = change(world, world.endorsed(), kernel_id=name.format(
        other=OTHER, good=good, bad=bad))
    refused(world.boot(image), 'not-endorsed', 'is not the id of an image')


@pytest.mark.parametrize('properties', [
    {'block_device_mapping': json.dumps(
        [{**SNAPSHOT, 'snapshot_id': str(uuid.uuid4())}]), 'bdm_v2': 'True'},
    {'block_device_mapping': json.dumps(
        [{'device_name': 'vda', 'volume_id': str(uuid.uuid4())}])},
    {'mappings': '[{"virtual": "root", "device": "vdb"}]'},
    {'block_device_mapping': 'no JSON'}])
def test_an_image_with_bytes_that_names_disks(world, properties, inherit):
    image = change(world, world.endorsed(), **properties)
    refused(world.boot(image), 'volume-refused', 'has bytes')


def test_no_disks_are_none(world):
    taken(world.boot(change(
        world, world.endorsed(), block_device_mapping='[]', mappings='[]')))


def test_an_image_without_bytes(world, good, bad):
    def boot(made_of, **more):
        """Boot what only names disks, as Nova makes it."""
        image = world.stranger()
        # Nothing that can be endorsed: an operator said that it may stay.
        world.write(Fact.ADOPTED, Blockable.GLANCE_IMAGE, image,
                    sha512=world.admin.image(image)['os_hash_value'])
        world.site.write_policy(volumes='inherit')
        volume = world.cinder.volume('atlas', {'image_id': made_of})
        snapshot = world.cinder.snapshot('atlas', volume)
        change(world, image, **{
            'block_device_mapping': json.dumps([{
                'source_type': 'snapshot', 'destination_type': 'volume',
                'snapshot_id': snapshot, 'boot_index': 0, **more}]),
            'bdm_v2': 'True'})
        # What heard of the upload may have taken it out of use meanwhile.
        world.cloud.glance.query("UPDATE images SET size = 0, "
                                 "status = 'active' WHERE id = ?", (image,))
        assert world.admin.image(image)['size'] == 0
        # What the ledger says is kept for a while.
        return wait(lambda: world.boot(image),
                    lambda said: '[not-endorsed] Nobody' not in said.text)
    assert 'trust policy' not in boot(good).text
    refused(boot(bad), 'not-endorsed')
    refused(boot(good, image_id=bad), 'not-endorsed')
    refused(boot(good, snapshot_id=5), 'volume-refused', 'cannot be read')


def test_existing_volumes_are_refused(world, good):
    volume = world.cinder.volume('atlas', {'image_id': good})
    snapshot = world.cinder.snapshot('atlas', volume)
    unknown = str(uuid.uuid4())
    for device in ({**VOLUME, 'uuid': volume}, {**SNAPSHOT, 'uuid': snapshot},
                   {**VOLUME, 'uuid': unknown}):
        refused(world.boot(devices=[device]), 'volume-refused',
                'origin cannot be proved')


def test_a_volume_of_an_endorsed_image(world, good, bad, inherit):
    def boot(metadata, **device):
        volume = world.cinder.volume('atlas', metadata)
        return world.boot(devices=[{**VOLUME, 'uuid': volume, **device}])
    # Nova has nobody who would attach it.
    assert 'trust policy' not in boot({'image_id': good}).text
    refused(boot({'image_id': bad}), 'not-endorsed', 'was made: ')
    refused(boot({'image_id': bad}, boot_index='0'), 'not-endorsed')
    refused(boot({'image_id': bad}, boot_index=1), 'not-endorsed')
    refused(boot({}), 'volume-refused', 'Cinder does not say')
    refused(boot({'image_id': str(uuid.uuid4())}), 'not-endorsed',
            'Glance has no image')
    refused(boot({'image_id': good, 'kernel_id': bad}), 'not-endorsed')
    refused(boot({'image_id': good, 'block_device_mapping': '[{}]'}),
            'volume-refused')
    # One that is not booted.
    for index in (-1, None, '-1'):
        volume = world.cinder.volume('atlas', {'image_id': bad})
        response = world.boot(good, devices=[
            {**LOCAL, 'uuid': good},
            {**VOLUME, 'uuid': volume, 'boot_index': index}])
        assert 'trust policy' not in response.text


def test_a_snapshot_of_a_volume(world, good, bad, inherit):
    def boot(metadata):
        volume = world.cinder.volume('atlas', metadata)
        return world.boot(devices=[{**SNAPSHOT, 'uuid': (
            world.cinder.snapshot('atlas', volume))}])
    assert 'trust policy' not in boot({'image_id': good}).text
    refused(boot({'image_id': bad}), 'not-endorsed')
    refused(boot({}), 'volume-refused')


def test_volumes_of_any_origin(world, good, bad):
    world.site.write_policy(volumes='allow')

    def boot(metadata):
        volume = world.cinder.volume('atlas', metadata)
        return world.boot(devices=[{**VOLUME, 'uuid': volume}])
    for metadata in ({}, {'image_id': good}, {'image_id': str(uuid.uuid4())}):
        assert 'trust policy' not in boot(metadata).text
    refused(boot({'image_id': bad}), 'not-endorsed')
    refused(boot({'kernel_id': bad}), 'not-endorsed')


@pytest.mark.parametrize('device', [
    {**DISK, 'uuid': '{good}', 'volume_id': '{volume}'},
    {**DISK, 'uuid': '{good}', 'snapshot_id': '{snapshot}'},
    {'source_type': 'blank', 'destination_type': 'volume', 'boot_index': 0,
     'volume_size': 1, 'volume_id': '{volume}'},
    {**VOLUME, 'uuid': '{good_volume}', 'image_id': '{bad}'},
    {**SNAPSHOT, 'uuid': '{good_snapshot}', 'volume_id': '{volume}'}])
def test_a_second_name_of_a_disk(world, good, bad, inherit, device):
    """Nova attaches a volume_id whatever source_type says."""
    volume = world.cinder.volume('atlas', {'image_id': bad})
    good_volume = world.cinder.volume('atlas', {'image_id': good})
    names = {'good': good, 'bad': bad, 'volume': volume,
             'snapshot': world.cinder.snapshot('atlas', volume),
             'good_volume': good_volume,
             'good_snapshot': world.cinder.snapshot('atlas', good_volume)}
    refused(world.boot(devices=[{
        key: value.format(**names) if isinstance(value, str) else value
        for key, value in device.items()}]), 'not-endorsed')


@pytest.mark.parametrize('device', [
    {'device_name': 'vda'}, {'device_name': '/dev/vdb'}, {}])
def test_the_old_form_of_a_mapping(world, good, bad, inherit, device):
    def boot(metadata, image=''):
        volume = world.cinder.volume('atlas', metadata)
        return world.boot(image, more={'block_device_mapping': [
            {**device, 'volume_id': volume}]})
    assert 'trust policy' not in boot({'image_id': good}).text
    for image in ('', good):
        refused(boot({'image_id': bad}, image), 'not-endorsed')


def test_unshelving_a_server_from_a_volume(world, good, bad):
    def unshelve(**root):
        return world.act(world.server(
            '', vm_state='shelved_offloaded', root=root), 'unshelve')
    taken(unshelve(source_type='image', image_id=good))
    refused(unshelve(source_type='image', image_id=bad), 'not-endorsed')
    volume = world.cinder.volume('atlas', {'image_id': good})
    refused(unshelve(volume_id=volume), 'volume-refused')
    world.site.write_policy(volumes='inherit')
    taken(unshelve(volume_id=volume))


def test_what_others_have_is_not_shown(world, good, inherit):
    world.site.write_policy(volumes='inherit', enforcement=[
        {'project': world.keystone.project('cms'), 'mode': 'permissive'}])
    bob = world.client('bob', 'cms')
    image = bob.create(visibility='shared')
    assert bob.put(image, os.urandom(64)).status_code == 204
    world.site.write_policy(volumes='inherit')

    def said(response):
        return response.status_code, response.json()
    gone = str(uuid.uuid4())
    assert said(world.boot(image)) == said(world.boot(gone))
    server = world.server(good)
    for action, name in (('rebuild', 'imageRef'),
                         ('rescue', 'rescue_image_ref')):
        first, second = (
            world.act(server, action, {name: each}) for each in (image, gone))
        assert first.status_code == second.status_code == 400
        assert first.text.replace(image, gone) == second.text
    refused(world.boot(image, user='bob'), 'not-endorsed')
    refused(world.boot(image, user='admin'), 'not-endorsed')
    # As it was shared before it lost its endorsement.
    world.cloud.glance.query(
        'INSERT INTO image_members (image_id, member, can_share, created_at, '
        "deleted, status) VALUES (?, ?, 0, '2026-01-01', 0, 'accepted')",
        (image, world.keystone.project('atlas')))
    refused(world.boot(image), 'not-endorsed')
    # Of a public image, too, that may not boot: a volume says its name.
    bad = world.stranger()
    world.site.write_policy(volumes='inherit')
    world.cloud.glance.query(
        "UPDATE images SET visibility = 'public' WHERE id = ?", (bad,))
    for metadata in ({}, {'image_id': bad}, {'image_id': gone}):
        volume = world.cinder.volume('cms', metadata)
        for device, each in ((VOLUME, volume), (
                SNAPSHOT, world.cinder.snapshot('cms', volume))):
            first, second = (world.boot(devices=[{**device, 'uuid': name}])
                             for name in (each, gone))
            assert first.status_code == second.status_code == 400
            assert first.text.replace(each, gone) == second.text


def test_servers_of_others(world, good, bad):
    server = world.server(bad, project='cms')
    for action in ('rescue', 'unshelve', 'shelve'):
        assert world.act(server, action).status_code == 404
        assert world.act(str(uuid.uuid4()), action).status_code == 404
        assert world.act('x', action).status_code == 404


NAMED = '{"server": {"name": "n", "flavorRef": "1", "imageRef": %s}}'
BODIES = {
    'nothing': b'', 'no JSON': b'{', 'a number': b'5', 'null': b'null',
    'a list': b'[]', 'list of one': b'["rescue"]', 'text': b'"rescue"',
    'no object': b'{"server": []}', 'null server': b'{"server": null}',
    'not UTF-8': b'{"server": "\xff"}', 'a mark': b'\xef\xbb\xbf{}',
    'UTF-16': '{"server": {}}'.encode('utf-16'),
    'deep': b'[' * 50000, 'deep server': b'{"server":' * 5000,
    'deep mapping': b'{"server": {"block_device_mapping_v2": %s'
                    % (b'[' * 9000),
    'NaN': (NAMED % 'NaN').encode(), 'true': (NAMED % 'true').encode(),
    'a list of ids': (NAMED % '["x"]').encode(),
    'an object': (NAMED % '{"id": "x"}').encode(),
    'a long number': (NAMED % ('9' * 5000)).encode(),
    'a surrogate': (NAMED % '"\\ud800"').encode(),
    'a zero': (NAMED % '"\\u0000"').encode(),
    'mapping of text': b'{"server": {"block_device_mapping_v2": "x"}}',
    'mapping of numbers': b'{"server": {"block_device_mapping": [1]}}',
    'mapping of lists': b'{"server": {"block_device_mapping_v2": [[]]}}',
    'odd index': b'{"server": {"block_device_mapping_v2": [{"boot_index": '
                 b'1e999, "volume_id": "x"}]}}',
    'rescue': b'{"rescue": 5}', 'rescue list': b'{"rescue": []}',
    'two actions': b'{"rescue": null, "rebuild": {}}',
    'rebuild': b'{"rebuild": null}', 'rebuild id': b'{"rebuild": '
               b'{"imageRef": ["x"]}}',
    'gzip': gzip.compress(b'{"rescue": null}')}


@pytest.mark.parametrize('name', BODIES)
def test_bodies_of_any_shape(world, good, name):
    server = world.server(good) if name.startswith('re') else 'x'
    for path in ('/servers', f'/servers/{server}/action'):
        response = world.ask('POST', path, BODIES[name])
        assert 400 <= response.status_code < 500, response.text
        kind, = response.json()
        assert kind in ('badRequest', 'itemNotFound', 'forbidden')


def test_the_last_of_two_keys_counts(world, good, bad):
    def body(first, second):
        return (b'{"server": {"name": "n", "flavorRef": "%s", '
                b'"imageRef": "%s", "imageRef": "%s"}}' % tuple(
                    each.encode() for each in (FLAVOR, first, second)))
    taken(world.ask('POST', '/servers', body(bad, good)))
    refused(world.ask('POST', '/servers', body(good, bad)), 'not-endorsed')


@pytest.mark.parametrize('kind', [
    'application/json', 'text/plain', '', 'application/json; charset=utf-16',
    'application/x-www-form-urlencoded', 'application/xml', 'x'])
def test_types_of_bodies(world, good, bad, kind):
    for image, statuses in ((good, (202, 415)), (bad, (403, 415))):
        response = world.boot(image, **{'Content-Type': kind})
        assert response.status_code in statuses, response.text


def test_a_body_in_chunks(world, good, bad):
    def boot(image):
        body = json.dumps({'server': {
            'name': 'n', 'flavorRef': FLAVOR, 'imageRef': image}}).encode()
        session = requests.Session()
        session.trust_env = False
        return session.post(
            f'{world.nova.url}/v2.1/servers', timeout=60,
            data=iter([body[:9], body[9:]]), headers={
                'X-Auth-Token': world.token('alice', 'atlas'),
                'Content-Type': 'application/json'})
    taken(boot(good))
    refused(boot(bad), 'not-endorsed')


@pytest.mark.parametrize('form', [
    lambda name: name.replace('-', ''), '{{{}}}'.format, 'urn:uuid:{}'.format,
    f'{OTHER}{{}}'.format, '{}\n'.format, ' {}'.format])
def test_other_forms_of_an_id(world, good, bad, form):
    """Nova takes some of them, and for another image than we would."""
    for image in (good, bad):
        refused(world.boot(form(image)), 'not-endorsed',
                'is not the id of an image')


@pytest.fixture(scope='module')
def twins(world):
    """Two images of Alice's, whose ids differ in capitals alone."""
    low, data = f'abcdef{str(uuid.uuid4())[6:]}', os.urandom(64)
    world.alice.create(id=low, hepix_endorsement=world.site.endorse(data))
    assert world.alice.put(low, data).status_code == 204
    return low, world.stranger(id=low.upper())


TWINS = {
    'image': lambda world, low, up: world.boot(up),
    'mapping': lambda world, low, up: world.boot(
        devices=[{**DISK, 'uuid': up}]),
    'old form': lambda world, low, up: world.boot(more={
        'block_device_mapping': [{
            'device_name': 'vda', 'source_type': 'image', 'uuid': up}]}),
    'rebuild': lambda world, low, up: world.act(
        world.server(low), 'rebuild', {'imageRef': up}),
    'rescue': lambda world, low, up: world.act(
        world.server(low), 'rescue', {'rescue_image_ref': up}),
    'kernel': lambda world, low, up: world.boot(
        change(world, world.endorsed(), kernel_id=up)),
    'both': lambda world, low, up: world.boot(low, devices=[
        {**LOCAL, 'uuid': low}, {**DISK, 'uuid': up, 'boot_index': -1}]),
    'both as kernels': lambda world, low, up: world.boot(change(
        world, world.endorsed(), kernel_id=low, ramdisk_id=up))}


@pytest.mark.parametrize('way', TWINS)
def test_an_id_in_capitals_is_that_of_another_image(world, twins, way):
    """Users choose the ids of their images, and Glance minds capitals."""
    low, up = twins
    refused(TWINS[way](world, low, up), 'not-endorsed')
    assert 'trust policy' not in TWINS[way](world, low, low).text
