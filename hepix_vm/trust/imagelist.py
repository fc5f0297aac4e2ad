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

"""HEPiX image lists: JSON to model and back.

The keys are those of the HEPiX image list format as hepixvmitrust, atrope
and cloudkeeper read them. What hepixvmitrust requires is required here; a
key that the format does not name is kept in ``extra`` and written back.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import datetime
import json
import re
from typing import Any
from typing import NamedTuple

from hepix_vm.errors import MalformedError
from hepix_vm.trust import fields
from hepix_vm.trust.fields import Flaw
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust import strictjson

DEFAULT_MAX_BYTES: int = 64 * 1024 * 1024

_LIST = 'hv:imagelist'
_IMAGES = 'hv:images'
_IMAGE = 'hv:image'
_ENDORSER = 'hv:endorser'
_X509 = 'hv:x509'
_MPURI = 'ad:mpuri'

_PARTS = re.compile('[0-9]+|[-,./]|[^-,./0-9]+')
_NOT_IN_URI = re.compile('[^A-Za-z0-9._~-]')


class _Format(NamedTuple):
    """The keys of an object: the field of the model and its reader."""

    keys: Mapping[str, tuple[str, Callable[[Any], Any]]]
    optional: Collection[str] = ()

    def write(self, model: Any) -> dict[str, Any]:
        """Return the members of these keys, as the model has them."""
        return {key: getattr(model, field)
                for key, (field, _) in self.keys.items()}


_LIST_FORMAT = _Format({
    'dc:identifier': ('identifier', fields.uuid),
    'hv:version': ('version', fields.name),
    'dc:date:created': ('created', fields.time),
    'dc:date:expires': ('expires', fields.time),
    _ENDORSER: ('endorser', lambda value: value),
    'hv:uri': ('uri', fields.line),
    'dc:title': ('title', fields.line),
    'dc:description': ('description', fields.text),
    'dc:source': ('source', fields.line),
    'ad:vo': ('vo', fields.line),
    _IMAGES: ('images', fields.array),
}, optional=('ad:vo',))

_ENDORSER_FORMAT = _Format({
    'hv:dn': ('dn', fields.name),
    'hv:ca': ('ca', fields.name),
    'hv:email': ('email', fields.line),
    'dc:creator': ('creator', fields.line),
})

_IMAGE_FORMAT = _Format({
    'dc:identifier': ('identifier', fields.uuid),
    'hv:size': ('size', fields.size),
    'sl:checksum:sha512': ('sha512', fields.digest),
    'hv:version': ('version', fields.name),
    'hv:uri': ('uri', fields.name),
    'hv:hypervisor': ('hypervisor', fields.name),
    'dc:title': ('title', fields.line),
    'dc:description': ('description', fields.text),
    'sl:arch': ('arch', fields.line),
    'sl:os': ('os', fields.line),
    'sl:osversion': ('osversion', fields.line),
    'sl:osname': ('osname', fields.line),
    'sl:comments': ('comments', fields.text),
    'hv:format': ('format', fields.line),
    'dc:date:expires': ('expires', fields.time),
}, optional=('sl:osname', 'hv:format', 'dc:date:expires'))

# What is around an object; more keys beside it are kept.
_AROUND = {key: _Format({key: (key, lambda value: value)})
           for key in (_LIST, _IMAGE, _X509)}

# What atrope and cloudkeeper require of an image besides; they take ''.
_APPDB: Mapping[str, str] = dict.fromkeys((
    'ad:base_mpuri', 'ad:appid', 'ad:group', 'ad:user:fullname',
    'ad:user:guid', 'ad:user:uri'), '')


def parse(data: bytes, max_bytes: int = DEFAULT_MAX_BYTES) -> ImageList:
    """Return the image list that a JSON document is.

    Both shapes are read, with the outer ``hv:imagelist`` and without.
    Keys of the format must be there, except ``ad:vo``, ``hv:format``,
    ``sl:osname`` and an image's ``dc:date:expires``; those for which the
    model has a default may be empty. Unknown keys are kept in ``extra``;
    those around an object (beside ``hv:imagelist``, ``hv:image`` or in
    ``hv:endorser``) are kept there under the name of that key.

    :param data: the JSON document (RFC 8259, UTF-8)
    :param max_bytes: the longest document that is read, in bytes
    :raises MalformedError: if it is no image list; the message names the
        key. The code is ``too-large`` where a limit is exceeded.
    """
    document = strictjson.loads(data, max_bytes)
    where = ''
    beside: dict[str, Any] = {}
    if isinstance(document, dict) and _LIST in document:
        where = _LIST
        document, beside = _unwrap(document, _LIST, '')
    _refuse_pre_standard(document)
    known, extra = _read(document, _LIST_FORMAT, where)
    _keep(extra, _LIST, beside, where)
    endorser, beside = _parse_endorser(
        known.pop('endorser'), _path(where, _ENDORSER))
    _keep(extra, _ENDORSER, beside, where)
    images = _parse_images(known.pop('images'), _path(where, _IMAGES))
    if known['expires'] < known['created']:
        raise MalformedError(
            f'{_path(where, "dc:date:expires")} is before dc:date:created.')
    return ImageList(
        **known, endorser=endorser, images=images, extra=extra)


def _refuse_pre_standard(found: Any) -> None:
    if isinstance(found, dict) and 'images' in found and (
            _IMAGES not in found):
        raise MalformedError(
            'This is an image list of the time before the HEPiX standard '
            '(images[].metadata.vmi_*), which is not supported; it must be '
            'written as hv:imagelist.')


def _parse_endorser(found: Any, where: str) -> tuple[
        Endorser, dict[str, Any]]:
    inner, beside = _unwrap(found, _X509, where)
    known, extra = _read(inner, _ENDORSER_FORMAT, _path(where, _X509))
    _keep(beside, _X509, extra, where)
    return Endorser(**known), beside


def _parse_images(found: list[Any], where: str) -> tuple[ImageEntry, ...]:
    images: dict[str, ImageEntry] = {}
    for index, holder in enumerate(found):
        place = f'{where}[{index}]'
        inner, beside = _unwrap(holder, _IMAGE, place)
        known, extra = _read(inner, _IMAGE_FORMAT, place)
        _keep(extra, _IMAGE, beside, place)
        entry = ImageEntry(**known, extra=extra)
        if entry.identifier in images:
            raise MalformedError(
                f'{place}/dc:identifier {entry.identifier} is that of '
                f'another image of the list.')
        images[entry.identifier] = entry
    return tuple(images.values())


def _read(found: Any, layout: _Format, where: str) -> tuple[
        dict[str, Any], dict[str, Any]]:
    """Return the fields of the model, and the keys that it does not name."""
    if type(found) is not dict:
        raise MalformedError(
            f'{where or "The document"} must be an object, not '
            f'{fields.kind(found)}.')
    keys = layout.keys
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    key = ''
    try:
        for key, value in found.items():
            if key in keys:
                field, reader = keys[key]
                known[field] = reader(value)
            else:
                extra[fields.line(key)] = fields.anything(value)
    except Flaw as flaw:
        name = key if key in keys else fields.shown(key)
        raise MalformedError(f'{_path(where, name)} {flaw}.') from flaw
    for key in keys:
        if key not in found and key not in layout.optional:
            raise MalformedError(f'{_path(where, key)} is missing.')
    return known, extra


def _unwrap(found: Any, key: str, where: str) -> tuple[Any, dict[str, Any]]:
    """Return what is under the key, and what is beside it."""
    known, beside = _read(found, _AROUND[key], where)
    return known[key], beside


def _keep(extra: dict[str, Any], key: str, beside: dict[str, Any],
          where: str) -> None:
    if key in extra:
        raise MalformedError(f'{_path(where, key)} is out of place.')
    if beside:
        extra[key] = beside


def _path(where: str, key: str) -> str:
    return f'{where}/{key}' if where else key


def complete(image_list: ImageList) -> ImageList:
    """Return the image list with all that any reader of the format needs.

    Times lose their fractions of a second. An image without an expiry
    gets that of the list (atrope takes none for expired, cloudkeeper
    refuses it). Where they are missing, an image gets AppDB's keys: an
    ``ad:mpuri`` made of the list's ``hv:uri`` (or UUID), the image's UUID
    and its version, ``URI#UUID:VERSION/``, and the others empty.
    """
    expires = _whole(image_list.expires)
    base = image_list.uri or f'urn:uuid:{image_list.identifier}'
    images = []
    for entry in image_list.images:
        version = _NOT_IN_URI.sub(_escape, entry.version)
        mpuri = f'{base}#{entry.identifier}:{version}/'
        images.append(dataclasses.replace(
            entry,
            expires=_whole(entry.expires) if entry.expires else expires,
            extra={_MPURI: mpuri, **_APPDB, **entry.extra}))
    return dataclasses.replace(
        image_list, created=_whole(image_list.created), expires=expires,
        images=tuple(images))


def _escape(found: re.Match[str]) -> str:
    # Percent-encoding (RFC 3986, 2.1); what no text may hold is refused
    # when it is written.
    return ''.join(
        f'%{byte:02X}' for byte in found[0].encode('utf-8', 'replace'))


def serialize(image_list: ImageList) -> bytes:
    """Return the image list as JSON: ASCII, sorted keys, LF.

    It is written :func:`complete`, so ``parse(serialize(x))`` is
    ``complete(x)``, which is ``x`` where nothing was missing.

    :raises MalformedError: if :func:`parse` would not read it or would
        read something else; the message names the key
    """
    whole = complete(image_list)
    try:
        written = json.dumps(
            _document(whole), indent=2, sort_keys=True, allow_nan=False,
            default=_time_only)
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedError(
            f'The image list cannot be written as JSON: {error}.') from error
    data = f'{written}\n'.encode('ascii')
    if parse(data, len(data)) != whole:
        raise MalformedError(
            'The image list would not read back as it is: UUIDs and digests '
            'must be in lower case, and extra must hold JSON values only, '
            'under keys that the format does not name.')
    return data


def _time_only(value: Any) -> str:
    if not isinstance(value, datetime.datetime):
        raise TypeError(f'{type(value).__name__} is no JSON value')
    return format_time(value)


def _document(image_list: ImageList) -> dict[str, Any]:
    extra = dict(image_list.extra)
    beside = extra.pop(_LIST, {})
    around = dict(extra.pop(_ENDORSER, {}))
    x509 = {**around.pop(_X509, {}),
            **_ENDORSER_FORMAT.write(image_list.endorser)}
    return {**beside, _LIST: {
        **extra, **_LIST_FORMAT.write(image_list),
        _ENDORSER: {**around, _X509: x509},
        _IMAGES: [_holder(entry) for entry in image_list.images]}}


def describe(entry: ImageEntry) -> str:
    """Return an image as JSON, as it is in a list under ``hv:image``."""
    return json.dumps(_holder(entry)[_IMAGE], sort_keys=True,
                      default=_time_only)


def _holder(entry: ImageEntry) -> dict[str, Any]:
    extra = dict(entry.extra)
    beside = extra.pop(_IMAGE, {})
    return {**beside, _IMAGE: {**extra, **_IMAGE_FORMAT.write(entry)}}


def compare_versions(a: str, b: str) -> int:
    """Return -1, 0 or 1 as version a is lower, equal or higher than b.

    Versions are split into numbers, separators (one of ``-,./``) and
    words, as hepixvmitrust does. Numbers compare as numbers, other parts
    as text; a number is higher than a text, and the longer of two that
    begin alike is higher: 1.9 < 1.10, 1.2-rc1 < 1.2.0, 1.2 < 1.2.0.
    """
    first, second = _order(a), _order(b)
    return (first > second) - (first < second)


def _order(version: str) -> list[tuple[int, int, str]]:
    # Numbers without leading zeros compare by length first, then as text:
    # int() refuses long ones.
    parts = []
    for part in _PARTS.findall(version):
        number = part.lstrip('0')
        parts.append((1, len(number), number) if part[0] in '0123456789'
                     else (0, 0, part))
    return parts


def parse_time(text: str) -> datetime.datetime:
    """Return the UTC time of a text like ``2030-01-31T12:00:00Z``.

    :raises MalformedError: if it is written in any other way
    """
    try:
        return fields.time(text)
    except Flaw as flaw:
        raise MalformedError(f'A time {flaw}.') from flaw


def format_time(time: datetime.datetime) -> str:
    """Return a time as image lists have it, ``2030-01-31T12:00:00Z``.

    :param time: with a time zone; fractions of a second are dropped
    :raises MalformedError: if it has no time zone
    """
    return f'{_whole(time).replace(tzinfo=None).isoformat()}Z'


def _whole(time: datetime.datetime) -> datetime.datetime:
    if time.tzinfo is None:
        raise MalformedError('A time without a time zone means nothing.')
    try:
        return time.astimezone(datetime.UTC).replace(microsecond=0)
    except OverflowError as error:
        raise MalformedError('A time is out of range.') from error
