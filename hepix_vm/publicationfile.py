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

"""Reading the file that says what an endorser publishes."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import datetime
import os
import re
from typing import Any
from typing import TypeVar
import urllib.parse

from hepix_vm.trust import fields
from hepix_vm.trust import formats
from hepix_vm.trust.model import ImageEntry
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

_T = TypeVar('_T')

# How long a list counts unless its file says otherwise.
_VALID_DAYS = 30
_MAX_DAYS = 3650
SHAREABLE = 'shareable'
_EMAIL = re.compile(r'[^@\s]+@[^@\s]+')
_FETCHED = ('http', 'https')


@dataclasses.dataclass(frozen=True, slots=True)
class GlanceImage:
    """An image of Glance that is to be published.

    :param uri: where subscribers fetch it; empty for what its endorsement
        says
    """

    image_id: str
    uri: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """An image that the file describes.

    :param entry: without digest and size where they are to be measured
    :param path: of its file; empty to measure what its hv:uri has
    """

    entry: ImageEntry
    path: str = ''

    @property
    def measured(self) -> bool:
        """Whether digest and size are known."""
        return bool(self.entry.sha512)


@dataclasses.dataclass(frozen=True, slots=True)
class Publication:
    """What an endorser publishes.

    :param uri: where subscribers fetch the list
    :param valid: for how long a version counts
    :param end: until when it counts, UTC; None for as long as that
    :param base_url: below which images of Glance are, by their ids, that
        have no address of their own
    :param every_shareable: whether all shareable images of Glance are taken
    """

    uuid: str
    uri: str
    title: str
    email: str
    description: str = ''
    source: str = ''
    vo: str = ''
    creator: str = ''
    valid: datetime.timedelta = datetime.timedelta(days=_VALID_DAYS)
    end: datetime.datetime | None = None
    base_url: str = ''
    every_shareable: bool = False
    glance_images: tuple[GlanceImage, ...] = ()
    images: tuple[Declared, ...] = ()

    @property
    def asks_glance(self) -> bool:
        """Whether images of Glance are published."""
        return self.every_shareable or bool(self.glance_images)


def parse(data: bytes, path: str) -> Publication:
    """Read the file.

    :param data: its bytes
    :param path: its name, for messages; paths in it are relative to its
        folder
    :raises ConfigError: something in it is not of the schema
    """
    keys = yamlfile.parse(data, path).mapping(
        {*_LIST, 'valid_days', 'base_url', 'glance_images', 'images'},
        required=('uuid', 'uri', 'title', 'email'))
    values: dict[str, Any] = _all(_LIST, keys)
    _fetched(keys['uri'])
    values.setdefault('description', values['title'])
    if 'valid_days' in keys:
        values['valid'] = _days(keys['valid_days'])
    if 'base_url' in keys:
        values['base_url'] = _fetched(keys['base_url'])
    if 'glance_images' in keys:
        values |= _glance_images(keys['glance_images'])
    if 'images' in keys:
        values['images'] = tuple(
            _image(node) for node in keys['images'].items())
    return Publication(**values)


def read(node: Node, reader: Callable[[Any], _T],
         key: str = 'The value') -> _T:
    """Return a value as an image list holds it.

    :param key: what messages call it
    :raises ConfigError: a list cannot hold it
    """
    # As it stands there: 1.10 is a version and no number.
    value = node.written if node.written else node.value
    try:
        return reader(value)
    except fields.Flaw as flaw:
        raise node.error(f'{key} {flaw}.') from flaw


def _email(value: Any) -> str:
    """Return an address of electronic mail.

    :raises Flaw: nothing could be sent there
    """
    if not _EMAIL.fullmatch(fields.name(value)):
        raise fields.Flaw(f'must be an address such as images@example.org, '
                          f'not {fields.shown(value)}')
    return str(value)


def _format(value: Any) -> str:
    """Return a format whose spelling is known.

    :raises Flaw: no site could compare it with what Glance says
    """
    if not formats.known(fields.name(value)):
        raise fields.Flaw(f'must be a format such as QCOW2 or RAW, not '
                          f'{fields.shown(value)}')
    return str(value)


def _all(readers: Mapping[str, Callable[[Any], Any]],
         keys: Mapping[str, Node]) -> dict[str, Any]:
    return {key: read(keys[key], reader, key)
            for key, reader in readers.items() if key in keys}


def _days(node: Node) -> datetime.timedelta:
    if type(node.value) is not int or not 1 <= node.value <= _MAX_DAYS:
        raise node.error(f'A number of days from 1 to {_MAX_DAYS} is '
                         f'expected here.')
    return datetime.timedelta(days=node.value)


def _fetched(node: Node) -> str:
    """Read where subscribers fetch something."""
    url = read(node, fields.name)
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _FETCHED or port == 0:
        raise node.error('An address such as https://lists.example.org/ is '
                         'expected here.')
    if parts.username is not None:
        raise node.error('An address that others read has no password.')
    return url


def _glance_images(node: Node) -> dict[str, Any]:
    if node.value == SHAREABLE:
        return {'every_shareable': True}
    if not isinstance(node.value, list):
        raise node.error(f'{SHAREABLE}, or a list of ids, is expected here.')
    found = []
    for item in node.items():
        if not isinstance(item.value, dict):
            found.append(GlanceImage(read(item, fields.uuid)))
            continue
        keys = item.mapping({'id', 'uri'}, required=('id', 'uri'))
        found.append(GlanceImage(read(keys['id'], fields.uuid),
                                 _fetched(keys['uri'])))
    return {'glance_images': tuple(found)}


def _image(node: Node) -> Declared:
    keys = node.mapping({*_IMAGE, 'path', 'extra'}, required=(
        'uuid', 'title', 'version', 'uri', 'hypervisor', 'format', 'arch',
        'os', 'osversion'))
    known = {'sha512', 'size'} & keys.keys()
    if len(known) == 1:
        raise node.error('sha512 and size are given together, or neither.')
    if known and 'path' in keys:
        raise keys['path'].error('Where sha512 and size are given, no file '
                                 'is read.')
    values = _all(_IMAGE, keys)
    _fetched(keys['uri'])
    values['identifier'] = values.pop('uuid')
    values.setdefault('description', values['title'])
    values.setdefault('osname', values['os'])
    if 'extra' in keys:
        values['extra'] = {
            key: read(value, fields.text, key)
            for key, value in keys['extra'].mapping().items()}
    path = keys['path'].text() if 'path' in keys else ''
    return Declared(
        ImageEntry(**{'sha512': '', 'size': 0, **values}),
        path and os.path.join(os.path.dirname(node.path), path))


_LIST: Mapping[str, Callable[[Any], Any]] = {
    'uuid': fields.uuid, 'uri': fields.name, 'title': fields.name,
    'email': _email, 'description': fields.text, 'source': fields.line,
    'vo': fields.line, 'creator': fields.line,
}
_IMAGE: Mapping[str, Callable[[Any], Any]] = {
    'uuid': fields.uuid, 'title': fields.name, 'version': fields.name,
    'uri': fields.name, 'hypervisor': fields.name, 'format': _format,
    'arch': fields.name, 'os': fields.name, 'osversion': fields.name,
    'osname': fields.line, 'description': fields.text,
    'comments': fields.text, 'expires': fields.time, 'sha512': fields.digest,
    'size': fields.size,
}
