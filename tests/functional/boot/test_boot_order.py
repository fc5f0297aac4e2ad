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


"""A volume besides the root, and what lets it be booted in its place."""

import json

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.boot.booting import change
from tests.functional.boot.booting import DISK
from tests.functional.boot.booting import refused
from tests.testbed.client import wait

LOCAL = {**DISK, 'destination_type': 'local'}
DATA = {'source_type': 'volume', 'destination_type': 'volume',
        'boot_index': -1}
WAYS = {
    'another bus': ([{**DISK, 'disk_bus': 'virtio'}], {'disk_bus': 'scsi'}),
    'a bus of its own': ([DISK], {'disk_bus': 'scsi'}),
    'a bus that KVM has not': ([{**DISK, 'disk_bus': 'xen'}],
                               {'disk_bus': 'xen'}),
    'another type': ([DISK], {'device_type': 'lun'}),
    'a name of the root': ([{**LOCAL, 'device_name': '/dev/vdb'}], {}),
    'a name of the volume': ([LOCAL], {'device_name': '/dev/vdc'}),
    'a name in the image': ([LOCAL], {})}
RULES = {'refuse': 'which may be booted in place of the root disk: ',
         'inherit': 'Cinder does not say'}


def devices(root, image, volume, **more):
    return [*({**each, 'uuid': image} for each in root),
            {**DATA, 'uuid': volume, **more}]


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('way', WAYS)
def test_a_volume_that_may_be_booted_in_place_of_the_root(
        world, good, rule, way):
    world.site.write_policy(volumes=rule)
    image = good
    if way == 'a name in the image':
        image = change(world, world.endorsed(), root_device_name='/dev/vdb')
    root, more = WAYS[way]
    volume = world.cinder.volume('atlas')
    snapshot = world.cinder.snapshot('atlas', volume)
    local = image if 'local' in str(root) else ''
    for named in (devices(root, image, volume, **more), [
            {**each, 'source_type': 'snapshot', 'uuid': snapshot}
            if each['boot_index'] == -1 else each
            for each in devices(root, image, volume, **more)]):
        message = refused(
            world.boot(local, devices=named), 'volume-refused', RULES[rule])
        assert 'Attach it when the server runs, or leave out' in message
        refused(world.boot(local, devices=named[::-1]), 'volume-refused')
    # Without the volume nothing speaks against it.
    assert 'trust policy' not in world.boot(
        local, devices=devices(root, image, volume)[:-1]).text


@pytest.mark.parametrize('rule', RULES)
def test_data_beside_an_endorsed_root(world, good, rule):
    world.site.write_policy(volumes=rule)
    volume = world.cinder.volume('atlas')
    for root, image in (([LOCAL], good), ([DISK], '')):
        for more in ({}, {'boot_index': None}, {'device_type': 'disk'}):
            assert 'trust policy' not in world.boot(image, devices=devices(
                root, good, volume, **more)).text
    assert 'trust policy' not in world.boot(devices=[
        {**each, 'disk_bus': 'scsi'}
        for each in devices([DISK], good, volume)]).text


def test_a_root_whose_volume_has_a_name_for_it(world, good):
    world.site.write_policy(volumes='inherit')
    root = {**DISK, 'source_type': 'volume'}
    data = world.cinder.volume('atlas')
    plain = world.cinder.volume('atlas', {'image_id': good})
    assert 'trust policy' not in world.boot(
        devices=devices([root], plain, data)).text
    named = world.cinder.volume('atlas', {
        'image_id': good, 'root_device_name': '/dev/vdb'})
    assert 'trust policy' not in world.boot(
        devices=devices([root], named, data)[:-1]).text
    refused(world.boot(devices=devices([root], named, data)),
            'volume-refused', f'The volume {data}, which may be booted in '
            'place of the root disk')


def test_what_an_image_names_besides_its_root(world, good):
    """All of it is judged, and what the request adds."""
    world.site.write_policy(volumes='inherit')
    root, data = (world.cinder.snapshot('atlas', world.cinder.volume(
        'atlas', metadata)) for metadata in ({'image_id': good}, {}))
    more = world.cinder.volume('atlas')

    def image(*snapshots):
        image = world.stranger()
        # Nothing that can be endorsed: an operator said that it may stay.
        world.write(Fact.ADOPTED, Blockable.GLANCE_IMAGE, image,
                    sha512=world.admin.image(image)['os_hash_value'])
        world.site.write_policy(volumes='inherit')
        change(world, image, bdm_v2='True', root_device_name='/dev/vda',
               block_device_mapping=json.dumps([{
                   'source_type': 'snapshot', 'destination_type': 'volume',
                   'snapshot_id': snapshot, 'boot_index': at - (at > 0) * 2,
                   'disk_bus': 'virtio', 'device_type': 'disk',
                   'device_name': f'/dev/vd{"ab"[at]}'}
                   for at, snapshot in enumerate(snapshots)]))
        world.cloud.glance.query("UPDATE images SET size = 0, "
                                 "status = 'active' WHERE id = ?", (image,))
        wait(lambda: world.boot(image),
             lambda said: '[not-endorsed] Nobody' not in said.text)
        return image
    alone = image(root)
    assert 'trust policy' not in world.boot(alone).text
    refused(world.boot(alone, devices=devices([LOCAL], alone, more)),
            'volume-refused', f'The volume {more}, which may be booted')
    refused(world.boot(image(root, data)), 'volume-refused', 'of which the '
            f'snapshot {data} was made')
