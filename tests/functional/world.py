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


"""A cloud with real Keystone and Nova, for images made from servers."""

from collections.abc import Iterator
import pathlib
from typing import Any

import requests

from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.testbed.client import Client
from tests.testbed.client import message
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed.nova import Nova
from tests.testbed import pki
from tests.testbed.site import entry


class World:
    """Keystone, Nova, and a Glance with the gate in it."""

    def __init__(self, keystone: Keystone, nova: Nova, cloud: Cloud) -> None:
        self.keystone = keystone
        self.nova = nova
        self.cloud = cloud
        self.site = cloud.site
        self.admin = self.client('admin', 'admin')
        self.alice = self.client('alice', 'atlas')

    def client(self, user: str, project: str, service: str = '',
               **headers: str) -> Client:
        """Return Glance's client of a user, or of a service for him."""
        service_token = (self.keystone.token(service, 'service')
                         if service else '')
        return Client(self.cloud.glance.url, Token(  # type: ignore[arg-type]
            self.keystone.token(user, project), service_token, headers))

    def token(self, user: str, project: str) -> str:
        """Return a token of a user."""
        return self.keystone.token(user, project)

    def base(self, data: bytes, **changes: Any) -> str:
        """Return an image that Alice endorsed and uploaded."""
        image_id = self.alice.create(
            hepix_endorsement=self.site.endorse(data, **changes))
        response = self.alice.put(image_id, data)
        assert response.status_code == 204, response.text
        return image_id

    def server(self, base: str, project: str = 'atlas',
               state: str | None = None, kernel: str = '',
               **more: Any) -> str:
        """Return a server that was made from an image.

        :param more: as ``server/nova_compute.py`` takes it
        """
        return self._done(self.nova.compute(
            'add', project=self.keystone.project(project), image=base,
            state=state, kernel=kernel, **more,
            token=self.token('admin', 'admin')))

    def create_image(self, server: str, **metadata: str) -> str:
        """Ask nova-api for a snapshot; return its image."""
        return self._asked(server, {'createImage': {
            'name': 'snapshot', 'metadata': metadata}})

    def backup(self, server: str) -> str:
        """Ask nova-api for a backup; return its image."""
        return self._asked(server, {'createBackup': {
            'name': 'backup', 'backup_type': 'daily', 'rotation': 1}})

    def shelve(self, server: str) -> str:
        """Ask nova-api to shelve a server; return its image."""
        response = self.nova.action(
            self.keystone.token('alice', 'atlas'), server, {'shelve': None})
        assert response.status_code == 202, response.text
        image, = self.alice.call(
            'GET', '/v2/images?name=server-shelved&status=queued',
        ).json()['images']
        return str(image['id'])

    def upload(self, server: str, image: str, data: bytes,
               shelving: bool = False) -> dict[str, Any]:
        """Have the bytes of a snapshot uploaded; return what Nova says."""
        return dict(self.nova.compute(
            'upload', server=server, image=image, data=data.decode(),
            token=self.keystone.token('alice', 'atlas'), shelving=shelving,
            project=self.keystone.project('atlas')))

    def snapshot(self, server: str, data: bytes) -> str:
        """Return the image of a snapshot that was let in."""
        image = self.create_image(server)
        self._done(self.upload(server, image, data))
        return image

    def write(self, fact: Fact, kind: Blockable, value: str,
              **more: Any) -> None:
        """Write a record of the ledger, as an operator's command does."""
        record = Record(fact, kind, value, 'CVE-2026-0001',
                        'ops@example.org', pki.utcnow(), **more)
        self.admin.create(
            name=record.name, owner='hepix-vm', visibility='private',
            os_hidden=True, protected=True, disk_format=None,
            container_format=None, hepix_ledger=ledger.serialize(record))

    def revoke(self, data: bytes) -> None:
        """Revoke a digest."""
        self.write(Fact.REVOKED, Blockable.SHA512, entry(data).sha512)

    def records(self, image: str) -> list[dict[str, Any]]:
        """What the journal says of an image."""
        return [record for record in self.cloud.records()
                if record['image'] == image]

    def _asked(self, server: str, body: dict[str, Any]) -> str:
        response = self.nova.action(
            self.keystone.token('alice', 'atlas'), server, body)
        assert response.status_code == 202, response.text
        return str(response.headers['Location'].split('/')[-1])

    @staticmethod
    def _done(answer: dict[str, Any]) -> Any:
        assert 'error' not in answer, answer
        return answer['result']


def refused(world: World, answer: Any, image: str, code: str,
            words: str) -> None:
    """See that bytes were refused, and that the journal says why.

    :param answer: of Glance, or what Nova made of it
    """
    if isinstance(answer, requests.Response):
        assert answer.status_code == 422, answer.text
        text = message(answer)
    else:
        # python-glanceclient knows no 422 by name.
        assert answer['error'] == 'HTTPException', answer
        assert ' 422 ' in answer['text'], answer
        text = answer['text']
    assert f'[{code}]' in text, text
    assert words in text, text
    assert world.admin.status(image) == 'queued'
    assert code in {reason['code'] for reason in
                    world.records(image)[-1]['reasons']}


def run(folder: pathlib.Path, **options: Any) -> Iterator[World]:
    """Run such a cloud in a folder, to be used by fixtures."""
    with Keystone(folder / 'keystone') as keystone:
        keystone.add_user('alice', 'atlas', 'member', 'reader')
        keystone.add_user('bob', 'cms', 'member', 'reader')
        nova = Nova(folder / 'nova', keystone)
        clouds = start(
            folder, authtoken=keystone.middleware('glance'),
            credentials={**keystone.account('admin', 'admin'),
                         'compute_endpoint': f'{nova.url}/v2.1'}, **options)
        cloud = next(clouds)
        try:
            nova.use(cloud.glance.url)
            with nova:
                yield World(keystone, nova, cloud)
        finally:
            # Resume behind the yield, where the cloud is stopped.
            next(clouds, None)
