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

"""The cases: who endorsed what, and what the site has decided about it."""

from collections.abc import Callable
import dataclasses
import datetime

from hepix_vm.errors import Code
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import file_entry
from tests.testbed.site import Site
from tools.demo.cloud import Disk
from tools.demo.cloud import Disks


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What a user brings.

    :param endorsement: value of hepix_endorsement; empty for none
    """

    disk: Disk
    endorsement: str = ''

    @property
    def properties(self) -> dict[str, str]:
        """What the user says when the image record is made."""
        properties = {'disk_format': self.disk.disk_format}
        if self.endorsement:
            properties['hepix_endorsement'] = self.endorsement
        return properties


@dataclasses.dataclass(frozen=True)
class Case:
    """One case.

    :param name: what the table calls it
    :param story: what the reader has to know
    :param prepare: makes the site decide, and returns what is brought
    :param code: why it is to be refused; None if it is to be accepted
    """

    name: str
    story: str
    prepare: Callable[[Site, Disks], Attempt]
    code: Code | None = None

    @property
    def expected(self) -> str:
        """The expected outcome as the table names it."""
        return str(self.code or 'accepted')


def entry(disk: Disk) -> ImageEntry:
    """Return the entry of a disk in an image list."""
    return file_entry(
        disk.sha512, disk.size, format=disk.disk_format.upper(),
        uri=f'https://images.example.org/{disk.path.name}')


def endorsed(site: Site, disk: Disk) -> Attempt:
    """Bring a disk with Alice's endorsement of it."""
    image_list = site.image_list(entry(disk))
    return Attempt(disk, site.encode(site.sign(image_list, site.alice)))


def _raw(site: Site, disks: Disks) -> Attempt:
    return endorsed(site, disks.raw)


def _qcow2(site: Site, disks: Disks) -> Attempt:
    return endorsed(site, disks.qcow2)


def _listed(site: Site, disks: Disks) -> Attempt:
    site.accept(site.image_list(entry(disks.raw), entry(disks.qcow2)))
    return Attempt(disks.qcow2)


def _unendorsed(site: Site, disks: Disks) -> Attempt:
    return Attempt(disks.qcow2)


def _tampered(site: Site, disks: Disks) -> Attempt:
    return dataclasses.replace(endorsed(site, disks.qcow2),
                               disk=disks.tampered)


def _expired(site: Site, disks: Disks) -> Attempt:
    image_list = site.image_list(
        entry(disks.qcow2),
        expires=pki.utcnow() - datetime.timedelta(minutes=5))
    return Attempt(disks.qcow2,
                   site.encode(site.sign(image_list, site.alice)))


def _signer_revoked(site: Site, disks: Disks) -> Attempt:
    attempt = endorsed(site, disks.qcow2)
    site.write_anchors(revoked=[site.alice])
    return attempt


def _dropped(site: Site, disks: Disks) -> Attempt:
    old = site.image_list(entry(disks.raw), entry(disks.qcow2))
    new = dataclasses.replace(old, version='2', images=old.images[:1])
    inline = dataclasses.replace(old, images=old.images[1:])
    site.accept(new)
    return Attempt(disks.qcow2, site.encode(site.sign(inline, site.alice)))


def _blocked(site: Site, disks: Disks) -> Attempt:
    site.write_policy(blocked=[
        {'sha512': disks.qcow2.sha512, 'reason': 'CVE-2026-0001'}])
    return endorsed(site, disks.qcow2)


def _stranger(site: Site, disks: Disks) -> Attempt:
    image_list = site.image_list(entry(disks.qcow2),
                                 endorser=Endorser(BOB, CA))
    return Attempt(disks.qcow2, site.encode(site.sign(image_list, site.bob)))


QCOW2 = Case('endorsed, qcow2', 'The same disk as another file, with an '
             'endorsement of its own.', _qcow2)
CASES = (
    Case('endorsed, raw', f'{ALICE}, whom the site accepts, has signed for '
         'exactly these bytes.', _raw),
    QCOW2,
    Case('on accepted list', 'The image has no property at all: its digest '
         'is on an image list that the site has accepted.', _listed),
    Case('unendorsed', 'Nobody has signed for these bytes.', _unendorsed,
         Code.NOT_ENDORSED),
    Case('tampered', 'One bit was changed after the endorsement.',
         _tampered, Code.CHECKSUM_MISMATCH),
    Case('expired', 'The endorsement ended five minutes ago.', _expired,
         Code.LIST_EXPIRED),
    Case('endorser revoked', 'The endorser\'s certificate is in the CRL of '
         'its CA.', _signer_revoked, Code.SIGNER_REVOKED),
    Case('dropped from list', 'Version 1 of a list endorsed the image; the '
         'site has accepted version 2, which no longer has it.', _dropped,
         Code.IMAGE_REVOKED),
    Case('blocked', 'It is endorsed, and policy.yaml of the site blocks '
         'it.', _blocked, Code.IMAGE_BLOCKED),
    Case('by a stranger', f'{BOB} has a certificate of the same CA and is '
         'no endorser of the site.', _stranger, Code.ENDORSER_NOT_ACCEPTED),
)
