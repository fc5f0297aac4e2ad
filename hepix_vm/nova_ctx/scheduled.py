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

"""For what the scheduler of Nova looks for a host, and what boots there."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.booted_server import given
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.opts import Occasion

# The task states (nova.compute.task_states) with which conductors ask for a
# host. Evacuate and rebuild have the same one; a hint of Nova's own tells
# them apart, and nothing else: a user might have given it to his server.
_REBUILDING = 'rebuilding'
_OCCASIONS: Mapping[str, Occasion] = {
    'unshelving': Occasion.UNSHELVE, 'migrating': Occasion.MIGRATE,
    _REBUILDING: Occasion.EVACUATE}
_RESIZING = 'resize_prep'


@dataclasses.dataclass(frozen=True, slots=True)
class Scheduled:
    """One server for which a host is looked for.

    :param project: id of its project
    """

    occasion: Occasion
    project: str
    wanted: Wanted


def find(spec: Any) -> Scheduled:
    """Return what a request to the scheduler is about.

    What nobody knows is taken for a new server: those are judged.

    :param spec: a RequestSpec of Nova's, as the scheduler has it
    :raises Unknown: Nova does not find the server, or its cell does not
        answer
    """
    from nova import exception
    from oslo_db import exception as db

    try:
        return _find(spec)
    except (exception.NovaException, db.DBError) as error:
        raise Unknown('Nova does not say now what the server is.') from error


def _find(spec: Any) -> Scheduled:
    from nova import context as contexts
    from nova import objects

    context = spec._context.elevated()
    mapping = objects.InstanceMapping.get_by_instance_uuid(
        context, spec.instance_uuid)
    if mapping.cell_mapping is None:
        # Before hints are looked at: those of a new server are its user's.
        return _new(objects.BuildRequest.get_by_instance_uuid(
            context, spec.instance_uuid))
    with contexts.target_cell(context, mapping.cell_mapping) as cell:
        instance = objects.Instance.get_by_uuid(
            cell, spec.instance_uuid,
            expected_attrs=['flavor', 'system_metadata'])
        server = booted_server.of(cell, instance)
    occasion = _occasion(spec, instance)
    if occasion is Occasion.REBUILD:
        # Nova has changed the server already, and the image here.
        image = spec.image.id if spec.image and 'id' in spec.image else ''
        return Scheduled(Occasion.REBUILD, instance.project_id, Wanted(
            given(image), given(instance.kernel_id, instance.ramdisk_id),
            instead=server.instead))
    return Scheduled(occasion, instance.project_id, (
        booted_server.unshelved(server) if occasion is Occasion.UNSHELVE
        else booted_server.running(server)))


def _new(request: Any) -> Scheduled:
    """Return what a server boots that is not made yet.

    :param request: a BuildRequest of Nova's
    """
    instance = request.instance
    return Scheduled(
        Occasion.CREATE, instance.project_id,
        Wanted(given(instance.image_ref),
               given(instance.kernel_id, instance.ramdisk_id))
        + bootable.mapped([*_devices(request.block_device_mappings)],
                          instance.root_device_name))


def _devices(mappings: Any) -> Iterator[dict[str, Any]]:
    """Yield block devices as requests have them."""
    for device in mappings:
        yield {name: device[name] for name in (
            'boot_index', 'image_id', 'volume_id', 'snapshot_id',
            'disk_bus', 'device_type', 'device_name')
            if device.obj_attr_is_set(name)}


def _occasion(spec: Any, instance: Any) -> Occasion:
    from nova.scheduler import utils

    if instance.task_state == _REBUILDING and utils.request_is_rebuild(spec):
        return Occasion.REBUILD
    if instance.task_state == _RESIZING:
        return (Occasion.MIGRATE
                if spec.flavor.flavorid == instance.flavor.flavorid
                else Occasion.RESIZE)
    return _OCCASIONS.get(instance.task_state, Occasion.CREATE)
