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

"""What became of a list, as commands, metrics and notifiers say it."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import enum
import urllib.parse

from hepix_vm.errors import Code
from hepix_vm.errors import REMEDIES
from hepix_vm.exchange.oneline import short


# What an operator does who follows a list; users and endorsers read those of
# the codes.
_REMEDIES: Mapping[Code, str] = {
    Code.UNSIGNED: 'Ask who publishes it to sign it.',
    Code.SIGNATURE_INVALID:
        'Ask who publishes it to sign it again; it may have been changed on '
        'the way.',
    Code.UNTRUSTED_CA:
        'If you trust its CA, install that in trust_anchors; else ask the '
        'endorser for another certificate.',
    Code.SIGNER_EXPIRED:
        'Ask the endorser to renew his certificate and sign the list again.',
    Code.SIGNER_REVOKED:
        'Ask the endorser why, and whether the images are still sound.',
    Code.CRL_MISSING: 'Look at fetch-crl on this host.',
    Code.CRL_EXPIRED: 'Look at fetch-crl on this host.',
    Code.SIGNING_POLICY:
        'Look whether the signing policy of this CA is up to date here; else '
        'ask the endorser for another certificate.',
    Code.ENDORSER_MISMATCH:
        'Ask the endorser to state his own DN and CA in hv:endorser.',
    Code.ENDORSER_NOT_ACCEPTED:
        'If this is the endorser you mean, correct endorsers of this list in '
        'subscriptions.yaml.',
    Code.LIST_NOT_YET_VALID: 'Look at the clock of this host, or wait.',
    Code.LIST_ROLLBACK:
        'Ask who publishes it why it went back; a mirror may be late.',
    Code.UUID_CONFLICT:
        'Correct uuid of this list in subscriptions.yaml, or ask the '
        'endorser: each list and each image has one of its own.',
    Code.MALFORMED: 'Ask who publishes it to mend it and sign it again.',
    Code.CHECKSUM_MISMATCH:
        'Ask the endorser whether the image at hv:uri is the one that was '
        'endorsed.',
    Code.SIZE_MISMATCH:
        'Ask the endorser whether the image at hv:uri is the one that was '
        'endorsed.',
    Code.FORMAT_MISMATCH:
        'Ask the endorser whether hv:format is right.',
    Code.NOT_ENDORSED:
        'Nothing is to be done where its list dropped it; else ask who '
        'endorses it.',
    Code.IMAGE_REVOKED:
        'Look which servers run it; hepix-vm-sync lift takes it back.',
    Code.IMAGE_BLOCKED:
        'Look which servers run it; openstack image endorsement set '
        '--unblock or hepix-vm-sync lift takes it back.',
}


def remedy_of(code: Code) -> str:
    """Return what an operator does about a list with this code."""
    return _REMEDIES.get(code) or REMEDIES[code]


class Outcome(enum.StrEnum):
    """What became of a list."""

    ACCEPTED = 'accepted'  # a new version
    UNCHANGED = 'unchanged'
    STALE = 'stale'  # accepted, but a CRL or its signer is late
    REFUSED = 'refused'  # what came is not relied upon
    FAILED = 'failed'  # nothing came


@dataclasses.dataclass(frozen=True, slots=True)
class ListReport:
    """What became of a list in one run.

    :param version: of the list that counts now; empty if there is none
    :param expires: of the same, UTC
    :param images: number of images in it
    :param title: what it calls itself
    :param code: why it is refused
    :param message: one sentence, with :attr:`remedy`, where anything but
        acceptance is to be explained
    :param unused: version of a stored list whose signer is not pinned any
        more; empty if there is none
    :param fetched: when it was fetched or found unchanged last, UTC; None
        if it never was
    """

    uuid: str
    url: str
    outcome: Outcome
    version: str = ''
    expires: datetime.datetime | None = None
    images: int = 0
    title: str = ''
    code: Code | None = None
    message: str = ''
    remedy: str = ''
    unused: str = ''
    fetched: datetime.datetime | None = None

    def __str__(self) -> str:
        """Return it as the line that an operator reads."""
        place = urllib.parse.urlsplit(self.url)
        where = ', '.join(filter(None, [
            short(self.title, ''),
            place.hostname or ('a file' if self.url else 'by hand')]))
        counts = 'no version'
        if self.unused:
            counts = (f'version {self.unused}, which is not used: its '
                      f'images go out of use')
        if self.expires:
            images = f'{self.images} image{"" if self.images == 1 else "s"}'
            counts = (f'version {self.version}, {images}, expires '
                      f'{self.expires:%Y-%m-%d}')
        code = f'[{self.code}] ' if self.code else ''
        why = f'{code}{self.message} {self.remedy}' if self.message else ''
        if self.outcome in (Outcome.REFUSED, Outcome.FAILED):
            return (f'{self.uuid} {self.outcome}: {why} Stored: {counts} '
                    f'({where})')
        return f'{self.uuid} {self.outcome}: {counts} ({where})' + (
            f'; {why}' if why else '')


# Exit statuses.
ALL_WELL = 0
REFUSED = 1
FAILED = 2
MISCONFIGURED = 3
INTERRUPTED = 130  # as shells say it: 128 and the number of the signal
STATUSES: Mapping[int, str] = {
    ALL_WELL: 'all is well; also where there was nothing to do, an image '
              'waits for approval, or a list is stale',
    REFUSED: 'a list or an image was refused; or what was named is not '
             'adopted, fetched, published or lifted',
    FAILED: 'something failed; one line on standard error says what and what '
            'to do, and --debug where it came from',
    MISCONFIGURED: 'the command line, a file or an option cannot be used',
    INTERRUPTED: 'it was interrupted (Ctrl-C)'}


def status_of(reports: Iterable[ListReport]) -> int:
    """Return the exit status that the worst of some reports is worth."""
    worst = ALL_WELL
    for report in reports:
        if report.outcome is Outcome.FAILED:
            return FAILED
        # A list may be accepted but for one of its images.
        if report.outcome is Outcome.REFUSED or (
                report.code is Code.UUID_CONFLICT):
            worst = REFUSED
    return worst
