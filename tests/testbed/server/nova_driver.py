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

"""Nova's own code, told by lines of JSON what to do; run by nova.py.

It is what nova-compute would do, without a hypervisor: the rows of servers
and their task states are written by Nova's objects, and Glance is asked by
Nova's own client, with the user's token and Nova's service token.
"""

import io
import json
import sys
from typing import Any

from nova.compute import power_state
from nova.compute import task_states
from nova.compute import utils as compute_utils
from nova import config
from nova import context as nova_context
from nova.image import glance
from nova.network import model
from nova import objects
from nova.objects import image_meta
from nova import utils
from nova.virt.libvirt import driver


def _context(user: str, project: str) -> nova_context.RequestContext:
    return nova_context.RequestContext(
        user_id=user, project_id=project, roles=['member', 'reader'],
        auth_token=f'{user}:{project}:member,reader')


def _instance(uuid: str) -> objects.Instance:
    return objects.Instance.get_by_uuid(
        nova_context.get_admin_context(), uuid,
        expected_attrs=['system_metadata'])


def create(project: str, image_ref: str, image: dict[str, Any]) -> str:
    """Write the row of a server, as the API would after a boot.

    :param image: as Glance shows it; Nova copies what it wants of it
    """
    flavor = objects.Flavor(
        flavorid='1', name='tiny', memory_mb=64, vcpus=1, root_gb=0,
        ephemeral_gb=0, swap=0, rxtx_factor=1.0, vcpu_weight=0, id=1,
        disabled=False, is_public=True, extra_specs={}, description=None,
        created_at=None, updated_at=None, deleted_at=None, deleted=False)
    known = {'properties': {}, **{
        name: image[name] for name in ('disk_format', 'container_format')
        if name in image}}
    for name, value in image.items():
        if name.startswith(('hepix_', 'img_', 'os_', 'trait:', 'hw_', 'x_')):
            if not name.startswith('os_hash') and name != 'os_hidden':
                known['properties'][name] = value
    instance = objects.Instance(
        nova_context.get_admin_context(), user_id='alice',
        project_id=project, image_ref=image_ref, flavor=flavor,
        old_flavor=None, new_flavor=None, vm_state='active',
        power_state=power_state.RUNNING, display_name='server',
        hostname='server', kernel_id='', ramdisk_id='',
        root_device_name='/dev/vda',
        info_cache=objects.InstanceInfoCache(
            network_info=model.NetworkInfo()),
        system_metadata=utils.get_system_metadata_from_image(known))
    instance.create()
    return str(instance.uuid)


def state(uuid: str, task_state: str | None) -> None:
    """Set a server's task state."""
    instance = _instance(uuid)
    instance.task_state = task_state
    instance.save()


def snapshot(uuid: str, user: str, project: str, data: str,
             metadata: dict[str, str] | None = None,
             task_state: str = task_states.IMAGE_UPLOADING) -> str:
    """Make an image of a server whose disk holds this data.

    :param metadata: what the user gave to createImage
    :param task_state: of the server while its image is uploaded
    """
    api = glance.API()
    context = _context(user, project)
    instance = _instance(uuid)
    # As nova.compute.api.API.snapshot does.
    made = compute_utils.create_image(
        context, instance, 'snapshot', 'snapshot', api,
        extra_properties=metadata)
    upload(uuid, user, project, made['id'], data, task_state)
    return str(made['id'])


def upload(uuid: str, user: str, project: str, image_id: str,
           data: str,
           task_state: str = task_states.IMAGE_UPLOADING) -> None:
    """Upload as nova.virt.libvirt.driver.LibvirtDriver.snapshot does."""
    instance = _instance(uuid)
    described = driver.LibvirtDriver._create_snapshot_metadata(
        None, image_meta.ImageMeta.from_instance(instance), instance, 'raw',
        'snapshot')
    instance.task_state = task_state
    instance.save()
    try:
        glance.API().update(_context(user, project), image_id, described,
                            io.BytesIO(data.encode()))
    finally:
        instance.task_state = None
        instance.save()


def direct(uuid: str, user: str, project: str) -> None:
    """Name a location, as the rbd backend's direct snapshot does."""
    context = _context(user, project)
    instance = _instance(uuid)
    made = compute_utils.create_image(
        context, instance, 'snapshot', 'snapshot', glance.API())
    described = driver.LibvirtDriver._create_snapshot_metadata(
        None, image_meta.ImageMeta.from_instance(instance), instance, 'raw',
        'snapshot')
    described['location'] = 'rbd://fsid/pool/image/snap'
    glance.API().update(context, made['id'], described, purge_props=False)


def volume_backed(uuid: str, user: str, project: str) -> None:
    """Make the image of a server that runs from a volume.

    As nova.compute.api.API.snapshot_volume_backed does, without Cinder.
    """
    context = _context(user, project)
    described = compute_utils.initialize_instance_snapshot_metadata(
        context, _instance(uuid), 'snapshot')
    described['size'] = 0
    for name in ('container_format', 'disk_format'):
        described.pop(name, None)
    glance.API().create(context, described)


_COMMANDS = {command.__name__: command for command in (
    create, state, snapshot, upload, direct, volume_backed)}


def main() -> None:
    """Do what each line says, and answer with a line."""
    config.parse_args(['nova', *sys.argv[1:]])
    objects.register_all()
    # Whatever Nova prints must not come between.
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({'done': 'ready'}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {'done': _COMMANDS[asked.pop('command')](**asked)}
        except Exception as error:
            answer = {'failed': f'{type(error).__name__}: {error}'}
        print(json.dumps(answer), file=answers, flush=True)
