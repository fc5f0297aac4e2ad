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

"""A site that follows lists of a real server, without any Glance."""

from collections.abc import Iterable
import dataclasses
import json
import pathlib
from typing import Any

from hepix_vm import config
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.intake import Intake
from hepix_vm.exchange.report import ListReport
from hepix_vm import opts
from hepix_vm.site import SiteFiles
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageList
from tests.testbed.listserver import ListServer
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import Site

PINNED = {'dn': ALICE, 'ca': CA}
PINNED_BOB = {'dn': BOB, 'ca': CA}
BOB_ENDORSES = Endorser(BOB, CA, 'bob@example.org', 'Bob')


class Follower:
    """A site, and the server whose lists it follows.

    :param folder: made if missing; HEPIX_VM_CONFIG has to name the
        ``hepix-vm.conf`` of the site in it
    """

    def __init__(self, folder: pathlib.Path, server: ListServer) -> None:
        self.site = Site(folder / 'site', fetch_retries='0',
                         fetch_timeout='30')
        self.server = server
        self.bundle = server.bundle(folder)
        self.lists = self.site.state / 'lists'
        self.events: list[Event] = []
        server.answers.clear()
        server.asked.clear()

    def block(self, uuid: str, path: str = '/list', **keys: Any,
              ) -> dict[str, Any]:
        """A block of subscriptions.yaml for a list of the server."""
        block = {'uuid': uuid, 'endorsers': [PINNED],
                 'url': self.server.url(path), 'ca_bundle': self.bundle,
                 'share': 'public', **keys}
        return {key: value for key, value in block.items()
                if value is not None}

    def follow(self, *image_lists: ImageList, **keys: Any) -> None:
        """Subscribe lists, each at the path that is its UUID."""
        self.site.write_subscriptions([
            self.block(each.identifier, f'/{each.identifier}', **keys)
            for each in image_lists])

    def publish(self, image_list: ImageList,
                signer: pki.Identity | None = None, path: str = '',
                **more: Any) -> bytes:
        """Let the server answer a list; return it as it is sent."""
        message = self.site.sign(image_list, signer or self.site.alice)
        self.server.serve(path or f'/{image_list.identifier}', message,
                          **more)
        return message

    def intake(self, **more: Any) -> Intake:
        """An intake as a run begins it."""
        settings = config.load()[opts.GROUP]
        return Intake(settings, SiteFiles(settings), **{
            'tell': self.events.append, **more})

    def run(self, **more: Any) -> list[ListReport]:
        """Take the lists in."""
        return self.intake(**more).run()

    def stored(self, image_list: ImageList) -> bytes:
        """The accepted list as it lies there."""
        return (self.lists / f'{image_list.identifier}.smime').read_bytes()

    def previous(self, image_list: ImageList) -> list[bytes]:
        """Its former versions, in the order in which they were replaced."""
        folder = self.site.state / 'previous' / image_list.identifier
        return [path.read_bytes() for path in sorted(folder.glob('*.smime'))]

    def journal(self) -> list[dict[str, Any]]:
        """What the journal says."""
        path = self.site.state / 'journal' / 'hepix-vm-sync.jsonl'
        return [json.loads(line) for line in
                path.read_text().splitlines()] if path.exists() else []

    def told(self) -> list[str]:
        """The kinds of what was told."""
        return [str(event.kind) for event in self.events]

    def state(self) -> dict[str, tuple[int, int]]:
        """What changes when a file of the lists is written."""
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
                for path in self.lists.iterdir()}


def newer(image_list: ImageList, version: str = '2',
          **changes: Any) -> ImageList:
    """Return a later version of a list."""
    return dataclasses.replace(image_list, version=version, **changes)


def codes(reports: Iterable[ListReport]) -> list[tuple[str, str]]:
    """Return outcome and code of each list."""
    return [(str(report.outcome), str(report.code or ''))
            for report in reports]
