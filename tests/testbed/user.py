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

"""Somebody who uses the whole cloud, as the command and the SDK let him."""

import os
import pathlib
from typing import Any

from openstack.compute.v2.server import Server
from openstack.config import loader
import openstack.connection

from tests.testbed.client import Client
from tests.testbed.client import wait
from tests.testbed.keystone import Token
from tests.testbed.openstack import OpenStack
from tests.testbed.openstack import Ran
from tests.testbed.stack import ACCOUNTS
from tests.testbed.stack import FLAVOR
from tests.testbed.stack import Stack

# What the guest says when the last of our scripts has ended.
READY = 'hepix-vm: epilog ended with status 0'


class User:
    """Uses the cloud.

    :param name: as in the cloud's clouds.yaml
    """

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.sdk = openstack.connection.Connection(
            config=loader.OpenStackConfig(
                config_files=[str(stack.clouds)]).get_one(name))
        self._command = OpenStack(stack.site, '--os-cloud', name)

    @property
    def glance(self) -> Client:
        """Glance, asked with a token of now."""
        return Client(self.stack.glance.url, Token(  # type: ignore[arg-type]
            self.stack.keystone.token(self.name, ACCOUNTS[self.name])))

    def run(self, command: str, *arguments: str) -> Ran:
        """Run a command of ``openstack`` in a few words."""
        return self._command(command, *arguments)

    def create_image(self, path: pathlib.Path, endorsement: str = '',
                     *more: str) -> Ran:
        """Upload a raw image by the command."""
        if endorsement:
            more = ('--property', f'hepix_endorsement={endorsement}', *more)
        return self.run(
            'image create', '--disk-format', 'raw', '--container-format',
            'bare', '--file', str(path), path.stem, '-f', 'json', *more)

    def endorsed(self, data: bytes, **changes: Any) -> str:
        """Bring in an image that Alice of the site endorsed; return its id.

        :param changes: as :meth:`tests.testbed.site.Site.endorse` has them
        """
        glance = self.glance
        image = glance.create(
            name='endorsed',
            hepix_endorsement=self.stack.site.endorse(data, **changes))
        response = glance.put(image, data)
        assert response.status_code == 204, response.text
        return image

    def begin(self, image: str | None, **more: Any) -> Server:
        """Ask for a server, and do not wait for it."""
        flavor = self.sdk.compute.find_flavor(FLAVOR)
        made: Server = self.sdk.compute.create_server(
            name=f'server-{os.urandom(3).hex()}', flavor_id=flavor.id,
            networks='none', **({'image_id': image} if image else {}), **more)
        return made

    def try_begin(self, image: str | None, **more: Any) -> Any:
        """Ask for a server; return the answer as it is.

        :param more: keys of the request's server
        """
        flavor = self.sdk.compute.find_flavor(FLAVOR)
        return self.sdk.compute.post('/servers', json={'server': {
            'name': 'try', 'flavorRef': flavor.id, 'networks': 'none',
            **({'imageRef': image} if image else {}), **more,
        }}, microversion='2.37')

    def boot(self, image: str | None, **more: Any) -> Server:
        """Start a server, and wait until its guest has run our scripts."""
        server = self.settled(self.begin(image, **more))
        assert server.status == 'ACTIVE', server.fault
        self.console(server)
        return server

    def settled(self, server: Server) -> Server:
        """Wait until nothing is under way with a server; return it."""
        found: Server = wait(
            lambda: self.sdk.compute.get_server(server.id),
            lambda seen: seen.task_state is None
            and seen.status not in ('BUILD', 'UNKNOWN'))
        return found

    def console(self, server: Server, last: str = READY) -> str:
        """Return what a guest wrote, up to some last words of it."""
        return str(wait(
            lambda: self.sdk.compute.get_server_console_output(
                server.id)['output'].replace('\r', ''),
            lambda text: last in text))

    def last_words(self, server: Server) -> str:
        """Return what a guest wrote that does not run any more.

        Nova has no console for it, but the file is there.
        """
        return (self.stack.compute.instances / server.id / 'console.log'
                ).read_text(errors='replace').replace('\r', '')

    def action(self, server: Server, **body: Any) -> Any:
        """Ask for an action on a server; return the answer as it is."""
        return self.sdk.compute.post(
            f'/servers/{server.id}/action', json=body)

    def delete(self, server: Server) -> None:
        """Delete a server, and wait until it is gone."""
        self.sdk.compute.delete_server(server)
        self.sdk.compute.wait_for_delete(server)


def refused(answer: Any, code: str = 'image-revoked') -> None:
    """See that Nova refused a request in its own way, with a reason.

    :param code: of the reason
    :raises AssertionError: it did not, or for another one
    """
    assert answer.status_code == 403, answer.text
    body = answer.json()
    assert list(body) == ['forbidden']
    assert body['forbidden']['code'] == 403
    assert f'[{code}]' in body['forbidden']['message']
