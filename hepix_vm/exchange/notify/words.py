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

"""What happened, in words for people."""

from collections.abc import Mapping

from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.report import remedy_of

_HAPPENED: Mapping[Kind, str] = {
    Kind.RUN_BEGINS: 'A run begins',
    Kind.RUN_ENDS: 'A run ends',
    Kind.LIST_ACCEPTED: 'A new version of an image list was accepted',
    Kind.LIST_REFUSED: 'An image list was refused',
    Kind.LIST_STALE: 'An image list is stale',
    Kind.LIST_CLASHES: 'An image list has images of another list',
    Kind.IMAGE_LISTED: 'An image was listed',
    Kind.IMAGE_AVAILABLE: 'An image is available',
    Kind.IMAGE_REFUSED: 'An image was refused',
    Kind.IMAGE_WAITS: 'An image waits for approval',
    Kind.IMAGE_EXPIRED: 'An image expired',
    Kind.IMAGE_REVOKED: 'An image was revoked',
    Kind.IMAGE_BLOCKED: 'An image was blocked',
    Kind.IMAGE_SUPERSEDED: 'An image was replaced by a newer version',
    Kind.IMAGE_ENDORSED: 'An image is endorsed again',
    Kind.SERVER_RUNS: 'A server runs an image out of use',
    Kind.SERVER_LOCKED: 'A server was locked for its image',
    Kind.SERVER_STOPPING: 'A server was told to stop for its image',
    Kind.SERVER_UNSTOPPED: 'A server cannot be stopped, and runs on',
    Kind.SERVER_OWNER: 'A server is made from an image out of use',
}

# Whoever follows the list can do something.
_OF_LISTS = (Kind.LIST_REFUSED, Kind.LIST_STALE)


def happened(event: Event) -> str:
    """Return what happened, without a full stop."""
    return _HAPPENED[event.kind]


def list_of(event: Event) -> str:
    """Return the list that an event is about: UUID, version and title."""
    found = event.image_list
    if found is None:
        return clean(event.list_uuid)
    title = f' ({clean(found.title)})' if found.title else ''
    # Of a list that is refused the version that is known is another one.
    version = ('' if event.kind is Kind.LIST_REFUSED
               else f' version {found.version}')
    return clean(found.identifier + version) + title


def image_of(event: Event) -> str:
    """Return the image that an event is about, as list and Glance name it."""
    words = []
    if event.entry is not None:
        version = f' version {event.entry.version}'
        words.append(clean(event.entry.identifier + version)
                     + (f' ({clean(event.entry.title)})'
                        if event.entry.title else ''))
    if event.glance_image:
        name = f' ({clean(event.name)})' if event.name else ''
        words.append(f'in Glance {clean(event.glance_image)}{name}')
    return ', '.join(words)


def server_of(event: Event) -> str:
    """Return the server that an event is about, and whose it is."""
    server = event.server
    if server is None:
        return ''
    name = f' ({clean(server.name)})' if server.name else ''
    return (f'{clean(server.identifier)}{name} of user {clean(server.user)} '
            f'in project {clean(server.project)}, {clean(server.status)}')


def why(event: Event, for_operators: bool = False) -> list[str]:
    """Return what there is to say, and each reason with code and remedy.

    :param for_operators: whether who reads it runs the cloud
    """
    return [clean(event.message, 600)] * bool(event.message) + [
        f'[{reason.code}] {clean(reason.message, 600)} ' + (
            remedy_of(reason.code)
            if for_operators or event.kind in _OF_LISTS
            else reason.remedy)
        for reason in event.reasons]
