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

"""Endorsements of single images: signed lists that have one image each."""

from collections.abc import Mapping
import dataclasses
import datetime
import re
from typing import Any
import urllib.parse
import uuid

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.publish import next_version
from hepix_vm.exchange.signer import Signer
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust import fields
from hepix_vm.trust import imagelist
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.inline import MAX_INLINE
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList

# What the file of an endorsement is called, after that of the image.
BESIDE = '.endorsement'
KIND = 'hepix:kind'
BUILT_WITH = 'hepix:built_with'
PRODUCED = 'dc:date:created'

# The versions of a list that several endorsements share: day and second, so
# that who makes the next one needs to know none of the others.
_TIMED = re.compile(r'[0-9]{8}\.[0-9]{1,6}')
# What Glance knows as os_distro and is no Linux:
# https://docs.openstack.org/glance/latest/admin/useful-image-properties.html
_NO_LINUX = frozenset({
    'freebsd', 'msdos', 'netbsd', 'netware', 'openbsd', 'opensolaris',
    'windows'})
# What an option must say; it would else be refused by readers of lists.
_NEEDED = ('title', 'distro', 'distro_version', 'architecture',
           'hypervisor', 'image_version', 'disk_format')


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """What an endorser says of an image; named as the options are.

    :param expires: UTC
    :param uri: where the image is; empty for the name of its file
    :param kind: base, vo-environment or complete; empty if it is not said
    :param built_with: versions of the tools by which it was made
    :param produced: when it was made, UTC
    :param list_id: of a list that several images share; empty for a new one
    :param image_id: empty for a new one
    """

    title: str
    distro: str
    distro_version: str
    architecture: str
    hypervisor: str
    image_version: str
    disk_format: str
    expires: datetime.datetime
    vo: str = ''
    uri: str = ''
    kind: str = ''
    built_with: Mapping[str, str] = dataclasses.field(default_factory=dict)
    produced: datetime.datetime | None = None
    list_id: str = ''
    image_id: str = ''

    def check(self, at: datetime.datetime) -> None:
        """Make sure that a list can say this.

        :param at: now, UTC
        :raises ConfigError: an option says what cannot be
        """
        for name in _NEEDED:
            _read(name, getattr(self, name), fields.name)
        for name in ('list_id', 'image_id'):
            if value := getattr(self, name):
                _read(name, value, fields.uuid)
        if self.expires <= at:
            raise _wrong('expires', 'lies in the past')
        if self.produced and self.produced > at:
            raise _wrong('produced', 'lies in the future')
        if self.uri:
            _check_address(self.uri)


def _check_address(uri: str) -> None:
    """Make sure that something can be fetched there by everybody."""
    _read('uri', uri, fields.name)
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError as error:
        raise _wrong('uri', 'is no address') from error
    if not parts.scheme:
        raise _wrong('uri', 'is no address such as '
                            'https://images.example.org/image.qcow2')
    if '@' in parts.netloc:
        raise _wrong('uri', 'is read by everybody and has no password')


def _read(name: str, value: Any, reader: Any) -> None:
    try:
        reader(value)
    except fields.Flaw as flaw:
        raise _wrong(name, str(flaw)) from flaw


def _wrong(name: str, what: str) -> ConfigError:
    return ConfigError(f'--{name.replace("_", "-")} {what}.',
                       remedy='Give another value.')


def build(said: Statement, name: str, sha512: str, size: int,
          endorser: Endorser, at: datetime.datetime) -> ImageList:
    """Return the list that endorses an image.

    :param name: of its file
    :param sha512: digest of its bytes in hex
    :param size: their number
    :param at: now, UTC
    :raises ConfigError: an option says what cannot be
    """
    said.check(at)
    extra = {
        KIND: said.kind, BUILT_WITH: dict(said.built_with),
        PRODUCED: said.produced and format_time(said.produced)}
    return imagelist.complete(ImageList(
        identifier=(said.list_id or str(uuid.uuid4())).lower(),
        version=_timed(at) if said.list_id else '1',
        created=at, expires=said.expires, endorser=endorser,
        title=said.title, description=said.title, vo=said.vo,
        images=(ImageEntry(
            identifier=(said.image_id or str(uuid.uuid4())).lower(),
            size=size, sha512=sha512, version=said.image_version,
            uri=said.uri or f'file:///{urllib.parse.quote(name)}',
            hypervisor=said.hypervisor, title=said.title,
            description=said.title, arch=said.architecture,
            os=said.distro if said.distro.lower() in _NO_LINUX else 'Linux',
            osname=said.distro, osversion=said.distro_version,
            format=said.disk_format.upper(), expires=said.expires,
            extra={key: value for key, value in extra.items() if value}),)))


def only(message: bytes, settings: TrustSettings) -> SignedList:
    """Return the list of an endorsement.

    :raises TrustError: it is none of one image
    """
    signed = endorsement.open_list(message, settings)
    if len(signed.image_list.images) != 1:
        raise TrustError(
            f'This is a list of {len(signed.image_list.images)} images, and '
            f'no endorsement of one.', Code.MALFORMED,
            'A new version of a list is made by openstack image catalog '
            'publish.')
    return signed


def renew(old: ImageList, endorser: Endorser, expires: datetime.datetime,
          at: datetime.datetime) -> ImageList:
    """Return a newer version of an endorsement, of the same image.

    :param endorser: who signs now
    :param at: now, UTC
    :raises ConfigError: it would end in the past
    """
    if expires <= at:
        raise _wrong('expires', 'lies in the past')
    entry, = old.images
    # Whoever renews may know other names, but not another address.
    endorser = dataclasses.replace(
        endorser, email=endorser.email or old.endorser.email)
    version = next_version([old.version])
    if _TIMED.fullmatch(old.version) and (
            compare_versions(_timed(at), version) > 0):
        version = _timed(at)
    return imagelist.complete(dataclasses.replace(
        old, version=version, created=at, expires=expires, endorser=endorser,
        images=(dataclasses.replace(entry, expires=expires),)))


def end(image_list: ImageList) -> datetime.datetime:
    """Return until when an endorsement counts, UTC."""
    entry, = image_list.images
    return min(entry.expires or image_list.expires, image_list.expires)


def check_replaces(old: SignedList, new: ImageList) -> None:
    """Make sure that nothing is lost if a new version replaces the old one.

    :raises ConfigError: a gate could accept the old one, and not this
    """
    if not old.signed_by(new.endorser.dn, new.endorser.ca):
        what = (f'It was signed by {clean(old.signer.dn)}, and would be by '
                f'{clean(new.endorser.dn)}')
    elif end(new) < end(old.image_list):
        what = (f'It counts until {format_time(end(old.image_list))}, and '
                f'would until {format_time(end(new))}')
    else:
        return
    raise ConfigError(f'{what}; it is left as it is.',
                      remedy='Write the new one elsewhere with --output.')


def sign(image_list: ImageList, signer: Signer) -> bytes:
    """Return a signed endorsement, as a property can hold it.

    :raises TrustError: no property could hold it, or nobody would believe it
    """
    message = signer.sign(imagelist.serialize(image_list))
    if len(message) > MAX_INLINE:
        raise TrustError(
            f'The endorsement has {len(message)} bytes; the property of an '
            f'image holds {MAX_INLINE}.', Code.TOO_LARGE,
            'Say less, or sign with fewer intermediate CAs.')
    signed = only(message, TrustSettings())
    stated = image_list.endorser
    if signed.image_list != image_list:
        raise TrustError('What was signed is not what was meant.',
                         Code.SIGNATURE_INVALID)
    if not signed.signed_by(stated.dn, stated.ca):
        raise TrustError('The endorsement names somebody else than who '
                         'signed it.', Code.ENDORSER_MISMATCH)
    return message


def _timed(at: datetime.datetime) -> str:
    return f'{at:%Y%m%d}.{at.hour * 3600 + at.minute * 60 + at.second}'
