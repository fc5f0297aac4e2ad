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


"""What a request would have Nova boot, read the way Nova reads it.

Spellings of a path, and a method that the query overrides, are not imitated:
the library that Nova 34 hands a request to is asked with Nova's own
templates, as nova.api.wsgi.Router uses it. The body is one JSON document, of
which the last of equal keys counts.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any

import routes
import routes.middleware

Environ = dict[str, Any]

# From nova.api.openstack.compute.routes: what makes servers, and what does
# something with one.
_ROUTES = (('/servers', 'create'), ('/os-volumes_boot', 'create'),
           ('/servers/{id}/action', 'action'))
# As ProjectMapper of nova.api.openstack has it.
_PROJECT = '/{project_id:[0-9a-f-]+}'
# Actions of a server by which an image is booted or made.
REBUILD, RESCUE, UNSHELVE = 'rebuild', 'rescue', 'unshelve'
IMAGING = ('shelve', 'createImage', 'createBackup')
_ACTIONS = (REBUILD, RESCUE, UNSHELVE, *IMAGING)
# The names that an image or a volume has in a block device mapping.
IMAGE, VOLUME, SNAPSHOT = 'image', 'volume', 'snapshot'
# The name that Nova gives to the first disk of a bus. What names another bus,
# which KVM does not have, gets one that is guessed from the disk's name.
FIRST = {'virtio': 'vda', 'scsi': 'sda', 'sata': 'sda', 'usb': 'sda',
         'ide': 'hda'}


class Unreadable(Exception):
    """A body that Nova takes for none, or refuses whatever it means."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be booted, by the ids that were given.

    :param images: Glance's; Nova asks Glance for each
    :param kept: the same, of which a host may have a copy that it boots
        without asking Glance
    :param former: the same, which may be gone without harm
    :param volumes: Cinder's, of volumes that are there
    :param snapshots: Cinder's, of which volumes are made
    :param instead: kind and id of what is attached besides, where it is not
        certain that the root is the first disk, which is booted
    :param beside: the same, where it is certain, unless an image or a volume
        that is booted names disks or gives the root a name
    """

    images: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    instead: tuple[tuple[str, str], ...] = ()
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether there is no disk that is meant to be booted."""
        return dataclasses.replace(self, instead=(), beside=()) == Wanted()

    def __add__(self, other: 'Wanted') -> 'Wanted':
        """Return what both want, each once."""
        return Wanted(*(tuple(dict.fromkeys(
            getattr(self, each.name) + getattr(other, each.name)))
            for each in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of Nova.

    :param action: ``create``, or as the API calls what is done with a server
    :param server: its id as it stands in the path; empty for a new one
    :param wanted: what the request itself names
    :param disks: whether it says itself what disks a new server has
    """

    action: str
    server: str = ''
    wanted: Wanted = Wanted()
    disks: bool = False


class BootRoutes:
    """Recognises the requests that are looked at."""

    def __init__(self) -> None:
        mapper = routes.Mapper()
        for template, action in _ROUTES:
            for prefix in (_PROJECT, ''):
                mapper.connect(prefix + template, controller=action,
                               action=action, conditions={'method': ['POST']})
        self._router = routes.middleware.RoutesMiddleware(_matched, mapper)

    def match(self, environ: Environ) -> dict[str, str] | None:
        """Return action and id of a request that is looked at."""
        # The library changes what it is given. Without a type it does not
        # look for a form in the body, which Nova refuses.
        probe = {**environ, 'CONTENT_TYPE': ''}
        self._router(probe, _start)
        found: dict[str, str] | None = probe.get('hepix_vm.route')
        return found


def _matched(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    environ['hepix_vm.route'] = environ['wsgiorg.routing_args'][1] or None
    return ()


def _start(*unused: Any) -> None:
    """Stand in for start_response; nothing is answered here."""


def asked(route: dict[str, str], body: bytes) -> Asked | None:
    """Return what a request asks; None if nothing is booted or imaged.

    :param route: as :meth:`BootRoutes.match` returns it
    :raises Unreadable: Nova can do nothing with the body
    """
    document = _document(body)
    if route['action'] == 'create':
        server = _object(_object(document).get('server'))
        return Asked('create', wanted=_created(server), disks=bool(
            server.get('block_device_mapping')
            or server.get('block_device_mapping_v2')))
    # Nova takes the one key for the action.
    keys = list(_object(document))
    if len(keys) != 1 or keys[0] not in _ACTIONS:
        return None
    action, = keys
    return Asked(action, route['id'], _acted(action, document[action]))


def _document(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable('Malformed request body') from error


def _acted(action: str, said: Any) -> Wanted:
    """Return what an action names itself."""
    if action == REBUILD:
        return Wanted(_one(_object(said).get('imageRef')))
    if action == RESCUE and said is not None:
        return Wanted(_one(_object(said).get('rescue_image_ref')))
    return Wanted()


def _created(server: dict[str, Any]) -> Wanted:
    """Return what a new server boots from."""
    # The old form does not say what is booted, and gives names to disks.
    old = [*sources(server.get('block_device_mapping'))]
    return _wanted_of([*((IMAGE, image) for image in _one(
        server.get('imageRef'))), *old]) + mapped(
            server.get('block_device_mapping_v2'))


def mapped(mapping: Any, root_device_name: Any = None) -> Wanted:
    """Return what a new server boots of a block device mapping.

    :param mapping: as requests have it
    :param root_device_name: as Nova has it of the server
    :raises Unreadable: it is no mapping
    """
    booted: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    devices = _devices(mapping)
    for device in devices:
        boots = _boots(device.get('boot_index'))
        for kind, name in _names(device):
            # Of an image a disk is made that may be booted later.
            (booted if boots or kind == IMAGE else others).append(
                (kind, name))
    return _wanted_of(booted) + (
        Wanted(beside=tuple(others))
        if boots_root_first(devices, root_device_name)
        else Wanted(instead=tuple(others)))


def boots_root_first(devices: Sequence[Mapping[str, Any]],
                     root_device_name: Any = None) -> bool:
    """Return whether a new server certainly boots from its root.

    Nova tells libvirt no order of the disks, and the first one is booted.
    Disks of one bus are sorted by their names, of which Nova gives the root
    the first one. Of several buses it is that of whatever Nova attaches
    first: volumes that are there before those that it makes of images. The
    name of the root is taken from the request or the image, and the others
    may get one before it.

    :param devices: all of the new server, as requests or images have them
    :param root_device_name: as Nova has it of the server
    """
    # What is empty or left out is the same to Nova for all devices.
    buses = [device.get('disk_bus') or None for device in devices]
    return (not root_device_name and buses == buses[:1] * len(buses)
            and all(bus in (None, *FIRST) for bus in buses)
            and all(not device.get('device_name')
                    and (device.get('device_type') or 'disk') == 'disk'
                    for device in devices))


def _wanted_of(found: Sequence[tuple[str, str]]) -> Wanted:
    """Return what :func:`sources` found."""
    images, volumes, snapshots = (
        tuple(name for kind, name in found if kind == wanted)
        for wanted in (IMAGE, VOLUME, SNAPSHOT))
    return Wanted(images, volumes=volumes, snapshots=snapshots)


def sources(mapping: Any) -> Iterator[tuple[str, str]]:
    """Yield all images, volumes and snapshots of a block device mapping.

    :param mapping: of a request, or of an image
    :returns: pairs of ``image``, ``volume`` or ``snapshot`` and an id
    :raises Unreadable: it is no mapping
    """
    for device in _devices(mapping):
        yield from _names(device)


def _devices(mapping: Any) -> list[dict[str, Any]]:
    if mapping is None:
        return []
    if not isinstance(mapping, list):
        raise Unreadable('A block device mapping is a list.')
    return [_object(device) for device in mapping]


def _names(device: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a device is made of.

    Whatever names a volume is taken for one, in each of the places that
    Nova has for it: nova.virt.block_device attaches a ``volume_id`` also
    where ``source_type`` says that one is to be made of an image.
    """
    kinds = {kind: _one(device.get(f'{kind}_id'))
             for kind in (IMAGE, VOLUME, SNAPSHOT)}
    kind = device.get('source_type')
    if isinstance(kind, str) and kind in kinds:
        kinds[kind] += _one(device.get('uuid'))
    for kind, names in kinds.items():
        yield from ((kind, name) for name in names)


def _boots(index: Any) -> bool:
    """Return whether a device is booted, as its boot_index says."""
    try:
        return index is not None and int(index) >= 0
    except (TypeError, ValueError, OverflowError):
        # Nova refuses it; nobody has to rely on that.
        return True


def _one(name: Any) -> tuple[str, ...]:
    """Return an id that may be left out.

    :raises Unreadable: it is something else
    """
    if not name and not isinstance(name, dict | list):
        return ()
    if not isinstance(name, str):
        raise Unreadable('An id of an image or a volume is a text.')
    return (name,)


def _object(value: Any) -> dict[str, Any]:
    """Return an object of JSON.

    :raises Unreadable: it is something else
    """
    if not isinstance(value, dict):
        raise Unreadable('Malformed request body')
    return value
