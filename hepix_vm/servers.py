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

"""Nova's own record of servers, asked as an administrator.

What a request says of a server is written by whoever sends it; what Nova
answers here is not.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

from keystoneauth1 import adapter

from hepix_vm.errors import HepixVmError

# In which Nova makes an image of a server, those first in which it sends
# the bytes (nova.compute.task_states).
TASK_STATES = (
    ('image_uploading', 'shelving_image_uploading'),
    ('image_backup', 'image_snapshot_pending', 'image_snapshot', 'shelving',
     'image_pending_upload', 'shelving_image_pending_upload'))

# The first in which Nova says why a server is locked; of cells that do not
# answer it tells from 2.69 on.
VERSION = 'compute 2.73'
_NOT_SAID = object()
_MORE = 'OS-EXT-SRV-ATTR'


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of which an image is made.

    :param image_id: Glance's id of the image that it runs from; empty if
        it runs from a volume
    """

    identifier: str
    image_id: str


def being_imaged(nova: adapter.Adapter,
                 project: str | None) -> frozenset[Server]:
    """Return the servers of which images are made now.

    Those whose image is not sent yet count where none is being sent.

    :param project: the id of their project; None for all
    :raises HepixVmError: Nova does not say
    """
    for states in TASK_STATES:
        # Nova takes one state at a time, and the last of several.
        found = frozenset(server for state in states
                          for server in _in_state(nova, project, state))
        if found:
            return found
    return frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A server that is there, and from what it runs.

    :param status: as Nova says it; ``UNKNOWN`` if its cell does not answer
    :param image_id: Glance's id, as it was given to Nova; empty if it runs
        from a volume, and None if Nova does not say
    :param volumes: Cinder's ids of those that are attached to it, in lower
        case, as Cinder makes them, whatever Nova was given. It may run from
        one of them also where there is an image: Nova lets its user name an
        image and boot a volume of another one
    :param user: the id of who made it
    :param boots: Glance's ids of kernel and ramdisk, where they are images of
        their own; told to administrators
    :param root: the device that it runs from, such as ``/dev/vda``; told to
        administrators, as are the next two
    :param state: ``vm_state``, as nova.compute.vm_states has it
    :param power: as nova.compute.power_state has it; None if it is not said
    :param locked: whether somebody locked it
    :param reason: that he gave
    """

    identifier: str
    name: str
    project: str
    status: str
    image_id: str | None
    volumes: tuple[str, ...] = ()
    user: str = ''
    boots: tuple[str, ...] = ()
    root: str = ''
    state: str = ''
    power: int | None = None
    locked: bool = False
    reason: str = ''


def running(nova: adapter.Adapter, **asked: str) -> Iterator[Running]:
    """Yield servers, page by page.

    :param asked: filters of Nova's API
    :raises HepixVmError: Nova does not say
    """
    for server in _servers(nova, asked):
        image = server.get('image', _NOT_SAID)
        yield Running(
            server['id'], server.get('name', ''),
            server.get('tenant_id', ''), server.get('status', ''),
            None if image is _NOT_SAID else image['id'] if image else '',
            tuple(volume['id'].lower() for volume in server.get(
                'os-extended-volumes:volumes_attached', ())),
            user=server.get('user_id', ''),
            boots=tuple(dict.fromkeys(filter(None, (
                server.get(f'{_MORE}:{part}_id')
                for part in ('kernel', 'ramdisk'))))),
            root=server.get(f'{_MORE}:root_device_name') or '',
            state=server.get('OS-EXT-STS:vm_state', ''),
            power=server.get('OS-EXT-STS:power_state'),
            locked=server.get('locked', False),
            reason=server.get('locked_reason') or '')


def cells_answer(nova: adapter.Adapter) -> bool:
    """Return whether all cells of Nova do; an administrator may ask.

    After a full page Nova leaves out the servers of one that does not.

    :raises HepixVmError: Nova does not say
    """
    return all(service['status'] != 'UNKNOWN' for service in _ask(
        nova, '/os-services', {'binary': 'nova-compute'})['services'])


def silent_cell() -> HepixVmError:
    """Return the error that not all servers are known."""
    return HepixVmError(
        'A cell of Nova does not answer, so its servers are not known.',
        remedy='Look which host of nova-compute is unknown: openstack '
               'compute service list.')


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """From what servers of all projects run.

    :param images: Glance's ids
    :param volumes: Cinder's ids of those that are attached to servers which
        run from a volume; Nova does not say which of them that is
    :param others: of those attached to servers that have an image, and may
        run from a volume all the same
    """

    images: frozenset[str]
    volumes: frozenset[str]
    others: frozenset[str] = frozenset()


def in_use(nova: adapter.Adapter,
           deleted: datetime.datetime | None = None) -> Use:
    """Return from what servers run.

    :param deleted: those that were deleted since then count, and no others;
        of them Nova does not know the volumes. None counts those that are
        there. UTC
    :raises HepixVmError: Nova does not say
    """
    asked = {'all_tenants': 'True'}
    if deleted:
        asked |= {'deleted': 'True', 'changes-since': deleted.strftime(
            '%Y-%m-%dT%H:%M:%SZ')}
    images, volumes, others = set(), set(), set()
    for server in running(nova, **asked):
        if server.image_id is None:
            raise silent_cell()
        if server.image_id:
            images.add(server.image_id)
            others |= {*server.volumes}
        else:
            volumes |= {*server.volumes}
    if not cells_answer(nova):
        raise silent_cell()
    return Use(frozenset(images), frozenset(volumes), frozenset(others))


def _in_state(nova: adapter.Adapter, project: str | None,
              state: str) -> Iterator[Server]:
    asked = {'all_tenants': 'True', 'task_state': state,
             **({'project_id': project} if project else {})}
    for server in _servers(nova, asked):
        # A filter that the account may not use is passed over by Nova.
        if (project in (None, server['tenant_id'])
                and server['OS-EXT-STS:task_state'] == state):
            image = server['image']
            yield Server(server['id'], image['id'] if image else '')


def _servers(nova: adapter.Adapter,
             asked: Mapping[str, str]) -> Iterator[Any]:
    """Yield the servers that Nova finds, page by page, each of them once.

    The last of a page may be gone, and where it never had a host, or deleted
    ones were archived, Nova does not know it as a marker any more.
    """
    seen: set[str] = set()
    marker: dict[str, str] = {}
    more = again = True
    while more:
        try:
            answer = _ask(nova, '/servers/detail', {**asked, **marker})
        except _BadRequest:
            if not (marker and again):
                raise
            marker, again = {}, False
            continue
        found = answer['servers']
        yield from (each for each in found if each['id'] not in seen)
        seen.update(each['id'] for each in found)
        if found:
            marker = {'marker': found[-1]['id']}
        more = 'servers_links' in answer


class _BadRequest(HepixVmError):
    """Nova does not understand a question."""


def _ask(nova: adapter.Adapter, path: str, asked: Mapping[str, str]) -> Any:
    response = nova.get(path, params=asked,
                        headers={'OpenStack-API-Version': VERSION})
    if response.status_code != 200:
        error = _BadRequest if response.status_code == 400 else HepixVmError
        raise error(f'Nova answered {response.status_code} to the question '
                    f'for {path}.')
    return response.json()
