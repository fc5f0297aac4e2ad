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

"""A version of an image list, from what an endorser wants to publish."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import functools
import re

from hepix_vm.errors import Code
from hepix_vm.errors import TrustError
from hepix_vm.exchange.oneline import clean
from hepix_vm.publicationfile import Publication
from hepix_vm.site import Site
from hepix_vm.trust import endorsement
from hepix_vm.trust import imagelist
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList

_FIRST = '1'
_LAST_NUMBER = re.compile(r'(.*?)([0-9]{1,18})', re.DOTALL)
# Of versions, as ``key`` of what sorts.
ORDER = functools.cmp_to_key(compare_versions)
# What a version may be in the name of a file, and in a URI.
_VERSION = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')


def next_version(known: Iterable[str], wanted: str = '') -> str:
    """Return a version that is higher than all that are known.

    :param wanted: what the endorser calls it; else the last number of the
        highest one grows by one
    :raises TrustError: it is not higher, or no version
    """
    highest = max(known, default='', key=ORDER)
    version = wanted or _raised(highest)
    if not _VERSION.fullmatch(version):
        raise TrustError(f'{version!r} is no version.', Code.MALFORMED,
                         'Give one such as 2.1 or 2026.11.1.')
    if compare_versions(version, highest) <= 0:
        raise TrustError(f'Version {version} is not higher than {highest}, '
                         f'which was published.', Code.LIST_ROLLBACK,
                         'Leave out --list-version, or give a higher one.')
    return version


def _raised(version: str) -> str:
    number = _LAST_NUMBER.fullmatch(version)
    if number:
        return f'{number[1]}{int(number[2]) + 1}'
    return f'{version}.1' if version else _FIRST


def build(publication: Publication, images: Sequence[ImageEntry],
          endorser: Endorser, version: str,
          at: datetime.datetime) -> ImageList:
    """Return the list as it will be signed.

    No image outlives the list.

    :param images: with their digests
    :param at: now, UTC
    :raises TrustError: one of them expired
    """
    end = publication.end or at + publication.valid
    for image in images:
        if image.expires and image.expires <= at:
            raise TrustError(
                f'The image {image.identifier} expired at '
                f'{format_time(image.expires)}.', Code.IMAGE_EXPIRED,
                'Let it expire later, or leave it out of the list.')
    return imagelist.complete(ImageList(
        identifier=publication.uuid, version=version, created=at,
        expires=end, endorser=endorser, uri=publication.uri,
        title=publication.title, description=publication.description,
        source=publication.source, vo=publication.vo,
        images=tuple(dataclasses.replace(
            image, expires=min(image.expires or end, end))
            for image in images)))


def verify(message: bytes, image_list: ImageList, site: Site,
           at: datetime.datetime) -> None:
    """Make sure that a signed list is one on which a site would rely.

    :param image_list: what it has to hold
    :param at: now, UTC
    :raises TrustError: with the first reason why not
    """
    signed = endorsement.open_list(message, site.trust)
    if signed.image_list != image_list:
        raise TrustError('The signed list is not the one that was shown.',
                         Code.SIGNATURE_INVALID)
    for reason in signed.reasons(site.anchors, at, site.trust):
        raise TrustError(reason.message, reason.code)


def check_old(message: bytes, site: Site, uuid: str) -> ImageList:
    """Return the version that is published where the new one goes.

    Whether its signer is still trusted does not matter: it ends.

    :raises TrustError: it is something else, which is not overwritten
    """
    try:
        old = endorsement.open_list(message, site.trust).image_list
    except TrustError as error:
        raise TrustError(
            f'What is there is no image list: {error.message}', error.code,
            'Look at it, and move it away if it is not needed.') from error
    if old.identifier != uuid:
        raise TrustError(
            f'There is another list, {old.identifier}.', Code.UUID_CONFLICT,
            'Publish each list at an address of its own.')
    return old


def differences(old: ImageList | None, new: ImageList) -> Iterator[str]:
    """Yield what a version changes, a line each.

    :param old: the version that it replaces, if there is one
    """
    before = old.version if old else 'none'
    yield (f'list {new.identifier} version {before} -> {new.version}, '
           f'{_number(len(new.images))}, until {format_time(new.expires)}')
    for name in ('title', 'description', 'source', 'vo', 'uri', 'endorser'):
        was, now = getattr(old, name, None), getattr(new, name)
        if old and was != now:
            yield f'~ {name}: {_shown(was)} -> {_shown(now)}'
    images = list(_images(old, new))
    yield from images or ['no image changes']


def _images(old: ImageList | None, new: ImageList) -> Iterator[str]:
    known = {entry.identifier: entry for entry in (old.images if old else ())}
    for entry in new.images:
        ends = _end(entry, new)
        former = known.pop(entry.identifier, None)
        if former is None:
            yield f'+ {_image(entry)}'
        elif former.sha512 != entry.sha512:
            yield f'~ {_image(entry)}, other bytes than {former.version}'
        elif old and ends != (was := _end(former, old)):
            yield f'~ {_image(entry)}, expires {ends}, and not {was}'
        elif dataclasses.replace(
                former, expires=entry.expires, extra=entry.extra) != entry:
            yield f'~ {_image(entry)}, the same bytes'
    for former in known.values():
        yield f'- {_image(former)}: revoked at all subscribers'


def _end(entry: ImageEntry, image_list: ImageList) -> str:
    """Return when an image expires, as one reads it."""
    end = entry.expires
    return format_time(end) if end and end != image_list.expires else (
        'with the list')


def _number(images: int) -> str:
    return f'{images or "no"} image{"" if images == 1 else "s"}'


def _image(entry: ImageEntry) -> str:
    return (f'{entry.identifier} {_shown(entry.title)} {entry.version} '
            f'({entry.size} bytes, {entry.uri})')


def _shown(value: object) -> str:
    """Return a value as one line that a terminal shows as it is."""
    if isinstance(value, Endorser):
        value = f'{value.dn} ({value.email})'
    return clean(str(value))
