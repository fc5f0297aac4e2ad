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
import dataclasses
import datetime
import enum
import urllib.parse

from hepix_vm.errors import Code


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
    :param code: why it is refused
    :param message: one sentence, with :attr:`remedy`, where anything but
        acceptance is to be explained
    :param fetched: when it was fetched or found unchanged last, UTC; None
        if it never was
    """

    uuid: str
    url: str
    outcome: Outcome
    version: str = ''
    expires: datetime.datetime | None = None
    images: int = 0
    code: Code | None = None
    message: str = ''
    remedy: str = ''
    fetched: datetime.datetime | None = None

    def __str__(self) -> str:
        """Return it as the line that an operator reads."""
        place = urllib.parse.urlsplit(self.url)
        where = place.hostname or ('a file' if self.url else 'by hand')
        counts = 'no version'
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
