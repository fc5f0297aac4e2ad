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


"""Which disk is booted, as Nova's own code and libvirt have it."""

import copy
import json
from unittest import mock

from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from nova import block_device as nova_bdm
from nova.compute import api
from nova.compute import manager
import nova.conf
from nova import context as contexts
from nova import exception
from nova import objects
from nova.virt import driver
from nova.virt.libvirt import blockinfo
from nova.virt.libvirt import driver as libvirt
import pytest

from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import boots_root_first
from hepix_vm.nova_ctx.bootable import SNAPSHOT
from hepix_vm.nova_ctx.bootable import VOLUME
from hepix_vm.nova_ctx.bootable import Wanted

IMAGE, EVIL, SHOT = (
    f'{digit * 8}-0000-4000-8000-{digit * 12}' for digit in 'abc')
LOCAL = {'source_type': 'image', 'uuid': IMAGE, 'destination_type': 'local',
         'boot_index': 0}
MADE = {**LOCAL, 'destination_type': 'volume', 'volume_size': 1}
DATA = {'source_type': 'volume', 'uuid': EVIL, 'destination_type': 'volume',
        'boot_index': -1}
OTHER = {**DATA, 'source_type': 'snapshot', 'uuid': SHOT, 'boot_index': None}
BLANK = {'source_type': 'blank', 'destination_type': 'volume',
         'volume_size': 1, 'boot_index': -1}
EPHEMERAL = {'source_type': 'blank', 'destination_type': 'local',
             'boot_index': -1, 'volume_size': 1}
SWAP = {**EPHEMERAL, 'guest_format': 'swap'}

objects.register_all()


def index(name):
    """Return where a name stands, as virDiskNameToIndex of libvirt has it."""
    found = 0
    for letter in name.removeprefix('/dev/')[2:]:
        found = found * 26 + ord(letter) - ord('a') + 1
    return found


def sorted_as_libvirt_does(disks):
    """As virDomainDiskInsert has it.

    :param disks: pairs of bus and name, and what it is
    """
    found = []
    for disk in disks:
        at = None
        for position in reversed(range(len(found))):
            if found[position][0] != disk[0]:
                continue
            if index(found[position][1]) > index(disk[1]):
                at = position
            elif at is None:
                at = position + 1
        found.insert(len(found) if at is None else at, disk)
    return found


def booted(devices, image='', extra=None, name=None):
    """Return boot_index and source of the disk that KVM boots.

    :param image: imageRef
    :param extra: properties of the image
    :param name: its property root_device_name
    :raises NovaException: Nova would not make such a server
    """
    context = contexts.RequestContext('u', 'p', is_admin=False)
    flavor = objects.Flavor(ephemeral_gb=0, swap=0, root_gb=1, memory_mb=1,
                            vcpus=1, flavorid='1', extra_specs={})
    meta = objects.ImageMeta.from_dict({
        'disk_format': (extra or {}).pop('disk_format', 'raw'),
        'properties': extra or {}})
    found = api.API.__new__(api.API)._check_and_transform_bdm(
        context, {'root_device_name': name, 'image_ref': image}, flavor, {},
        1, 1, [nova_bdm.BlockDeviceDict.from_api(
            copy.copy(device), image_uuid_specified=bool(image))
            for device in devices], False)
    for number, device in enumerate(found):
        device.id, device.attachment_id = number, None
    instance = objects.Instance(
        uuid=SHOT, root_device_name=name, image_ref=image, config_drive='',
        flavor=flavor, ephemeral_gb=0, vm_mode=None, os_type=None,
        architecture=None, host='h', node='n', system_metadata={},
        project_id='p')
    compute = manager.ComputeManager.__new__(manager.ComputeManager)
    compute.driver = libvirt.LibvirtDriver.__new__(libvirt.LibvirtDriver)
    with mock.patch.object(objects.BlockDeviceMapping, 'save',
                           autospec=True), \
            mock.patch.object(objects.Instance, 'image_meta', meta), \
            mock.patch.object(blockinfo.configdrive, 'required_by',
                              autospec=True, return_value=False):
        compute._default_block_device_names(instance, meta, found)
        info = driver.get_block_device_info(instance, found)
        disks = blockinfo.get_disk_info('kvm', instance, meta, info)
    mapping = disks['mapping']
    # As LibvirtDriver._get_guest_storage_config puts them.
    given = [(each['bus'], each['dev'], each['type'], what)
             for key, what in (('disk', (0, 'image')), ('disk.eph0', None),
                               ('disk.swap', None))
             if (each := mapping.get(key))]
    for volume in info['block_device_mapping']:
        each = mapping[nova_bdm.prepend_dev(volume['mount_device'])]
        given.append((each['bus'], each['dev'], each['type'], (
            volume['boot_index'], volume._bdm_obj.source_type)))
    first = blockinfo.get_boot_order(disks)[0]
    return next(what for _, _, kind, what in sorted_as_libvirt_does(given)
                if blockinfo.BOOT_DEV_FOR_TYPE[kind] == first)


@pytest.fixture(autouse=True)
def kvm():
    nova.conf.CONF([], project='nova', default_config_files=[])
    nova.conf.CONF.set_override('virt_type', 'kvm', 'libvirt')
    yield
    nova.conf.CONF.reset()


def read(*devices):
    """Return what is read of a request."""
    return bootable.asked({'action': 'create'}, json.dumps({
        'server': {'block_device_mapping_v2': devices}}).encode()).wanted


WAYS = {
    'another bus': [{**MADE, 'disk_bus': 'virtio'},
                    {**DATA, 'disk_bus': 'scsi'}],
    'one bus named': [MADE, {**DATA, 'disk_bus': 'scsi'}],
    'a name': [{**LOCAL, 'device_name': '/dev/vdb'}, DATA],
    'a short name': [{**LOCAL, 'device_name': 'vdb'}, DATA],
    # Nova guesses the bus of the root, and not of the others.
    'a bus that KVM has not': [{**MADE, 'disk_bus': 'xen'},
                               {**DATA, 'disk_bus': 'xen'}]}


@pytest.mark.parametrize('way', WAYS)
def test_what_is_booted_in_place_of_the_root(way):
    image = IMAGE if 'local' in str(WAYS[way]) else ''
    assert booted(WAYS[way], image, {'hw_disk_bus': 'sata'} if 'KVM' in way
                  else {}) == (-1, 'volume')
    assert read(*WAYS[way]).instead == ((VOLUME, EVIL),)
    assert read(*WAYS[way]).beside == ()
    assert read(WAYS[way][0], {**WAYS[way][1], **OTHER}).instead == (
        (SNAPSHOT, SHOT),)


def test_a_name_that_the_image_gives():
    assert booted([LOCAL, DATA], IMAGE, name='/dev/vdb') == (-1, 'volume')
    # The request does not say it: it is seen where the image is.
    assert read(LOCAL, DATA) == Wanted((IMAGE,), beside=((VOLUME, EVIL),))
    assert bootable.mapped([LOCAL, DATA], '/dev/vdb') == Wanted(
        (IMAGE,), instead=((VOLUME, EVIL),))


BUSES = st.sampled_from([None, '', 'virtio', 'scsi', 'ide', 'usb', 'sata',
                         'fdc', 'xen', 'lxc'])
SHAPES = st.fixed_dictionaries({}, optional={
    'disk_bus': BUSES, 'device_name': st.sampled_from([
        '/dev/vda', 'vdb', 'sda', '/dev/sdb', 'hdb', 'xvda']),
    'device_type': st.sampled_from([None, 'disk', 'lun', 'cdrom', 'floppy']),
    'tag': st.just('x')})
# Most of them alike, so that there are such as are certain.
ALIKE = st.one_of(BUSES.map(lambda bus: {'disk_bus': bus}), st.just({}),
                  SHAPES)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from([LOCAL, MADE]), ALIKE,
       st.lists(st.sampled_from([DATA, OTHER, BLANK, EPHEMERAL, SWAP, MADE]),
                min_size=1, max_size=4),
       st.lists(SHAPES, max_size=2), st.permutations(range(5)),
       st.sampled_from([None, 'virtio', 'scsi', 'sata', 'ide', 'usb']),
       st.sampled_from(['raw', 'iso']), st.sampled_from([None, '/dev/vdb']))
@example(MADE, {}, [DATA], [{'disk_bus': 'scsi'}], range(5), None, 'raw', None)
def test_what_is_certain_is_certain(root, alike, others, odd, order, bus,
                                    form, name):
    devices = [{**root, **alike}, *(
        {**each, **alike, 'boot_index': -1} for each in others)]
    for device, shape in zip(devices, odd, strict=False):
        device.update(shape)
    devices = [devices[at] for at in order if at < len(devices)]
    if not boots_root_first(devices, name):
        return
    extra = {'hw_disk_bus': bus} if bus else {}
    try:
        found = booted(devices, IMAGE if root is LOCAL else '',
                       {**extra, 'disk_format': form}, name)
    except (exception.InvalidBDM, exception.InvalidBDMFormat,
            exception.UnsupportedHardware, exception.TooManyDiskDevices):
        return  # it would not be made
    assert found[0] == 0 and found[1] == 'image'


@pytest.mark.parametrize('devices', [
    [], [LOCAL], [LOCAL, DATA], [MADE, DATA, OTHER, BLANK, EPHEMERAL, SWAP],
    [{**MADE, 'device_type': 'disk'}, {**DATA, 'disk_bus': '', 'tag': 'x'}],
    [{**MADE, 'disk_bus': 'scsi'}, {**DATA, 'disk_bus': 'scsi'}],
    [{**MADE, 'volume_type': 'fast'}, {**DATA, 'device_name': None}]])
def test_what_may_stay_beside(devices):
    assert boots_root_first(devices)
    assert not boots_root_first(devices, '/dev/vda')
    assert not boots_root_first([*devices, {'device_name': 'vdc'}])


@pytest.mark.parametrize('field', ['disk_bus', 'device_type', 'device_name'])
@pytest.mark.parametrize('value', [
    'x', 5, True, ['virtio'], {'a': 1}, 1.5, 'virtio ', 'VIRTIO'])
def test_values_of_any_type(field, value):
    for devices in ([MADE, {**DATA, field: value}],
                    [{**MADE, field: value}, {**DATA, field: value}]):
        assert not boots_root_first(devices)
        assert read(*devices).instead == ((VOLUME, EVIL),)


def test_what_is_booted_anyway():
    assert read(LOCAL, {**DATA, 'boot_index': 1, 'disk_bus': 'scsi'}) == (
        Wanted((IMAGE,), volumes=(EVIL,)))
    assert read({**DATA, 'disk_bus': 'scsi'}).nothing
    assert read(DATA).nothing


def recorded(name, bus='virtio', kind='disk', **more):
    return objects.BlockDeviceMapping(**{
        'boot_index': None, 'image_id': None, 'volume_id': None,
        'snapshot_id': None, 'source_type': 'volume', 'device_name': name,
        'destination_type': 'volume', 'disk_bus': bus, 'device_type': kind,
        **more})


def others_of(*devices):
    from hepix_vm.nova_ctx import booted_server
    return booted_server.others_of(objects.BlockDeviceMappingList(
        objects=[*devices]))


DISK = {'boot_index': 0, 'source_type': 'image', 'image_id': IMAGE}


@pytest.mark.parametrize('name, bus, certain', [
    ('/dev/vda', 'virtio', True), ('vda', 'virtio', True),
    ('/dev/vda', None, True), ('/dev/vdb', 'virtio', False),
    ('/dev/vda', 'scsi', False), ('/dev/sda', 'virtio', False),
    (None, 'virtio', False), ('/dev/xvda', 'xen', False), (None, None, False),
    ('/dev/sda', 'scsi', False)])
def test_the_root_of_a_server_that_is_there(name, bus, certain):
    attached = recorded('/dev/vdc', None, None, volume_id=EVIL)
    assert others_of(recorded(name, bus, **DISK), attached) == (
        () if certain else ((VOLUME, EVIL),))


@pytest.mark.parametrize('name, bus, kind, certain', [
    ('/dev/vdb', 'virtio', 'disk', True), ('/dev/vdb', None, None, True),
    ('/dev/sdb', 'scsi', 'disk', False), ('/dev/sdb', None, None, False),
    ('/dev/vdb', 'virtio', 'lun', False), (None, None, None, False),
    ('/dev/hdb', None, None, False)])
def test_the_others_of_a_server_that_is_there(name, bus, kind, certain):
    others = [recorded(name, bus, kind, volume_id=EVIL),
              recorded('/dev/vdc', volume_id=EVIL, snapshot_id=SHOT,
                       source_type='snapshot'),
              recorded('/dev/vdd', snapshot_id=SHOT, source_type='snapshot'),
              recorded('/dev/vde', volume_id=EVIL, image_id=IMAGE,
                       source_type='image')]
    assert others_of(recorded('/dev/vda', **DISK), *others) == (
        () if certain else (
            (VOLUME, EVIL), (VOLUME, EVIL), (SNAPSHOT, SHOT),
            ('image', IMAGE)))


def test_a_server_without_a_root():
    assert others_of(recorded('/dev/vda', volume_id=EVIL)) == (
        (VOLUME, EVIL),)


def test_disks_on_each_bus():
    for name, bus in (('sd', 'scsi'), ('sd', 'sata'), ('sd', 'usb'),
                      ('hd', 'ide'), ('vd', 'virtio')):
        assert others_of(recorded(f'/dev/{name}a', bus, **DISK), recorded(
            f'/dev/{name}b', bus, volume_id=EVIL)) == ()
