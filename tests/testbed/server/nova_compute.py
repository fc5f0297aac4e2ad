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


"""What nova-compute does with Glance, done by Nova's own code.

There is no hypervisor here, so ComputeManager and the libvirt driver do not
run as a whole: the steps of ``ComputeManager._snapshot_instance`` and of
``LibvirtDriver.snapshot`` are taken one by one. The calls to Glance are
those of nova.image.glance and python-glanceclient, and the states of servers
are saved by nova.objects.

Each line of standard input is a task and its arguments, in JSON; each gets
one line of answer.
"""

from collections.abc import Mapping
import io
import json
import sys
from typing import Any
import uuid

from nova.compute import task_states
from nova.compute import utils as compute_utils
from nova.compute import vm_states
from nova import config
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova.network import model as network_model
from nova import objects
from nova import utils
from nova.virt.libvirt import driver
from oslo_utils import timeutils


def context(user: str, project: str,
            token: str = '') -> nova_context.RequestContext:
    """Return a user's context in the one cell that there is."""
    found = nova_context.RequestContext(
        user, project, auth_token=token or None)
    admin = nova_context.get_admin_context()
    cell = next(cell for cell in objects.CellMappingList.get_all(admin)
                if not cell.is_cell0())
    nova_context.set_target_cell(found, cell)
    return found


def add(project: str, image: str, token: str, state: str | None = None,
        user: str = 'alice', kernel: str = '',
        vm_state: str = vm_states.ACTIVE, root: Mapping[str, str] = {},
        more: Mapping[str, str] = {}) -> str:
    """Make a server; return its id.

    :param token: sees the image, whose properties are kept as
        ``API._populate_instance_for_create`` keeps them
    :param root: what differs of the disk that it boots from
    :param more: its system metadata besides
    """
    ctxt = context(user, project, token)
    metadata = {}
    if image:
        metadata = utils.get_system_metadata_from_image(
            glance.API().get(ctxt, image))
        metadata['image_base_image_ref'] = image
    instance = objects.Instance(
        ctxt, uuid=str(uuid.uuid4()), user_id=user, project_id=project,
        image_ref=image, kernel_id=kernel, ramdisk_id=kernel,
        display_name='server', host='compute1', node='compute1', compute_id=1,
        vm_state=vm_state, task_state=state, power_state=1,
        root_device_name='/dev/vda', system_metadata={**metadata, **more},
        launched_at=timeutils.utcnow(), flavor=objects.Flavor(
            name='tiny', memory_mb=64, vcpus=1, root_gb=1, ephemeral_gb=0,
            swap=0, flavorid='1', rxtx_factor=1.0, vcpu_weight=0,
            disabled=False, is_public=True, extra_specs={}))
    instance.old_flavor = instance.new_flavor = None
    instance.info_cache = objects.InstanceInfoCache(
        ctxt, network_info=network_model.NetworkInfo())
    instance.create()
    _complete(ctxt, instance, root)
    return str(instance.uuid)


def _complete(ctxt: nova_context.RequestContext, instance: objects.Instance,
              root: Mapping[str, str]) -> None:
    """Make what Nova keeps of a server beside it."""
    image = instance.image_ref
    objects.BlockDeviceMapping(ctxt, instance_uuid=instance.uuid, **{
        'boot_index': 0, 'device_name': '/dev/vda',
        'delete_on_termination': True,
        'source_type': 'image' if image else 'volume',
        'image_id': image or None,
        'destination_type': 'local' if image else 'volume',
        'volume_id': None if image else str(uuid.uuid4()),
        'guest_format': None, 'device_type': 'disk', 'disk_bus': 'virtio',
        **root}).create()
    objects.InstanceMapping(
        ctxt, instance_uuid=instance.uuid, project_id=instance.project_id,
        user_id=instance.user_id,
        cell_mapping=objects.CellMapping.get_by_uuid(
            nova_context.get_admin_context(), ctxt.cell_uuid)).create()
    # Without it Nova neither rebuilds nor unshelves one.
    objects.RequestSpec.from_components(
        ctxt, instance.uuid, None, instance.flavor, None, None, {}, None,
        None).create()


def state(server: str, state: str | None) -> None:
    """Set the task state of a server."""
    instance = _instance(context('nova', 'service'), server)
    instance.task_state = state
    instance.save()


def upload(server: str, image: str, token: str, data: str,
           project: str, shelving: bool = False) -> None:
    """Upload the disk of a server, as at the end of a snapshot."""
    ctxt = context('alice', project, token)
    instance = _instance(ctxt, server)
    api = glance.API()
    snapshot = api.get(ctxt, image)
    # LibvirtDriver.snapshot does not use itself for this.
    metadata = driver.LibvirtDriver._create_snapshot_metadata(
        None, instance.image_meta, instance, 'raw', snapshot['name'])
    instance.task_state = (task_states.SHELVING_IMAGE_UPLOADING if shelving
                           else task_states.IMAGE_UPLOADING)
    instance.save()
    try:
        api.update(ctxt.elevated(), image, metadata,
                   io.BytesIO(data.encode()))
    finally:
        instance.task_state = None
        instance.save()


def location(server: str, image: str, token: str, project: str) -> None:
    """Show Glance where the disk lies, as with Ceph."""
    ctxt = context('alice', project, token)
    instance = _instance(ctxt, server)
    metadata = driver.LibvirtDriver._create_snapshot_metadata(
        None, instance.image_meta, instance, 'raw', 'snapshot')
    metadata['location'] = f'rbd://cluster/images/{image}/snap'
    glance.API().update(ctxt.elevated(), image, metadata, purge_props=False)


def volume_backed(server: str, token: str, project: str) -> str:
    """Make the image of a server that boots from a volume.

    As ``API.snapshot_volume_backed`` does when Cinder has made its
    snapshots.
    """
    ctxt = context('alice', project, token)
    meta = compute_utils.initialize_instance_snapshot_metadata(
        ctxt, _instance(ctxt, server), 'snapshot')
    meta['size'] = 0
    for name in ('container_format', 'disk_format'):
        meta.pop(name, None)
    meta['properties'].update(
        root_device_name='/dev/vda', bdm_v2=True, block_device_mapping=[
            {'snapshot_id': str(uuid.uuid4()), 'boot_index': 0,
             'source_type': 'snapshot', 'destination_type': 'volume'}])
    return glance.API().create(ctxt, meta)['id']


def _instance(ctxt: nova_context.RequestContext,
              server: str) -> objects.Instance:
    return objects.Instance.get_by_uuid(
        ctxt.elevated(), server, expected_attrs=['system_metadata', 'flavor'])


TASKS = {task.__name__: task
         for task in (add, state, upload, location, volume_backed)}


def main() -> None:
    """Do what is asked until the input ends."""
    config.parse_args(['nova-compute'], default_config_files=[sys.argv[1]])
    objects.register_all()
    for line in sys.stdin:
        task, arguments = json.loads(line)
        answer: Any
        try:
            answer = {'result': TASKS[task](**arguments)}
        except exception.NovaException as error:
            answer = {'error': type(error).__name__, 'text': str(error),
                      'forbidden': isinstance(error, exception.Forbidden)}
        except Exception as error:
            # Of python-glanceclient, which Nova passes on.
            answer = {'error': type(error).__name__, 'text': str(error)}
        print(json.dumps(answer), flush=True)


main()
