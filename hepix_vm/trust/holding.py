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

"""Which list holds an image identifier that several lists have.

Whoever had it first: so no list takes the place of another one by using its
identifiers. A controller knows who was first where it was there itself; the
ledger knows it for all, as soon as two lists clash.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime

from hepix_vm.errors import Code
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.policy import Found
from hepix_vm.trust.verdict import Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    """The list that holds an image.

    :param image_list: its UUID
    :param since: UTC, to the second; None where nobody wrote it down
    """

    image_list: str
    since: datetime.datetime | None = None


class Holders:
    """Who holds which image.

    :param claims: identifiers of images, each with the UUID of an accepted
        list that has it, in the order of the subscriptions
    :param absent: UUIDs of subscribed lists that cannot be read now; what
        they held, nobody takes over
    :param known: what this controller wrote down
    """

    def __init__(self, claims: Iterable[tuple[str, str]],
                 absent: Collection[str],
                 known: Mapping[str, Holder]) -> None:
        self._claims: dict[str, list[str]] = {}
        for image, uuid in claims:
            self._claims.setdefault(image, []).append(uuid)
        self._absent = frozenset(absent)
        # It holds it until it is no longer subscribed, or has it no more.
        self.known = {
            image: holder for image, holder in known.items()
            if self._may_hold(image, holder.image_list)}
        for image, uuids in self._claims.items():
            self.known.setdefault(image, Holder(uuids[0]))

    def _may_hold(self, image: str, uuid: str) -> bool:
        return uuid in self._absent or uuid in self._claims.get(image, ())

    def _in_ledger(self, image: str, ledger: Ledger) -> Holder | None:
        return next((Holder(record.image_list, record.at)
                     for record in ledger.held(image)
                     if self._may_hold(image, record.image_list)), None)

    def conflict(self, image: str, uuid: str,
                 ledger: Ledger = Ledger()) -> tuple[Reason, ...]:
        """Return the reason when another list holds the image identifier.

        :param image: ``dc:identifier`` of the image
        :param uuid: ``dc:identifier`` of the list that claims it
        :param ledger: what it says of the image counts more than what is
            known on this controller
        """
        holder = self._in_ledger(image, ledger) or self.known.get(image)
        if holder is None or holder.image_list == uuid:
            return ()
        return (Reason(Code.UUID_CONFLICT, f'Image {image} belongs to the '
                       f'list {holder.image_list}, not to {uuid}.'),)

    def judge(self, found: Found, ledger: Ledger) -> Found:
        """Return what a source found, with the reason if there is one."""
        endorsement = found.endorsement
        if endorsement is None:
            return found
        return dataclasses.replace(found, reasons=(
            *found.reasons, *self.conflict(
                endorsement.entry.identifier,
                endorsement.image_list.identifier, ledger)))

    def untold(self, image: str,
               records: Collection[Record]) -> Holder | None:
        """Return the holder that the ledger has to know, if there is one.

        Only of images that clash: the others need no record each.

        :param records: the ledger's of the image, the lifted ones too
        """
        ours = self.known[image]
        told = self._in_ledger(image, Ledger(records))
        clashing = {*self._claims.get(image, ()), ours.image_list,
                    told.image_list if told else ours.image_list}
        if len(clashing) == 1 or (told and not _overrides(ours, told)):
            return None
        # What was taken back is not said again.
        return None if any(
            record.fact is Fact.HELD and record.lifted
            and record.image_list == ours.image_list
            and ours.since in (None, record.at)
            for record in records) else ours

    def outdated(self, image: str, records: Iterable[Record],
                 current: Collection[str]) -> list[Record]:
        """Return the records of holders that have an image no more.

        :param current: UUIDs of the lists of which this controller has the
            newest version
        """
        return [record for record in Ledger(records).held(image)
                if record.image_list in current
                and not self._may_hold(image, record.image_list)]

    def learn(self, image: str, ledger: Ledger) -> None:
        """Take over what the ledger says, where it says anything."""
        self.known[image] = self._in_ledger(
            image, ledger) or self.known[image]


def _overrides(ours: Holder, told: Holder) -> bool:
    """Return whether another list than the ledger says was first."""
    return bool(ours.image_list != told.image_list and ours.since
                and told.since and ours.since < told.since)
