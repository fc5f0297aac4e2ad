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

"""Adopting: an operator says that an image may stay without endorsement."""

import dataclasses
import datetime

from hepix_vm.exchange.audit import Finding
from hepix_vm.exchange.audit import UNKNOWN
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.gate import Gate
from hepix_vm.held import LOCK
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust import standing


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """What an operator says of the images that he adopts.

    :param until: when it ends by itself, UTC; None if it does not
    """

    reason: str
    author: str
    until: datetime.datetime | None = None


def obstacle(found: Finding) -> str:
    """Return why an image is not adopted; empty if it may be."""
    held = found.held
    if LOCK in held.extra:
        return 'an import still holds it'
    if held.status != 'active' and not held.withdrawn:
        return f'it is {held.status}, and not by hepix-vm'
    if found.state in (UNKNOWN, standing.State.ADOPTED):
        return ''
    if found.state == standing.State.ENDORSED:
        return 'it is endorsed and needs no adoption'
    return f'it is {found.state} ({", ".join(found.codes)})'


class Adoption:
    """Writes what an operator says into the ledger.

    :param gate: whose journal tells of it
    """

    def __init__(self, ledger: RestLedger, gate: Gate, word: Word) -> None:
        self._ledger = ledger
        self._gate = gate
        self._word = word

    @property
    def end(self) -> str:
        """Until when it holds, in words."""
        until = self._word.until
        return f'until {format_time(until)}' if until else 'without end'

    def adopted(self, found: Finding) -> bool:
        """Return whether the ledger says all this of an image already."""
        return any(self._same(record, found)
                   for record in self._records(found))

    def write(self, found: Finding) -> None:
        """Write one record, which takes the place of older ones.

        :raises HepixVmError: it cannot be written
        """
        older = self._records(found)
        word = self._word
        self._ledger.write(Record(
            Fact.ADOPTED, Blockable.GLANCE_IMAGE, _named(found),
            word.reason, word.author, self._gate.now(), until=word.until,
            sha512=found.digest))
        for record in older:
            self._ledger.lift(record, f'{word.author}: {word.reason}')
        self._gate.record({
            'time': format_time(self._gate.now()), 'event': 'adoption',
            'image': found.held.image_id, 'project': found.held.owner,
            'sha512': found.digest, 'reason': word.reason,
            'author': word.author,
            'until': format_time(word.until) if word.until else ''})

    def _records(self, found: Finding) -> list[Record]:
        name = records.name_of(Blockable.GLANCE_IMAGE, _named(found))
        return [record for record in self._ledger.search([name])
                if record.fact is Fact.ADOPTED and not record.lifted]

    def _same(self, record: Record, found: Finding) -> bool:
        return (record.until == self._word.until
                and record.sha512 == found.digest)


def _named(found: Finding) -> str:
    """Return an image's id as the ledger has it."""
    return records.value_of(Blockable.GLANCE_IMAGE, found.held.image_id)
