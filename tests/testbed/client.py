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

"""A small client of Glance's API for a Glance without Keystone."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import html
import re
import socket
import time
from typing import Any
import urllib.parse

import requests

LIMIT = 120.0  # seconds that any wait may take
_POLL = 0.1  # seconds

# What an import leaves among the properties while it holds the image.
LOCK = 'os_glance_import_task'

Body = bytes | Iterable[bytes]


@dataclasses.dataclass(frozen=True)
class Identity:
    """Who calls: what Keystone's middleware would have put in headers."""

    user: str = 'alice'
    project: str = 'atlas'
    roles: tuple[str, ...] = ('member', 'reader')
    service_roles: tuple[str, ...] = ()

    def headers(self) -> dict[str, str]:
        """The identity headers that Glance's context filter reads."""
        headers = {
            'X-Identity-Status': 'Confirmed',
            'X-User-Id': self.user,
            'X-Project-Id': self.project,
            'X-Roles': ','.join(self.roles),
        }
        if self.service_roles:
            headers['X-Service-Identity-Status'] = 'Confirmed'
            headers['X-Service-Roles'] = ','.join(self.service_roles)
        return headers


ADMIN = Identity(user='root', project='admin',
                 roles=('admin', 'member', 'reader'))


class Client:
    """Calls that return the response as it is, and waits that poll.

    Nothing here raises on a refusal: that is what the tests look at.
    Connections are not reused, so that one call tells nothing of another.
    """

    def __init__(self, url: str, identity: Identity | None = None) -> None:
        self.url = url
        self.identity = identity or Identity()

    def as_(self, identity: Identity) -> 'Client':
        """The same Glance, called by someone else."""
        return Client(self.url, identity)

    def call(self, method: str, path: str, *, body: Body | None = None,
             json: Any = None, headers: Mapping[str, str] | None = None,
             stream: bool = False) -> requests.Response:
        """One request; `path` begins with a slash, such as ``/v2/images``."""
        session = requests.Session()
        session.trust_env = False  # neither a proxy nor .netrc
        every = {**self.identity.headers(), 'Connection': 'close',
                 **(headers or {})}
        return session.request(
            method, self.url + path, data=body, json=json, headers=every,
            stream=stream, timeout=LIMIT, allow_redirects=False)

    def try_create(self, **properties: Any) -> requests.Response:
        """Create an image record and return whatever the answer is."""
        fields = {'disk_format': 'raw', 'container_format': 'bare',
                  'name': 'image', **properties}
        return self.call('POST', '/v2/images', json=fields)

    def create(self, **properties: Any) -> str:
        """Create an image record and return its id."""
        response = self.try_create(**properties)
        if response.status_code != 201:
            raise AssertionError(
                f'create: {response.status_code} {message(response)}')
        return str(response.json()['id'])

    def image(self, image_id: str) -> dict[str, Any]:
        """The image as the API shows it."""
        response = self.call('GET', f'/v2/images/{image_id}')
        response.raise_for_status()
        fields: dict[str, Any] = response.json()
        return fields

    def status(self, image_id: str) -> str:
        """The image's status, such as ``queued``."""
        return str(self.image(image_id)['status'])

    def put(self, image_id: str, body: Body,
            headers: Mapping[str, str] | None = None,
            place: str = 'file') -> requests.Response:
        """Upload a body.

        :param body: bytes and files go with Content-Length, any other
            iterable goes chunked, an item a chunk
        :param place: ``file`` or ``stage``
        """
        kind = {'Content-Type': 'application/octet-stream'}
        return self.call('PUT', f'/v2/images/{image_id}/{place}', body=body,
                         headers={**kind, **(headers or {})})

    def stage(self, image_id: str, body: Body,
              headers: Mapping[str, str] | None = None) -> requests.Response:
        """Upload a body to staging, for a glance-direct import."""
        return self.put(image_id, body, headers, place='stage')

    def import_(self, image_id: str, *, uri: str | None = None,
                stores: Iterable[str] | None = None,
                all_stores_must_succeed: bool = True,
                method: str | None = None) -> requests.Response:
        """Ask for an import: of `uri`, or of what was staged."""
        name = method or ('web-download' if uri else 'glance-direct')
        request: dict[str, Any] = {'method': {'name': name}}
        if uri:
            request['method']['uri'] = uri
        if stores is not None:
            request['stores'] = list(stores)
            request['all_stores_must_succeed'] = all_stores_must_succeed
        return self.call('POST', f'/v2/images/{image_id}/import',
                         json=request)

    def tasks(self, image_id: str) -> list[dict[str, Any]]:
        """The image's import tasks as its owner sees them."""
        response = self.call('GET', f'/v2/images/{image_id}/tasks')
        response.raise_for_status()
        tasks: list[dict[str, Any]] = response.json()['tasks']
        return tasks

    def patch(self, image_id: str,
              *changes: Mapping[str, Any]) -> requests.Response:
        """Apply JSON-patch changes, such as made by :func:`replace`."""
        kind = 'application/openstack-images-v2.1-json-patch'
        return self.call('PATCH', f'/v2/images/{image_id}',
                         json=list(changes), headers={'Content-Type': kind})

    def delete(self, image_id: str) -> requests.Response:
        """Delete the image."""
        return self.call('DELETE', f'/v2/images/{image_id}')

    def deactivate(self, image_id: str) -> requests.Response:
        """Deactivate the image."""
        return self.call('POST', f'/v2/images/{image_id}/actions/deactivate')

    def reactivate(self, image_id: str) -> requests.Response:
        """Reactivate the image."""
        return self.call('POST', f'/v2/images/{image_id}/actions/reactivate')

    def download(self, image_id: str) -> requests.Response:
        """Fetch the bytes; use ``iter_content`` on the answer."""
        return self.call('GET', f'/v2/images/{image_id}/file', stream=True)

    def wait_status(self, image_id: str, *statuses: str,
                    limit: float = LIMIT) -> dict[str, Any]:
        """Wait until the image has one of the statuses; return the image."""
        return dict(wait(lambda: self.image(image_id),
                         lambda image: image['status'] in statuses, limit))

    def wait_import(self, image_id: str, known: Collection[str] = (),
                    limit: float = LIMIT) -> dict[str, Any]:
        """Wait for the end of an image's only, or only unknown, import task.

        The task ends before the image's lock is dropped, so this waits for
        both: afterwards a retry is possible and properties are final.

        :param known: ids of the tasks of earlier imports of this image
        :returns: the task; a refusal's words are its ``message``
        """
        def look() -> tuple[list[dict[str, Any]], dict[str, Any]]:
            return ([task for task in self.tasks(image_id)
                     if task['id'] not in known], self.image(image_id))

        def ended(seen: tuple[list[dict[str, Any]], dict[str, Any]]) -> bool:
            tasks, image = seen
            return LOCK not in image and [
                task['status'] for task in tasks] in (['success'],
                                                      ['failure'])

        (task,), _ = wait(look, ended, limit)
        return dict(task)

    def import_and_wait(self, image_id: str, **request: Any) -> dict[str, Any]:
        """Import as :meth:`import_` does and return the task at its end."""
        known = [task['id'] for task in self.tasks(image_id)]
        response = self.import_(image_id, **request)
        if response.status_code != 202:
            raise AssertionError(
                f'import: {response.status_code} {message(response)}')
        return self.wait_import(image_id, known)

    @contextlib.contextmanager
    def half_upload(self, image_id: str, size: int, sent: bytes, *,
                    chunked: bool = False,
                    place: str = 'file') -> Iterator[socket.socket]:
        """Begin an upload, send `sent` of it, and cut the connection.

        The connection is open in the body of the ``with``; leaving it
        resets the connection, as a client does that crashes.

        :param size: bytes announced by Content-Length, unless `chunked`
        """
        parts = urllib.parse.urlsplit(self.url)
        lines = [f'PUT /v2/images/{image_id}/{place} HTTP/1.1',
                 f'Host: {parts.netloc}',
                 'Content-Type: application/octet-stream',
                 'Transfer-Encoding: chunked' if chunked
                 else f'Content-Length: {size}']
        lines += [f'{name}: {value}'
                  for name, value in self.identity.headers().items()]
        head = '\r\n'.join((*lines, '', '')).encode()
        body = b'%x\r\n%b\r\n' % (len(sent), sent) if chunked else sent
        address = (str(parts.hostname), int(parts.port or 80))
        with socket.create_connection(address, timeout=LIMIT) as connection:
            connection.sendall(head + body)
            yield connection
            # SO_LINGER with 0 seconds: close() sends RST.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  b'\1\0\0\0\0\0\0\0')


def replace(**properties: Any) -> list[dict[str, Any]]:
    """JSON-patch changes that set existing properties."""
    return [{'op': 'replace', 'path': f'/{name}', 'value': value}
            for name, value in properties.items()]


def add(**properties: Any) -> list[dict[str, Any]]:
    """JSON-patch changes that add properties."""
    return [{'op': 'add', 'path': f'/{name}', 'value': value}
            for name, value in properties.items()]


def remove(*names: str) -> list[dict[str, Any]]:
    """JSON-patch changes that remove properties."""
    return [{'op': 'remove', 'path': f'/{name}'} for name in names]


def wait(look: Callable[[], Any], done: Callable[[Any], bool],
         limit: float = LIMIT) -> Any:
    """Look until done; return what was seen last.

    :param limit: seconds
    :raises TimeoutError: it was not done in time; with what was seen last
    """
    deadline = time.monotonic() + limit
    while True:
        seen = look()
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f'not done in {limit:.0f} s: {seen!r}')
        time.sleep(_POLL)


def message(response: requests.Response) -> str:
    """What a refusal says to the user, without the page around it."""
    kind = response.headers.get('Content-Type', '')
    if 'json' in kind:
        found = response.json()
        return str(found.get('message', found))
    text = response.text
    if 'html' in kind:
        text = re.sub(r'(?s)<(head|h1)>.*?</\1>', ' ', text)
        text = html.unescape(re.sub(r'<[^>]*>', ' ', text))
    return ' '.join(text.split())
