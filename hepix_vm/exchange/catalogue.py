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
from collections.abc import Sequence
import concurrent.futures
import dataclasses
import datetime
import io
import json
from typing import Any
import urllib.parse

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.rest import Rest
from hepix_vm.held import Held
from hepix_vm.properties import WANTED
from hepix_vm.properties import WANTED_HEADER

Image = Mapping[str, Any]
_Page = tuple[list[Image], int, bool]
_Coming = concurrent.futures.Future[_Page]

LIMIT = 1000  # images in a page; Glance gives no more by default
# Of a page. Users decide how long their images' properties are: what is
# longer is asked for again in smaller pages.
_LONGEST = 16 * 1024 * 1024  # bytes
# Of a page of one image: 128 properties of 64 KiB, each byte of which JSON
# may write in six. Less, and one user could end every sweep.
_LONGEST_ALONE = 64 * 1024 * 1024  # bytes
_PATCH = 'application/openstack-images-v2.1-json-patch'
# With which Glance refuses to delete one (ProtectedImageDelete); policies
# refuse with 403 as well.
_PROTECTED = 'is protected'
# For which Glance may be silent once it has all bytes, in seconds.
_STAGED = 1800

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
    -1: 'Look into the log of glance-api.',
}


class Kept(ServiceError):
    """An image that Glance does not remove."""


@dataclasses.dataclass(frozen=True, slots=True)
class Abilities:
    """What a Glance can do with bytes that come in.

    :param methods: of imports
    """

    methods: frozenset[str]
    disk_formats: frozenset[str]
    container_formats: frozenset[str]


class Catalogue:
    """All images of a Glance, for an administrator.

    :param adapter: the way to it, of :mod:`hepix_vm.credentials`
    :param remedies: what to do where Glance refuses, by its status, as
        :class:`Rest` has them
    """

    def __init__(self, adapter: keystone_adapter.Adapter,
                 remedies: Mapping[int, str] = _REMEDIES) -> None:
        self._rest = Rest(adapter, 'Glance', remedies)

    def check_administrator(self) -> None:
        """Make sure that no image is kept from us.

        Glance leaves out what an account may not see, and says nothing.

        :raises ServiceError: the account is no administrator's
        """
        # 404: it has one store, and tells nobody about it.
        self._rest.request('GET', '/v2/info/stores/detail', (200, 404))

    def images(self, hidden: Collection[bool] = (False, True),
               messages: bool = True, visibility: str = 'all',
               **filters: str) -> Iterator[Image]:
        """Yield all images of all projects, page by page.

        :param hidden: whether those are wanted that no list shows
        :param messages: whether the signed messages that images bear are
            wanted: of all images they are many times the rest
        :param visibility: as Glance has it; empty for what an account finds
            if it just lists images
        :param filters: as Glance's API has them, such as owner
        :raises ServiceError: Glance does not say them all
        """
        # By id: an image that is changed meanwhile keeps its place.
        query = {'sort': 'id:asc', **filters}
        if visibility:
            query['visibility'] = visibility
        headers = {WANTED_HEADER: WANTED} if messages else {}
        for each in hidden:
            yield from self._pages(
                {**query, 'os_hidden': str(each).lower()}, headers)

    def show(self, image_id: str) -> Image:
        """Return an image.

        :raises ServiceError: there is none, or Glance does not say
        """
        return _image(self._rest.document('GET', _path(image_id)))

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
        return _image(self._rest.document(
            'POST', '/v2/images', (201,), json=values))

    def update(self, image_id: str, values: Mapping[str, Any]) -> Image:
        """Set attributes and properties of an image, and return it.

        :param values: None removes a property
        """
        changes = [
            {'op': 'remove', 'path': _pointer(name)}
            if value is None and name not in _OWN else
            {'op': 'replace' if name in _OWN else 'add',
             'path': _pointer(name), 'value': value}
            for name, value in values.items()]
        return _image(self._rest.document(
            'PATCH', _path(image_id), data=json.dumps(changes),
            headers={'Content-Type': _PATCH}))

    def delete(self, image_id: str) -> None:
        """Remove an image and its bytes; one that is gone is no error.

        :raises Kept: it is protected, or the store needs it, such as RBD for
            a volume that was made of it, or a policy forbids it
        """
        try:
            self._rest.request('DELETE', _path(image_id), (204, 404))
        except ServiceError as error:
            if error.status not in (403, 409):
                raise
            passing = error.status == 409 or _PROTECTED in error.message
            raise Kept(error.message, error.status,
                       'The next run tries again.' if passing
                       else error.remedy) from error

    def discard(self, image_id: str) -> None:
        """Remove a record without bytes, though its owner protects it."""
        try:
            self.delete(image_id)
        except Kept as error:
            if _PROTECTED not in error.message:
                raise
            self.update(image_id, {'protected': False})
            self.delete(image_id)

    def deactivate(self, image_id: str) -> None:
        """Take an image out of use."""
        self._rest.request(
            'POST', _path(image_id, '/actions/deactivate'), (204,))

    def reactivate(self, image_id: str) -> None:
        """Put an image to use again."""
        self._rest.request(
            'POST', _path(image_id, '/actions/reactivate'), (204,))

    def members(self, image_id: str) -> Sequence[tuple[str, str]]:
        """Return with which projects an image is shared, by their ids.

        :returns: each with the status that Glance has: accepted, pending or
            rejected. Glance may have a project twice
        """
        found = self._rest.document('GET', _path(image_id, '/members'))
        try:
            return [(str(each['member_id']), str(each['status']))
                    for each in found['members']]
        except (KeyError, TypeError) as error:
            raise self._rest.strange() from error

    def add_member(self, image_id: str, project: str,
                   status: str) -> None:
        """Share an image with a project.

        :param status: accepted for one in whose lists it is then
        """
        # 409: it is one already.
        self._rest.request('POST', _path(image_id, '/members'), (200, 409),
                           json={'member': project})
        # 404: somebody else removed it meanwhile.
        self._rest.request('PUT', _path(
            image_id, f'/members/{urllib.parse.quote(project, safe="")}'),
            (200, 404), json={'status': status})

    def remove_member(self, image_id: str, project: str) -> None:
        """Share an image with a project no longer."""
        self._rest.request('DELETE', _path(
            image_id, f'/members/{urllib.parse.quote(project, safe="")}'),
            (204, 404))

    def abilities(self) -> Abilities:
        """Return what Glance can do with bytes that come in."""
        methods = self._rest.document('GET', '/v2/info/import')
        schema = self._rest.document('GET', '/v2/schemas/image')
        try:
            known = {name: frozenset(filter(
                None, schema['properties'][name]['enum']))
                for name in ('disk_format', 'container_format')}
            return Abilities(
                frozenset(methods['import-methods']['value']),
                known['disk_format'], known['container_format'])
        except (KeyError, TypeError) as error:
            raise self._rest.strange() from error

    def download(self, image_id: str, uri: str,
                 stores: Sequence[str]) -> None:
        """Have Glance fetch the bytes of an image, which takes its time."""
        self._import(image_id, {'name': 'web-download', 'uri': uri}, stores)

    def stage(self, image_id: str, data: io.RawIOBase) -> None:
        """Send bytes to Glance, where they wait for :meth:`admit`.

        :param data: with a length
        """
        # Once more from the start is more than some bytes.
        self._rest.request(
            'PUT', _path(image_id, '/stage'), (204,), data=data,
            headers={'Content-Type': 'application/octet-stream'},
            timeout=_STAGED, connect_retries=0, log=False)

    def admit(self, image_id: str, stores: Sequence[str]) -> None:
        """Have Glance import the bytes that were staged."""
        self._import(image_id, {'name': 'glance-direct'}, stores)

    def tasks(self, image_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the imports of an image, the last one first."""
        found = self._rest.document(
            'GET', _path(image_id, '/tasks')).get('tasks')
        try:
            return sorted(found, key=lambda task: str(task['created_at']),
                          reverse=True) if found else ()
        except (KeyError, TypeError) as error:
            raise self._rest.strange() from error

    def _import(self, image_id: str, method: Mapping[str, str],
                stores: Sequence[str]) -> None:
        where = {'stores': list(stores)} if stores else {}
        self._rest.request('POST', _path(image_id, '/import'), (202,),
                           json={'method': method, **where})

    def _pages(self, query: dict[str, str],
               headers: Mapping[str, str]) -> Iterator[Image]:
        # Glance takes as long for a page as we for what is in it: the next
        # one is made meanwhile.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            coming: _Coming | None = pool.submit(
                self._page, query, headers, LIMIT)
            while coming:
                images, limit, more = coming.result()
                coming = None
                if images and more:
                    # It may have been deleted: an administrator's marker
                    # still counts.
                    query = {**query, 'marker': images[-1]['id']}
                    coming = pool.submit(
                        self._page, query, headers, min(LIMIT, limit * 2))
                yield from images

    def _page(self, query: Mapping[str, str], headers: Mapping[str, str],
              limit: int) -> _Page:
        """Return a page of as many images, or of fewer if it is too long.

        :returns: images, how many were asked for, and whether more follow
        """
        page = None
        while page is None:
            asked = urllib.parse.urlencode({**query, 'limit': str(limit)})
            page = self._rest.bounded(
                f'/v2/images?{asked}',
                _LONGEST if limit > 1 else _LONGEST_ALONE, headers)
            if page is None and limit == 1:
                raise ServiceError(
                    f'Glance shows an image in more than {_LONGEST_ALONE} '
                    f'bytes.', 0, _REMEDIES[-1])
            limit = limit if page is not None else limit // 2
        images = page.get('images')
        if not isinstance(images, list):
            raise _strange()
        return [_image(image) for image in images], limit, bool(
            page.get('next'))


def held_of(image: Image) -> Held:
    """Return an image that has its bytes, as it is judged.

    :raises ServiceError: it is not what Glance makes of an image
    """
    try:
        return Held(
            image_id=image['id'], status=image['status'],
            owner=image['owner'] or '',
            created=time_of(image),
            visibility=image['visibility'],
            disk_format=image['disk_format'] or '',
            container_format=image['container_format'] or '',
            size=image['size'],
            sha512=(image['os_hash_value'] or ''
                    if image['os_hash_algo'] == 'sha512' else ''),
            extra=extra_of(image), name=image['name'] or '')
    except (KeyError, TypeError, ValueError) as error:
        raise _strange() from error


def extra_of(image: Image) -> dict[str, str]:
    """Return the properties of an image."""
    return {name: value for name, value in image.items()
            if name not in _OWN and isinstance(value, str)}


def time_of(found: Mapping[str, Any],
            name: str = 'created_at') -> datetime.datetime:
    """Return a time of an image or a task, UTC.

    :raises ServiceError: it has none
    """
    try:
        # Of a task it has no zone, and is UTC as well.
        return datetime.datetime.fromisoformat(found[name]).replace(
            tzinfo=datetime.UTC)
    except (KeyError, TypeError, ValueError) as error:
        raise _strange() from error


def _path(image_id: str, action: str = '') -> str:
    return f'/v2/images/{urllib.parse.quote(image_id, safe="")}{action}'


def _pointer(name: str) -> str:
    """Return a property as a JSON pointer (RFC 6901)."""
    return '/' + name.replace('~', '~0').replace('/', '~1')


def _image(value: Any) -> Image:
    if not isinstance(value, dict) or not isinstance(value.get('id'), str):
        raise _strange()
    return value


def _strange() -> ServiceError:
    return ServiceError('What answers is not Glance.', 0, _REMEDIES[0])
