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
import dataclasses
from typing import Any

from keystoneauth1 import adapter

from hepix_vm.errors import HepixVmError

# In which Nova makes an image of a server, in the order in which a server
# goes through them: one that moves on meanwhile is met again.
TASK_STATES = (
    'image_backup', 'image_snapshot_pending', 'image_snapshot', 'shelving',
    'image_pending_upload', 'shelving_image_pending_upload',
    'image_uploading', 'shelving_image_uploading')


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of which an image is made.

    :param image_id: Glance's id of the image that it runs from; empty if
        it runs from a volume
    """

    identifier: str
    image_id: str


def being_imaged(nova: adapter.Adapter, project: str) -> frozenset[Server]:
    """Return the servers of a project of which images are made now.

    :param project: its id
    :raises HepixVmError: Nova does not say
    """
    # Nova takes one state at a time, and the last of several.
    return frozenset(server for state in TASK_STATES
                     for server in _in_state(nova, project, state))


def _in_state(nova: adapter.Adapter, project: str,
              state: str) -> Iterator[Server]:
    response = nova.get(
        '/servers/detail', params={
            'all_tenants': 'True', 'project_id': project,
            'task_state': state},
        headers={'OpenStack-API-Version': 'compute 2.1'})
    if response.status_code != 200:
        raise HepixVmError(f'Nova answered {response.status_code} to the '
                           f'question for the servers of a project.')
    answer: Any = response.json()
    if 'servers_links' in answer:
        raise HepixVmError(f'More servers of a project are in the state '
                           f'{state} than Nova says at once.')
    for server in answer['servers']:
        # A filter that the account may not use is passed over by Nova.
        if (server['tenant_id'] == project
                and server['OS-EXT-STS:task_state'] == state):
            image = server['image']
            yield Server(server['id'], image['id'] if image else '')
