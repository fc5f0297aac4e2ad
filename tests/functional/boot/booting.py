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


"""A cloud whose nova-api has the boot gate, and a real Cinder."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import json
import os
import pathlib
import time
from typing import Any

import requests

from tests.functional.conftest import start
from tests.functional.world import World
from tests.testbed.cinder_api import CinderApi
from tests.testbed.keystone import Keystone
from tests.testbed.nova import Nova

# For which the gate keeps what Glance said, in seconds.
KEPT = 1
# In which Glance has to answer the gate, in seconds.
PATIENCE = 3
FLAVOR = '1'
DISK = {'source_type': 'image', 'destination_type': 'volume',
        'volume_size': 1, 'boot_index': 0}

_PREFIX = 'Refused by the image trust policy of this cloud: '
_LIMIT = 30  # seconds


class Booting(World):
    """Keystone, Glance, Cinder, and a nova-api with the gate.

    Servers are accepted and never started: there is nobody to do it.
    """

    cinder: CinderApi

    def prepare(self) -> None:
        """Make what every server needs."""
        self.ask('POST', '/flavors', {'flavor': {
            'name': 'small', 'id': FLAVOR, 'ram': 64, 'vcpus': 1, 'disk': 1,
            }}, user='admin').raise_for_status()

    def ask(self, method: str, path: str, body: Any = None,
            user: str = 'alice', version: str = '', base: str = '/v2.1',
            **headers: str) -> requests.Response:
        """Make a request to nova-api.

        :param body: a document, or the bytes as they are sent
        :param version: the microversion
        """
        project = {'alice': 'atlas', 'bob': 'cms', 'admin': 'admin'}[user]
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        session = requests.Session()
        session.trust_env = False
        return session.request(
            method, f'{self.nova.url}{base}{path}', timeout=120, data=data,
            headers={
                'X-Auth-Token': self.token(user, project),
                'Content-Type': 'application/json', 'Connection': 'close',
                **({'OpenStack-API-Version': f'compute {version}'}
                   if version else {}), **headers})

    def token(self, user: str, project: str) -> str:
        """Return a token of a user, who gets one a cloud."""
        known: dict[str, str] = self.__dict__.setdefault('_tokens', {})
        if user not in known:
            known[user] = self.keystone.token(user, project)
        return known[user]

    def boot(self, image: str = '', devices: Any = None,
             path: str = '/servers', more: Mapping[str, Any] = {},
             method: str = 'POST', **how: Any) -> requests.Response:
        """Ask for a new server.

        :param devices: ``block_device_mapping_v2``
        :param more: of the server
        :param how: as :meth:`ask` takes it
        """
        return self.ask(method, path, {'server': {
            'name': 'new', 'flavorRef': FLAVOR, **({'imageRef': image}
                                                   if image else {}),
            **({'block_device_mapping_v2': devices} if devices else {}),
            **more}}, **how)

    def act(self, server: str, action: str, said: Any = None,
            **how: Any) -> requests.Response:
        """Ask for an action on a server."""
        return self.ask('POST', f'/servers/{server}/action', {action: said},
                        **how)

    def endorsed(self, **changes: Any) -> str:
        """Return an image that may boot."""
        return self.base(os.urandom(64), **changes)

    def stranger(self, **properties: Any) -> str:
        """Return an active image that nobody endorsed, of Alice's.

        It is let in by a policy that is mended then.
        """
        self.site.write_policy(enforcement=[
            {'project': self.keystone.project('atlas'),
             'mode': 'permissive'}])
        try:
            image = self.alice.create(**properties)
            assert self.alice.put(image, os.urandom(64)).status_code == 204
        finally:
            self.site.write_policy()
        return image

    def journal(self) -> list[dict[str, Any]]:
        """What nova-api journalled, from the first on."""
        path = self.site.state / 'journal' / 'nova-api.jsonl'
        return [json.loads(line) for line in
                path.read_text().splitlines()] if path.exists() else []


def run(folder: pathlib.Path, **settings: str) -> Iterator[Booting]:
    """Run such a cloud in a folder, to be used by fixtures.

    :param settings: options of ``[hepix_vm]``
    """
    with Keystone(folder / 'keystone') as keystone:
        keystone.add_user('alice', 'atlas', 'member', 'reader')
        keystone.add_user('bob', 'cms', 'member', 'reader')
        cinder = CinderApi(folder / 'cinder', keystone)
        keystone.add_endpoint('volumev3', f'{cinder.url}/v3')
        nova = Nova(folder / 'nova', keystone)
        clouds = start(
            folder, authtoken=keystone.middleware('glance'), settings={
                'boot_cache': str(KEPT), 'boot_timeout': str(PATIENCE),
                **settings})
        cloud = next(clouds)
        try:
            cloud.site.write_credentials({
                **keystone.account('admin', 'admin'),
                'image_endpoint': cloud.glance.url,
                'compute_endpoint': f'{nova.url}/v2.1'})
            nova.use(cloud.glance.url)
            nova.guard(cloud.site.config)
            with cinder, nova:
                world = Booting(keystone, nova, cloud)
                world.cinder = cinder
                world.prepare()
                yield world
        finally:
            # Resume behind the yield, where the cloud is stopped.
            next(clouds, None)


def refused(response: requests.Response, code: str, words: str = '') -> str:
    """See that it was refused for this reason, as Nova refuses.

    :param words: that the message has
    :returns: the message
    """
    assert response.status_code == 403, response.text
    said, = response.json().items()
    assert said[0] == 'forbidden', said
    assert said[1]['code'] == 403, said
    message = str(said[1]['message'])
    assert message.startswith(f'{_PREFIX}[{code}] '), message
    assert words in message, message
    return message


def taken(response: requests.Response) -> None:
    """See that it was not refused."""
    assert response.status_code in (200, 202), response.text


def until(ask: Callable[[], requests.Response],
          status: int) -> tuple[requests.Response, float]:
    """Ask until the answer has a status; return it and the seconds."""
    start = time.monotonic()
    while True:
        response = ask()
        passed = time.monotonic() - start
        if response.status_code == status or passed > _LIMIT:
            assert response.status_code == status, response.text
            return response, passed
        time.sleep(0.1)


def change(world: Booting, image: str, **properties: str) -> str:
    """Write properties past all that guards them, and let it be seen."""
    for name, value in properties.items():
        world.cloud.glance.query(
            'DELETE FROM image_properties WHERE image_id = ? AND name = ?',
            (image, name))
        world.cloud.glance.query(
            'INSERT INTO image_properties (image_id, name, value, '
            "created_at, deleted) VALUES (?, ?, ?, '2026-01-01', 0)",
            (image, name, value))
    return image
