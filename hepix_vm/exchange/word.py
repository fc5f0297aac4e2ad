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

"""What operators say: written into the ledger, journalled, and taken back."""

from collections.abc import Collection
from collections.abc import Iterator

from hepix_vm.exchange.adopt import Word
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.gate import utcnow
from hepix_vm.journal import Journal
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

# What is named: what it is, and its value as the ledger has it.
Named = tuple[Blockable, str]


class Register:
    """Writes what an operator says, once.

    :param journal: None where there is none, as on a machine that is no
        controller
    """

    def __init__(self, ledger: RestLedger, word: Word,
                 journal: Journal | None) -> None:
        self._ledger = ledger
        self._word = word
        self._journal = journal
        # Whether anything is refused that was not refused before.
        self.refused = False

    def write(self, event: str, fact: Fact, named: Named) -> bool:
        """Say something, unless it is said already.

        :param event: what the journal calls it
        :returns: whether it was not said yet
        :raises HepixVmError: it cannot be written
        """
        if any(self.standing([fact], [named])):
            return False
        word, (kind, value) = self._word, named
        self._ledger.write(Record(
            fact, kind, value, word.reason, word.author, utcnow()))
        self.refused |= fact in records.REFUSING
        self._record(event, named)
        return True

    def lift(self, facts: Collection[Fact],
             named: Collection[Named]) -> Iterator[Record]:
        """Take back what was said of something, and yield each record.

        :raises HepixVmError: it cannot be taken back
        """
        for record in list(self.standing(facts, named)):
            self._ledger.lift(
                record, f'{self._word.author}: {self._word.reason}')
            # Only the gate itself has no kind, which nobody takes back.
            if record.kind:
                self._record('lift', (record.kind, record.value),
                             fact=record.fact)
            yield record

    def standing(self, facts: Collection[Fact],
                 named: Collection[Named]) -> Iterator[Record]:
        """Yield what is said of something.

        :raises HepixVmError: the ledger cannot be read
        """
        found = self._ledger.search_now(
            {records.name_of(kind, value) for kind, value in named})
        return (record for record in found
                if record.fact in facts and not record.lifted)

    def _record(self, event: str, named: Named, **more: str) -> None:
        if self._journal:
            kind, value = named
            self._journal.record({
                'time': format_time(utcnow()), 'event': event,
                str(kind): value, 'reason': self._word.reason,
                'author': self._word.author, **more})
