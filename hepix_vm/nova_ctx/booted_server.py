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


"""What Nova has on record of a server that is to be booted again.

Nova's own code is asked, as whoever asks it: nobody learns of servers that
he may not see.
"""

import copy
import dataclasses
from typing import Any

from hepix_vm.nova_ctx.bootable import Asked
from hepix_vm.nova_ctx.bootable import FIRST
from hepix_vm.nova_ctx.bootable import IMAGE
from hepix_vm.nova_ctx.bootable import REBUILD
from hepix_vm.nova_ctx.bootable import RESCUE
from hepix_vm.nova_ctx.bootable import SNAPSHOT
from hepix_vm.nova_ctx.bootable import UNSHELVE
from hepix_vm.nova_ctx.bootable import VOLUME
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.lookup import Unknown


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """The disk from which a server boots, if it is a volume.

    :param image_id: Glance's id of the image of which Nova had the volume
        made; empty if the volume was there, or is made of a snapshot
    """

    volume_id: str = ''
    snapshot_id: str = ''
    image_id: str = ''

    def names(self) -> list[tuple[str, str]]:
        """Return kind and id of what it is, what it was made of first."""
        return [(kind, name) for kind, name in (
            (IMAGE, self.image_id), (VOLUME, self.volume_id),
            (SNAPSHOT, self.snapshot_id)) if name]


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server as Nova remembers it; what it does not have is empty.

    :param project: id of its project
    :param image_id: Glance's id of the image on its disk
    :param base_image_id: that of the image it is rescued with
    :param shelved_image_id: that of what was made of its disk
    :param root: None if it does not boot from a volume
    :param instead: kind and id of what else is attached to it, where it is
        not certain that it boots from its root
    :param hosted: whether it is shelved and still on its host, which boots
        the disk that is there
    """

    project: str
    image_id: str = ''
    kernel_id: str = ''
    ramdisk_id: str = ''
    base_image_id: str = ''
    shelved_image_id: str = ''
    root: Root | None = None
    instead: tuple[tuple[str, str], ...] = ()
    hosted: bool = False


def find(context: Any, identifier: str) -> Server | None:
    """Return a server; None if Nova will not find it, or is building it.

    :param context: Nova's, of the request
    :param identifier: as the path has it
    :raises Unknown: its cell does not answer
    """
    from nova import exception
    from oslo_db import exception as db

    try:
        return _find(context, identifier)
    except exception.InstanceNotFound:
        return None
    except (exception.NovaException, db.DBError) as error:
        raise Unknown('Nova does not say now what the server is.') from error


def _find(context: Any, identifier: str) -> Server | None:
    from nova.compute import api
    from nova.compute import vm_states

    # Nova writes into it in which cell the server is.
    context = copy.copy(context)
    instance = api.API().get(context, identifier)
    # Nova refuses all that is looked at here until it is built.
    if instance.vm_state == vm_states.BUILDING:
        return None
    return of(context, instance)


def of(context: Any, instance: Any) -> Server:
    """Return a server.

    :param context: Nova's, which leads to its cell
    :param instance: Nova's, with its system_metadata
    """
    from nova.compute import utils
    from nova.compute import vm_states
    from nova import objects

    devices = objects.BlockDeviceMappingList.get_by_instance_uuid(
        context, instance.uuid)
    known = instance.system_metadata
    return Server(
        instance.project_id, instance.image_ref or '',
        instance.kernel_id or '', instance.ramdisk_id or '',
        known.get('image_base_image_ref') or '',
        known.get('shelved_image_id') or '',
        root_of(devices) if utils.is_volume_backed_instance(
            context, instance, devices) else None,
        others_of(devices), instance.vm_state == vm_states.SHELVED)


def root_of(devices: Any) -> Root:
    """Return the volume from which a server boots.

    :param devices: a BlockDeviceMappingList of Nova's
    """
    found = devices.root_bdm()
    return Root() if found is None else _origin(found)


def others_of(devices: Any) -> tuple[tuple[str, str], ...]:
    """Return kind and id of what may be booted in place of the root.

    :param devices: a BlockDeviceMappingList of Nova's, of a server that was
        started: Nova gave names to its disks, and keeps them
    :returns: nothing where it is certain that the root is the first disk
    """
    root = devices.root_bdm()
    buses = {_bus(device) for device in devices}
    if (root is not None and len(buses) == 1
            and all(_of(device, 'device_type', 'disk') == 'disk'
                    for device in devices)
            and _name(root) == FIRST.get(*buses)):
        return ()
    return tuple(pair for device in devices if device is not root
                 for pair in _origin(device).names()[:1])


def _name(device: Any) -> str:
    return _of(device, 'device_name', '').removeprefix('/dev/')


def _bus(device: Any) -> str:
    """Return the bus of a disk.

    Nova does not record that of a volume that was attached later, and takes
    it from its name, as nova.virt.libvirt.blockinfo has it.
    """
    return _of(device, 'disk_bus', '') or {
        'vd': 'virtio', 'sd': 'scsi', 'hd': 'ide'}.get(_name(device)[:2], '')


def _of(device: Any, field: str, default: str) -> str:
    said = device[field] if device.obj_attr_is_set(field) else None
    return said or default


def _origin(found: Any) -> Root:
    image = found.image_id if found.source_type == 'image' else ''
    return Root(found.volume_id or '', found.snapshot_id or '', image or '')


def wanted(asked: Asked, server: Server) -> Wanted:
    """Return what a request boots besides what it names itself.

    :param asked: of this server
    """
    if asked.action == RESCUE:
        # As ComputeManager._get_rescue_image chooses.
        default = server.base_image_id or server.image_id
        # As LibvirtDriver.rescue takes them.
        return Wanted(kept=given(
            '' if asked.wanted.images else default,
            server.kernel_id, server.ramdisk_id))
    if asked.action == REBUILD:
        # The rest is said by the request.
        return Wanted(instead=server.instead)
    return unshelved(server) if asked.action == UNSHELVE else Wanted()


def unshelved(server: Server) -> Wanted:
    """Return what a server boots that comes back to a host."""
    found = of_root(server.root) if server.root else Wanted()
    return Wanted(
        given(server.shelved_image_id) + found.images,
        given(server.kernel_id, server.ramdisk_id,
              server.image_id if server.hosted else ''),
        # A rebuilt volume has the second.
        given('' if server.hosted else server.image_id,
              server.base_image_id),
        found.volumes, found.snapshots, server.instead)


def running(server: Server) -> Wanted:
    """Return what a server boots that another host takes over."""
    return Wanted(instead=server.instead) + (
        of_root(server.root) if server.root else Wanted(kept=given(
            server.image_id, server.kernel_id, server.ramdisk_id)))


def of_root(root: Root) -> Wanted:
    """Return what the volume of a server that is there was made of."""
    if root.image_id:
        return Wanted((root.image_id,))
    if root.volume_id:
        return Wanted(volumes=(root.volume_id,))
    return Wanted(snapshots=given(root.snapshot_id))


def given(*names: str | None) -> tuple[str, ...]:
    """Return the ids that are there."""
    return tuple(name for name in names if name)
