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

"""The images of a Glance, by its API: who is asked, and what is read.

The requests are our own, without Glance's client (doc/adr/0011).
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import datetime
import html
import json
import re
from typing import Any
import urllib.parse

from keystoneauth1 import adapter as keystone_adapter
from keystoneauth1 import exceptions
import requests

from hepix_vm.errors import ServiceError
from hepix_vm.held import Held
from hepix_vm.properties import WANTED
from hepix_vm.properties import WANTED_HEADER

Image = Mapping[str, Any]

LIMIT = 1000  # images in a page; Glance gives no more by default
# Of a page. Users decide how long their images' properties are: what is
# longer is asked for again in smaller pages.
_LONGEST = 16 * 1024 * 1024  # bytes
# Of a page of one image: 128 properties of 64 KiB, each byte of which JSON
# may write in six. Less, and one user could end every sweep.
_LONGEST_ALONE = 64 * 1024 * 1024  # bytes
_PIECE = 64 * 1024  # bytes
_WORDS = 300  # characters of an answer that a message repeats
_PATCH = 'application/openstack-images-v2.1-json-patch'

# All that Glance shows of an image besides its properties.
_OWN = frozenset({
    'checksum', 'container_format', 'created_at', 'direct_url',
    'disk_format', 'file', 'id', 'locations', 'min_disk', 'min_ram', 'name',
    'os_hash_algo', 'os_hash_value', 'os_hidden', 'owner', 'protected',
    'schema', 'self', 'size', 'status', 'stores', 'tags', 'updated_at',
    'virtual_size', 'visibility'})

_REMEDIES: Mapping[int, str] = {
    0: 'Look whether Glance runs, and correct [service_credentials] of '
       'hepix-vm.conf.',
    401: 'Correct the account in [service_credentials] of hepix-vm.conf.',
    403: 'Give the account in [service_credentials] the role admin in its '
         'project; where it has it, the answer says what Glance or its '
         'gate refuses.',
    404: 'Look whether the image is still there; if nothing is found at '
         'all, image_endpoint has to be the URL without a version.',
    409: 'Try again: somebody else changed the image.',
}
_NO_ANSWER = (exceptions.ClientException, requests.RequestException)
_REMEDY = 'Look into the log of glance-api.'


class Catalogue:
    """All images of a Glance, for an administrator.

    :param adapter: the way to it, of :mod:`hepix_vm.credentials`
    """

    def __init__(self, adapter: keystone_adapter.Adapter) -> None:
        self._adapter = adapter

    def check_administrator(self) -> None:
        """Make sure that no image is kept from us.

        Glance leaves out what an account may not see, and says nothing.

        :raises ServiceError: the account is no administrator's
        """
        # 404: it has one store, and tells nobody about it.
        self._request('GET', '/v2/info/stores/detail', (200, 404))

    def images(self, hidden: Collection[bool] = (False, True),
               **filters: str) -> Iterator[Image]:
        """Yield all images of all projects, page by page.

        :param hidden: whether those are wanted that no list shows
        :param filters: as Glance's API has them, such as owner
        :raises ServiceError: Glance does not say them all
        """
        # By id: an image that is changed meanwhile keeps its place.
        query = {'sort': 'id:asc', 'visibility': 'all', **filters}
        for each in hidden:
            yield from self._pages({**query, 'os_hidden': str(each).lower()})

    def show(self, image_id: str) -> Image:
        """Return an image.

        :raises ServiceError: there is none, or Glance does not say
        """
        return _image(_document(self._request('GET', _path(image_id))))

    def find(self, image_id: str) -> Image | None:
        """Return an image, or None if there is none."""
        try:
            return self.show(image_id)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def create(self, **values: Any) -> Image:
        """Make an image without data, and return it."""
        return _image(_document(self._request(
            'POST', '/v2/images', (201,), json=values)))

    def update(self, image_id: str,
               values: Mapping[str, str | None]) -> None:
        """Set properties of an image, or with None remove them."""
        changes = [
            {'op': 'remove', 'path': _pointer(name)} if value is None else
            {'op': 'add', 'path': _pointer(name), 'value': value}
            for name, value in values.items()]
        self._request('PATCH', _path(image_id), data=json.dumps(changes),
                      headers={'Content-Type': _PATCH})

    def deactivate(self, image_id: str) -> None:
        """Take an image out of use."""
        self._request('POST', _path(image_id, '/actions/deactivate'), (204,))

    def reactivate(self, image_id: str) -> None:
        """Put an image to use again."""
        self._request('POST', _path(image_id, '/actions/reactivate'), (204,))

    def _pages(self, query: dict[str, str]) -> Iterator[Image]:
        limit = LIMIT
        while True:
            page = self._page({**query, 'limit': str(limit)},
                              _LONGEST if limit > 1 else _LONGEST_ALONE)
            if page is None and limit > 1:
                limit //= 2
                continue
            if page is None:
                raise ServiceError(f'Glance shows an image in more than '
                                   f'{_LONGEST_ALONE} bytes.', 0, _REMEDY)
            images = page.get('images')
            if not isinstance(images, list):
                raise _strange()
            yield from map(_image, images)
            if not images or not page.get('next'):
                return
            limit = min(LIMIT, limit * 2)
            # It may have been deleted: an administrator's marker still
            # counts.
            query = {**query, 'marker': _image(images[-1])['id']}

    def _page(self, query: Mapping[str, str],
              longest: int) -> Mapping[str, Any] | None:
        """Return a page, or None if it has more bytes than that."""
        response = self._request(
            'GET', f'/v2/images?{urllib.parse.urlencode(query)}',
            stream=True, log=False, headers={WANTED_HEADER: WANTED})
        with contextlib.closing(response):
            return _bounded(response, longest)

    def _request(self, method: str, path: str,
                 accepted: Collection[int] = (200,),
                 **more: Any) -> requests.Response:
        """Ask Glance.

        :raises ServiceError: it does not answer as it should
        """
        try:
            response: requests.Response = self._adapter.request(
                path, method, **more)
            status = response.status_code
            if status in accepted:
                return response
            with contextlib.closing(response):
                words = _words(response)
        except _NO_ANSWER as error:
            raise _unreachable(error) from error
        raise ServiceError(
            f'Glance answers {status} to {method} {path.partition("?")[0]}'
            f'{words}.', status, _REMEDIES.get(status, _REMEDY))


def held_of(image: Image) -> Held:
    """Return an image that has its bytes, as it is judged.

    :raises ServiceError: it is not what Glance makes of an image
    """
    try:
        return Held(
            image_id=image['id'], status=image['status'],
            owner=image['owner'] or '',
            created=datetime.datetime.strptime(
                image['created_at'], '%Y-%m-%dT%H:%M:%SZ').replace(
                    tzinfo=datetime.UTC),
            visibility=image['visibility'],
            disk_format=image['disk_format'] or '',
            container_format=image['container_format'] or '',
            size=image['size'],
            sha512=(image['os_hash_value'] or ''
                    if image['os_hash_algo'] == 'sha512' else ''),
            extra={name: value for name, value in image.items()
                   if name not in _OWN and isinstance(value, str)})
    except (KeyError, TypeError, ValueError) as error:
        raise _strange() from error


def _path(image_id: str, action: str = '') -> str:
    return f'/v2/images/{urllib.parse.quote(image_id, safe="")}{action}'


def _pointer(name: str) -> str:
    """Return a property as a JSON pointer (RFC 6901)."""
    return '/' + name.replace('~', '~0').replace('/', '~1')


def _bounded(response: requests.Response,
             longest: int) -> Mapping[str, Any] | None:
    """Return the document of an answer; None if it is too long."""
    data = bytearray()
    try:
        for piece in response.iter_content(_PIECE):
            data += piece
            if len(data) > longest:
                return None
    except _NO_ANSWER as error:
        raise _unreachable(error) from error
    return _parsed(data)


def _document(response: requests.Response) -> Mapping[str, Any]:
    return _parsed(response.content)


def _parsed(data: bytes | bytearray) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _strange() from error
    if not isinstance(document, dict):
        raise _strange()
    return document


def _image(value: Any) -> Image:
    if not isinstance(value, dict) or not isinstance(value.get('id'), str):
        raise _strange()
    return value


def _strange() -> ServiceError:
    return ServiceError('What answers is not Glance.', 0, _REMEDIES[0])


def _unreachable(error: Exception) -> ServiceError:
    # URLs may carry passwords.
    cause = re.sub(r'//[^/@\s]*@', '//', str(error))
    return ServiceError(f'Glance cannot be asked: {_line(cause)}', 0,
                        _REMEDIES[0])


def _words(response: requests.Response) -> str:
    """Return what a refusal says, without the page around it."""
    text = response.text
    if 'html' in response.headers.get('Content-Type', ''):
        text = re.sub(r'(?s)<(head|h1)>.*?</\1>', ' ', text)
        text = html.unescape(re.sub(r'<[^>]*>', ' ', text))
    words = _line(text).rstrip('.')
    return f': {words}' if words else ''


def _line(text: str) -> str:
    """Return a text as one line that a terminal shows as it is."""
    text = ' '.join(text.split())[:_WORDS]
    return ''.join(c if c.isprintable() else '?' for c in text)
