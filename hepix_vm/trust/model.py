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

"""What the trust core speaks of: lists, images, endorsers, endorsements.

Field names follow the keys of the HEPiX image list format; see
:mod:`hepix_vm.trust.imagelist` for the mapping.
"""

from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

from cryptography import x509

from hepix_vm.trust import names


@dataclasses.dataclass(frozen=True, slots=True)
class Endorser:
    """Who endorses: a certificate's subject and the CA that issued it.

    Both names are OpenSSL one-line distinguished names
    (``/C=EU/O=Grid/CN=Alice``).
    """

    dn: str
    ca: str
    email: str = ''
    creator: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class ImageEntry:
    """One ``hv:image`` of a list.

    :param identifier: ``dc:identifier``, a UUID in lower case
    :param size: ``hv:size`` in bytes
    :param sha512: ``sl:checksum:sha512``, 128 hex digits in lower case
    :param expires: ``dc:date:expires`` of the image, if it has its own
    :param extra: keys that the format does not name, kept as they were
    """

    identifier: str
    size: int
    sha512: str
    version: str
    uri: str
    hypervisor: str
    title: str = ''
    description: str = ''
    arch: str = ''
    os: str = ''
    osversion: str = ''
    osname: str = ''
    comments: str = ''
    format: str = ''
    expires: datetime.datetime | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def extra_text(self, key: str) -> str:
        """Return a text or a number of :attr:`extra`; else nothing."""
        value = self.extra.get(key, '')
        return str(value) if isinstance(value, str | int) else ''


@dataclasses.dataclass(frozen=True, slots=True)
class ImageList:
    """A HEPiX image list.

    :param identifier: ``dc:identifier``, a UUID in lower case, constant
        for the life of the list
    :param version: ``hv:version``, compared part by part
    :param created: UTC
    :param expires: UTC
    :param extra: keys that the format does not name, kept as they were
    """

    identifier: str
    version: str
    created: datetime.datetime
    expires: datetime.datetime
    endorser: Endorser
    uri: str = ''
    title: str = ''
    description: str = ''
    source: str = ''
    vo: str = ''
    images: tuple[ImageEntry, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def find(self, identifier: str) -> ImageEntry | None:
        """Return the image with this ``dc:identifier``."""
        return next(
            (i for i in self.images if i.identifier == identifier), None)


@dataclasses.dataclass(frozen=True, slots=True)
class Endorsement:
    """One image of one list whose signature and chain were verified.

    :param signer: who signed, read from the certificate, never from the
        list
    :param certificate: the signer's certificate; None where it was verified
        before, and only its name was kept
    :param source: the name of the endorsement source that found it
    :param message: the signed message as text, where it came with the
        image
    :param approved: whether the site lets it run: at once, or since an
        operator said so
    :param shareable: whether an operator lets other sites have it
    """

    entry: ImageEntry
    image_list: ImageList
    signer: Endorser
    certificate: x509.Certificate | None
    source: str
    message: str = ''
    approved: bool = True
    shareable: bool = False

    @property
    def signers(self) -> frozenset[str]:
        """Every way in which people and tools write who signed."""
        if self.certificate is None:
            return frozenset({self.signer.dn})
        return names.spellings(self.certificate.subject)

    def may_be_of(self, dn: str) -> bool:
        """Return whether a text may name who signed: it forbids."""
        if self.certificate is None:
            return names.alike(dn, self.signer.dn)
        return dn in self.signers

    @property
    def expires(self) -> datetime.datetime:
        """When it ends: the image's own date, never after the list's."""
        if self.entry.expires is None:
            return self.image_list.expires
        return min(self.entry.expires, self.image_list.expires)
