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

"""Locking and stopping servers, as Nova's administrator."""

from typing import Any

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.exchange.rest import Rest
from hepix_vm.servers import Running
from hepix_vm.servers import VERSION

# The last in which Nova tells of all actions at once.
_ALL_AT_ONCE = 'compute 2.57'
_LONGEST = 255  # characters of a reason, as Nova has it
_TAKEN, _GONE, _NOT_NOW = 202, 404, 409


class Gone(Exception):
    """A server was deleted meanwhile."""


class Locking:
    """Keeps servers from being used.

    :param nova: the way to Nova
    """

    def __init__(self, nova: keystone_adapter.Adapter) -> None:
        self._rest = Rest(nova, 'Nova')

    def holds(self, server: Running) -> bool:
        """Return whether none but an administrator may unlock a server.

        Its owner may have locked it, and then takes the lock off as he
        likes. Nova says that it is locked, not by whom; it keeps who asked
        for it, and calls whoever is in the server's project its owner.

        :raises ServiceError: Nova does not say
        """
        if not server.locked:
            return False
        answer = self._rest.request(
            'GET', f'/servers/{server.identifier}/os-instance-actions',
            (200, _GONE), headers=_version(_ALL_AT_ONCE))
        if answer.status_code == _GONE:
            return True
        try:
            # The newest comes first.
            last = next((each for each in answer.json()['instanceActions']
                         if each['action'] in ('lock', 'unlock')), None)
            return last is not None and last['project_id'] != server.project
        except (LookupError, TypeError, ValueError) as error:
            raise self._rest.strange() from error

    def lock(self, server: Running, reason: str) -> None:
        """Lock a server, so that its owner cannot unlock it.

        :param reason: which he reads in ``locked_reason``
        :raises Gone: it is there no more
        :raises ServiceError: Nova does not do it
        """
        self._act(server, {'lock': {'locked_reason': reason[:_LONGEST]}})

    def stop(self, server: Running) -> bool:
        """Let a server be shut down.

        :returns: False if it cannot be stopped now
        :raises Gone: it is there no more
        :raises ServiceError: Nova does not do it
        """
        return self._act(server, {'os-stop': None}, _NOT_NOW) == _TAKEN

    def _act(self, server: Running, body: dict[str, Any],
             *accepted: int) -> int:
        """Return how Nova answers to an action."""
        status = self._rest.request(
            'POST', f'/servers/{server.identifier}/action',
            (_TAKEN, _GONE, *accepted), json=body,
            headers=_version(VERSION)).status_code
        if status == _GONE:
            raise Gone
        return status


def _version(version: str) -> dict[str, str]:
    return {'OpenStack-API-Version': version}
