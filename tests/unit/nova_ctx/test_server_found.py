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


"""What Nova says of a server, or does not say."""

from types import SimpleNamespace

from nova.compute import api
from nova import exception
from nova import objects
from oslo_db import exception as db
import pytest

from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.lookup import Unknown

SERVER = 'aaaaaaaa-0000-4000-8000-aaaaaaaaaaaa'
IMAGE = 'bbbbbbbb-0000-4000-8000-bbbbbbbbbbbb'
SHELVED = 'cccccccc-0000-4000-8000-cccccccccccc'
SILENT = [db.DBConnectionError(), db.DBError(),
          exception.InstanceInfoCacheNotFound(instance_uuid=SERVER)]

objects.register_all()


@pytest.fixture
def nova(monkeypatch):
    """What Nova has in the database of a cell."""
    nova = SimpleNamespace(
        devices=objects.BlockDeviceMappingList(objects=[
            objects.BlockDeviceMapping(
                boot_index=0, source_type='image', destination_type='local',
                image_id=IMAGE, volume_id=None, snapshot_id=None,
                device_name='/dev/vda', disk_bus=None, device_type='disk')]),
        instance=objects.Instance(
            uuid=SERVER, project_id='p1', image_ref=IMAGE, kernel_id='',
            ramdisk_id='', root_device_name='/dev/vda', vm_state='active',
            system_metadata={'shelved_image_id': SHELVED}))

    def said(name):
        if isinstance(getattr(nova, name), Exception):
            raise getattr(nova, name)
        return getattr(nova, name)
    monkeypatch.setattr(api, 'API', lambda: SimpleNamespace(
        get=lambda context, server: said('instance')))
    monkeypatch.setattr(
        objects.BlockDeviceMappingList, 'get_by_instance_uuid',
        lambda context, server: said('devices'))
    return nova


def find():
    return booted_server.find(SimpleNamespace(), SERVER)


@pytest.mark.parametrize('error', SILENT)
@pytest.mark.parametrize('what', ['instance', 'devices'])
def test_a_cell_that_is_silent(nova, what, error):
    setattr(nova, what, error)
    with pytest.raises(Unknown, match='does not say now what the server is'):
        find()


def test_a_server_that_is_not_there(nova):
    nova.instance = exception.InstanceNotFound(instance_id=SERVER)
    assert find() is None


def test_a_server_that_is_being_built(nova):
    nova.instance.vm_state = 'building'
    assert find() is None


def test_a_server(nova):
    assert find() == booted_server.Server(
        'p1', IMAGE, shelved_image_id=SHELVED)


def test_what_else_is_attached(nova):
    nova.devices.objects.append(objects.BlockDeviceMapping(
        boot_index=None, source_type='volume', destination_type='volume',
        image_id=None, volume_id=SERVER, snapshot_id=None,
        device_name='/dev/sdb', disk_bus=None, device_type=None))
    assert find().instead == (('volume', SERVER),)


@pytest.mark.parametrize('state, kept, former', [
    # Its disk is still on its host.
    ('shelved', (IMAGE,), ()), ('shelved_offloaded', (), (IMAGE,))])
def test_a_server_that_is_unshelved(nova, state, kept, former):
    nova.instance.vm_state = state
    assert booted_server.unshelved(find()) == Wanted(
        (SHELVED,), kept, former)
