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

"""The checks of the design and how they combine into one Verdict.

A check takes what is known of an image and answers with the reasons
against it; an empty answer means that it has none. Every check is asked,
so that all reasons are collected and not only the first.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import enum
import re

from hepix_vm.errors import Code
from hepix_vm.trust import formats
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.settings import Block
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import Override
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

# How much later than ours an endorser's clock may be.
CLOCK_SKEW = datetime.timedelta(minutes=5)


class Moment(enum.StrEnum):
    """What is about to happen to the image."""

    STORE = 'store'  # its bytes become active
    KEEP = 'keep'  # it has its bytes; may it stay in use?
    RUN = 'run'  # a server boots from it


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What is known of the image that is judged.

    :param at: now, UTC
    :param image_id: Glance's id
    :param projects: names and ids by which its owner is known
    :param names_known: whether its owner's name is among them; who acts
        for another project knows only its id
    :param domains: names and ids of the owner's domain; None if unknown
    :param roles: roles of who brings the bytes; None if unknown
    :param created: when Glance made its record, UTC; None if the gate
        judged the bytes when they came
    :param endorsement: the property ``hepix_endorsement``
    :param size: number of bytes, where known
    :param sha512: digest of the bytes in hex; empty before they were read
    :param came_as: digest of the bytes as they are said to have come, where
        the service keeps others, or another digest
    :param meant: digest of the bytes for which we made its record, if we did
    :param digest_kept: whether the service will keep this digest of bytes
        that come
    :param altered_by: what alters the bytes after they were judged
    :param listed_by: UUID of the list by which an image came that has its
        bytes
    :param ledger: what the ledger says of it
    """

    at: datetime.datetime
    image_id: str = ''
    projects: frozenset[str] = frozenset()
    names_known: bool = True
    domains: frozenset[str] | None = None
    roles: frozenset[str] | None = None
    visibility: str = ''
    created: datetime.datetime | None = None
    endorsement: str = ''
    disk_format: str = ''
    container_format: str = ''
    size: int | None = None
    sha512: str = ''
    came_as: str = ''
    meant: str = ''
    digest_kept: bool = True
    altered_by: str = ''
    moment: Moment = Moment.STORE
    listed_by: str = ''
    ledger: Ledger = Ledger()


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What a source found for an image.

    :param reasons: why the endorsement cannot be relied upon
    """

    endorsement: Endorsement | None
    reasons: tuple[Reason, ...] = ()


Check = Callable[[Subject, Found, Policy], Iterable[Reason]]


def as_received(subject: Subject) -> Subject:
    """Return an image as its bytes came, if it is on record that they did.

    A property says so as well, which somebody may have written before it
    was protected.
    """
    if not subject.ledger.received(subject.image_id, subject.came_as):
        return dataclasses.replace(subject, altered_by='')
    subject = dataclasses.replace(subject, sha512=subject.came_as)
    if not subject.altered_by:
        return subject
    # Size and format are those of what was made of the bytes.
    return dataclasses.replace(
        subject, disk_format='', container_format='', size=None)


def received(subject: Subject, sha512: str) -> Record:
    """Return the record by which an image is known as its bytes came."""
    return Record(
        Fact.RECEIVED, Blockable.GLANCE_IMAGE, subject.image_id.lower(),
        'These bytes passed the gate.', 'glance-api',
        subject.at, sha512=sha512)


def judge(subject: Subject, found: Sequence[Found], policy: Policy,
          checks: Sequence[Check], mode: Mode) -> Verdict:
    """Return the verdict on an image.

    One endorsement against which nothing speaks is enough. If there is
    none, the reasons are those of the one that came nearest.
    """
    candidates = found or [Found(None, (Reason(
        Code.NOT_ENDORSED, 'Nobody whom this site trusts has endorsed '
        'these bytes.'),))]
    candidates = [_with_word(each, subject.ledger) for each in candidates]
    judged = [(_reasons(subject, candidate, policy, checks), candidate)
              for candidate in candidates]
    reasons, best = min(judged, key=lambda pair: len(pair[0]))
    return Verdict(
        reasons, best.endorsement, mode, subject.sha512, subject.size,
        _exemption(subject, reasons, policy),
        override_of(best.endorsement, subject.at, policy))


def _with_word(found: Found, ledger: Ledger) -> Found:
    """Add what operators of this site allowed of an image."""
    endorsement = found.endorsement
    if endorsement is None:
        return found
    entry = endorsement.entry
    return dataclasses.replace(found, endorsement=dataclasses.replace(
        endorsement,
        approved=(endorsement.approved
                  or ledger.allows(Fact.APPROVED, entry)),
        shareable=ledger.allows(Fact.SHAREABLE, entry)))


def _exemption(subject: Subject, reasons: tuple[Reason, ...],
               policy: Policy) -> Exemption | None:
    """Return why an image may stay that nobody endorsed.

    Nothing else may speak against it, and new bytes are never exempt.
    """
    if subject.moment is Moment.STORE or not reasons or any(
            reason.code is not Code.NOT_ENDORSED for reason in reasons):
        return None
    if subject.ledger.adopted(subject.image_id, subject.sha512, subject.at):
        return Exemption.ADOPTED
    until = policy.legacy.allow_until
    # Where the gate never stood, everything is older.
    installed = subject.ledger.installed() or subject.at
    if (until and subject.at < until and subject.created
            and subject.created < installed
            and not subject.ledger.came(subject.image_id)):
        return Exemption.LEGACY
    return None


def _reasons(subject: Subject, found: Found, policy: Policy,
             checks: Sequence[Check]) -> tuple[Reason, ...]:
    """Return all reasons of all checks, each once."""
    return tuple(dict.fromkeys(
        reason for check in checks
        for reason in check(subject, found, policy)))


def check_endorsement(subject: Subject, found: Found,
                      policy: Policy) -> Iterator[Reason]:
    """Signed by whom this site trusts, and approved before it runs."""
    yield from found.reasons
    endorsement = found.endorsement
    if subject.moment is not Moment.STORE and not subject.sha512:
        yield Reason(Code.NOT_ENDORSED, 'Glance knows no SHA-512 of the '
                     'data, so that no endorsement can be compared.')
    if endorsement and not endorsement.approved and (
            subject.moment is Moment.RUN):
        yield Reason(Code.NOT_APPROVED, f'Image '
                     f'{endorsement.entry.identifier} waits for the '
                     f'approval of an operator of this site.')


def check_checksum(subject: Subject, found: Found,
                   policy: Policy) -> Iterator[Reason]:
    """The bytes are the endorsed ones, and stay so."""
    if found.endorsement is None:
        return
    entry = found.endorsement.entry
    if subject.size is not None and subject.size != entry.size:
        yield Reason(Code.SIZE_MISMATCH, f'The data has {subject.size} '
                     f'bytes, but {entry.size} bytes were endorsed.')
    if subject.sha512 and subject.sha512 != entry.sha512:
        yield Reason(Code.CHECKSUM_MISMATCH, f'The data has the SHA-512 '
                     f'{_short(subject.sha512)}, but '
                     f'{_short(entry.sha512)} was endorsed.')
    if subject.sha512 and subject.meant not in ('', subject.sha512):
        yield Reason(Code.CHECKSUM_MISMATCH, f'The record is for data with '
                     f'the SHA-512 {_short(subject.meant)}.')
    if subject.altered_by and policy.altered_images is not Choice.ALLOW:
        yield Reason(Code.CHECKSUM_MISMATCH, f'{subject.altered_by} would '
                     f'alter the data while it is imported, so that the '
                     f'endorsed bytes are not the stored ones.')


def check_expiry(subject: Subject, found: Found,
                 policy: Policy) -> Iterator[Reason]:
    """Now lies between the dates of the list and of the image."""
    if found.endorsement is None:
        return
    entry = found.endorsement.entry
    overridden = override_of(found.endorsement, subject.at, policy)
    for reason in list_dates(found.endorsement.image_list, subject.at):
        if not overridden or reason.code is not Code.LIST_EXPIRED:
            yield reason
    if overridden:
        return
    if entry.expires is not None and subject.at >= entry.expires:
        yield Reason(Code.IMAGE_EXPIRED, f'The endorsement of image '
                     f'{entry.identifier} expired at '
                     f'{format_time(entry.expires)}.', entry.expires)


def override_of(endorsement: Endorsement | None, at: datetime.datetime,
                policy: Policy) -> Override | None:
    """Return by what an image may be used that expired; None if it did not.

    :param at: UTC
    """
    if endorsement is None or at < endorsement.expires:
        return None
    return next((override for override in policy.overrides
                 if override.image == endorsement.entry.identifier
                 and at < override.until), None)


def list_dates(image_list: ImageList,
               at: datetime.datetime) -> Iterator[Reason]:
    """Yield why a list does not count at a time."""
    if at + CLOCK_SKEW < image_list.created:
        yield Reason(Code.LIST_NOT_YET_VALID, f'The image list is valid '
                     f'from {format_time(image_list.created)} on.')
    if at >= image_list.expires:
        yield Reason(Code.LIST_EXPIRED, f'The image list '
                     f'{image_list.identifier} expired at '
                     f'{format_time(image_list.expires)}.',
                     image_list.expires)


def check_revocation(subject: Subject, found: Found,
                     policy: Policy) -> Iterator[Reason]:
    """Nobody blocked, revoked or superseded what counts here."""
    for block in policy.blocked:
        if _names(block, subject, found.endorsement):
            yield Reason(Code.IMAGE_BLOCKED, f'This site blocked '
                         f'{_BLOCKED[block.kind]} {_short(block.value)}: '
                         f'{block.reason}.')
    for record in subject.ledger.refusals():
        if _names(record, subject, found.endorsement) and (
                _counts(record, found.endorsement)):
            yield Reason(_REFUSALS[record.fact], f'{record.author} '
                         f'{record.fact} {_BLOCKED[record.kind]} '
                         f'{_short(record.value)}: {record.reason}.')
    if found.endorsement is None:
        return
    image_list = found.endorsement.image_list
    newest = subject.ledger.newest(image_list.identifier)
    if newest and compare_versions(image_list.version, newest) < 0:
        yield Reason(Code.LIST_ROLLBACK, f'Version {image_list.version} of '
                     f'the list {image_list.identifier} is older than '
                     f'version {newest}, which this cloud accepted.')


def _counts(record: Record, endorsement: Endorsement | None) -> bool:
    """Return whether a record speaks against an endorsement.

    A higher version of the list that wrote it takes it back. That a list
    has newer bytes says nothing of what another list endorses, whereas
    what was revoked is refused whoever endorses it.
    """
    if record.fact is Fact.BLOCKED or endorsement is None:
        return True
    image_list = endorsement.image_list
    if image_list.identifier != record.image_list:
        return record.fact is Fact.REVOKED
    return compare_versions(image_list.version, record.version) <= 0


def _names(block: Block | Record, subject: Subject,
           endorsement: Endorsement | None) -> bool:
    """Return whether a block names the image, or what endorses it."""
    if block.kind is Blockable.GLANCE_IMAGE:
        return subject.image_id.lower() == block.value
    if block.kind is Blockable.SHA512 and subject.sha512:
        return subject.sha512 == block.value
    if endorsement is None:
        return False
    if block.kind is Blockable.ENDORSER:
        return endorsement.may_be_of(block.value)
    named: Mapping[Blockable | None, str] = {
        Blockable.SHA512: endorsement.entry.sha512,
        Blockable.IMAGE: endorsement.entry.identifier,
        Blockable.LIST: endorsement.image_list.identifier}
    return block.value == named[block.kind]


_REFUSALS = {Fact.BLOCKED: Code.IMAGE_BLOCKED,
             Fact.REVOKED: Code.IMAGE_REVOKED,
             Fact.SUPERSEDED: Code.IMAGE_SUPERSEDED}
_BLOCKED: Mapping[Blockable | None, str] = {
    Blockable.SHA512: 'data with the SHA-512', Blockable.IMAGE: 'image',
    Blockable.GLANCE_IMAGE: 'image', Blockable.LIST: 'the image list',
    Blockable.ENDORSER: 'the endorser',
}


def check_hypervisor(subject: Subject, found: Found,
                     policy: Policy) -> Iterator[Reason]:
    """The image is made for a hypervisor of this site."""
    if found.endorsement is None:
        return
    stated = found.endorsement.entry.hypervisor
    # Lists say kvm, KVM, QEMU-KVM, "kvm,xen".
    if not policy.hypervisors & set(re.split(r'[^a-z0-9]+', stated.lower())):
        yield Reason(Code.HYPERVISOR_UNSUPPORTED, f'The image is made for '
                     f'{stated or "no named hypervisor"}; this site has '
                     f'{", ".join(sorted(policy.hypervisors))}.')


def check_format(subject: Subject, found: Found,
                 policy: Policy) -> Iterator[Reason]:
    """Glance takes the bytes for what the endorser says they are."""
    if found.endorsement is None or not subject.disk_format:
        return
    stated = found.endorsement.entry.format
    if formats.contradicts(stated, subject.disk_format,
                           subject.container_format,
                           bool(subject.altered_by)):
        yield Reason(Code.FORMAT_MISMATCH, f'The image was endorsed as '
                     f'{stated}, but disk_format is {subject.disk_format} '
                     f'and container_format {subject.container_format}.')


def _short(digest: str) -> str:
    """Return a digest so that two of them can be told apart by eye."""
    return f'{digest[:16]}...{digest[-8:]}' if len(digest) == 128 else digest
