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

"""The ledger as commands see it: Glance's records, by its API.

They are the records that :mod:`hepix_vm.glance_hooks.ledger` keeps.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
import contextlib
import dataclasses
import datetime
import functools
import logging
import math
import threading
import time

from hepix_vm.errors import MalformedError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.gate import utcnow
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

# Between clocks, and between a record's time and its being there. All that
# is as new is read each time, so it is short.
_MARGIN = datetime.timedelta(minutes=1)
_WHOLE = 3600  # seconds
_LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)

LOG = logging.getLogger(__name__)


def _in_a_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name='ledger', daemon=True).start()


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    image_id: str
    text: str

    def record(self) -> Record:
        try:
            return ledger.parse(self.text)
        except MalformedError as error:
            raise MalformedError(
                f'The image {self.image_id} is a record of the ledger that '
                f'cannot be read: {error.message}',
                remedy='Correct the record. Whatever it may speak of is '
                       'refused until then.') from error


class RestLedger:
    """The records in a Glance, read once and then kept.

    :param catalogue: the images of the Glance
    :param owner: the owner of the records; what others call a record is
        none
    """

    def __init__(self, catalogue: Catalogue, owner: str) -> None:
        self._catalogue = catalogue
        self._owner = owner

    def search(self, names: Collection[str]) -> list[Record]:
        """Return the records with these names.

        :raises MalformedError: one of them cannot be read, and nobody
            knows what it says of the image that is judged
        :raises ServiceError: Glance does not say them all
        """
        return [entry.record() for name in sorted(names)
                for entry in self._entries.get(name, ())]

    def search_now(self, names: Collection[str]) -> list[Record]:
        """Return the records with these names, asked for anew.

        What came while all images were looked at has records that were not
        there when the ledger was read.

        :raises MalformedError: as :meth:`search`
        :raises ServiceError: Glance does not say them all
        """
        return [entry.record() for entry in self._now(names)]

    def _now(self, names: Collection[str]) -> list[_Entry]:
        found = self._catalogue.images(
            hidden=(True,), owner=self._owner,
            name=f'in:{",".join(sorted(names))}')
        return [_entry(image) for image in found
                if image.get('owner') == self._owner]

    def all(self) -> list[Record]:
        """Return all records.

        :raises MalformedError: one of them cannot be read
        :raises ServiceError: Glance does not say them all
        """
        return self.search(self._entries)

    def write(self, record: Record) -> None:
        """Add a record, unless the ledger says that already.

        Somebody else may have said it meanwhile: it is asked anew.

        :raises MalformedError: it could not be read afterwards, or another
            one of its name cannot be
        :raises ServiceError: Glance does not take it
        """
        text = ledger.serialize(record)
        record = ledger.parse(text)
        entries = self._keep(record.name, self._now([record.name]))
        standing = [entry.record() for entry in entries]
        if ledger.is_said(record, standing):
            return
        image = self._catalogue.create(
            name=record.name, owner=self._owner, visibility='private',
            os_hidden=True, protected=True, **{ledger.PROPERTY: text})
        entries.append(_Entry(image['id'], text))
        for each in ledger.outdone(record, standing):
            self.lift(each, f'{record.author}: a newer one is accepted')

    def lift(self, record: Record, why: str) -> None:
        """Take a record back: it is kept, and does not count any more.

        :param why: who takes it back, and why
        :raises ServiceError: Glance does not take it
        """
        text = ledger.serialize(dataclasses.replace(record, lifted=why))
        entries = self._keep(record.name, self._now([record.name]))
        for number, entry in enumerate(entries):
            if entry.record() == record:
                self._catalogue.update(
                    entry.image_id, {ledger.PROPERTY: text})
                entries[number] = _Entry(entry.image_id, text)

    def _keep(self, name: str, entries: list[_Entry]) -> list[_Entry]:
        """Keep what is known now of a name, if anything was read yet.

        Who writes one record need not read thousands.
        """
        if '_entries' in self.__dict__:
            self._entries[name] = entries
        return entries

    @functools.cached_property
    def _entries(self) -> dict[str, list[_Entry]]:
        found: dict[str, list[_Entry]] = {}
        # Hidden only: the gate in Glance looks for no others.
        for image in self._catalogue.images(
                hidden=(True,), owner=self._owner):
            if image.get('owner') == self._owner:
                found.setdefault(
                    str(image.get('name')), []).append(_entry(image))
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    begun: datetime.datetime
    records: Mapping[str, Image]


class LedgerCopy:
    """The records in a Glance as they were lately, for who asks often.

    Only what changed since it asked last is asked for. What changed by a
    clock that differs from ours by more than the margin, or was removed by
    hand, counts an hour later: then all are read again, and nobody waits.

    :param catalogue: the images of the Glance
    :param owner: the owner of the records
    :param clock: returns seconds
    :param now: returns the time in UTC
    :param aside: runs what nobody waits for
    """

    def __init__(self, catalogue: Catalogue, owner: str,
                 clock: Callable[[], float] = time.monotonic,
                 now: Callable[[], datetime.datetime] = utcnow,
                 aside: Callable[[Callable[[], None]], None] = _in_a_thread,
                 ) -> None:
        self._catalogue = catalogue
        self._owner = owner
        self._clock = clock
        self._now = now
        self._aside = aside
        self._due = -math.inf
        self._coming: Future[_Reading] | None = None
        self._last: _Reading | None = None
        self._by_name: Mapping[str, Sequence[_Entry]] = {}
        self._endorsers: Mapping[str, Record] = {}

    def refresh(self) -> None:
        """Bring it up to date; in one thread at a time.

        :raises ServiceError: Glance does not say all records, or has no
            ledger; others than administrators find it empty, and are refused
        """
        base = self._base()
        if base is None:
            self._due = self._clock() + _WHOLE
            base = self._read_all()
            self._take(base, base.records)
            return
        begun = self._now()
        changed = self._read(base.begun - _MARGIN)
        records = {**base.records, **changed}
        self._take(_Reading(begun, records),
                   changed if base is self._last else records)
        if self._clock() >= self._due and self._coming is None:
            self._due = self._clock() + _WHOLE
            self._coming = Future()
            self._aside(functools.partial(self._read_again, self._coming))

    def _base(self) -> _Reading | None:
        """Return what is known, or None if all has to be read first."""
        if self._coming is None or not self._coming.done():
            return self._last
        coming, self._coming = self._coming, None
        error = coming.exception()
        if error is None:
            return coming.result()
        # Who is no administrator any more would see no change.
        LOG.error('The ledger cannot be read again: %s', error)
        self._last = None
        return None

    def _read_again(self, coming: Future[_Reading]) -> None:
        try:
            coming.set_result(self._read_all())
        except Exception as error:  # who asks next is told
            coming.set_exception(error)

    def _read_all(self) -> _Reading:
        self._catalogue.check_administrator()
        begun = self._now()
        records = self._read(_LONG_AGO)
        if not any(map(_is_installed, records.values())):
            raise ServiceError(
                f'Glance has no ledger of the owner {self._owner}.', 0,
                'Start a glance-api with the gate, and let ledger_owner of '
                '[hepix_vm] be the same everywhere.')
        return _Reading(begun, records)

    def _read(self, since: datetime.datetime) -> dict[str, Image]:
        return {image['id']: image for image in self._catalogue.images(
            hidden=(True,), owner=self._owner,
            updated_at=f'gte:{format_time(since)}')
            if image.get('owner') == self._owner}

    def _take(self, reading: _Reading, changed: Mapping[str, Image]) -> None:
        """Let a reading count.

        :param changed: what of it may not be what counted before
        """
        before = self._last.records if self._last else {}
        new = [image for image in changed.values()
               if image != before.get(image['id'])]
        if new or reading.records.keys() != before.keys():
            self._index(reading.records, new)
        self._last = reading

    def _index(self, known: Mapping[str, Image],
               new: Iterable[Image]) -> None:
        by_name: dict[str, list[_Entry]] = {}
        for image in known.values():
            by_name.setdefault(str(image.get('name')), []).append(
                _entry(image))
        endorsers = {image_id: record for image_id, record
                     in self._endorsers.items() if image_id in known}
        # To read one takes longer than all else.
        for image in new:
            with contextlib.suppress(MalformedError):
                record = _entry(image).record()
                if record.kind is Blockable.ENDORSER:
                    endorsers[image['id']] = record
        self._by_name, self._endorsers = by_name, endorsers

    def search(self, names: Collection[str]) -> list[Record]:
        """Return the records with these names, and those on endorsers.

        Who knows an endorser by name only cannot spell it in every way.

        :raises MalformedError: one of them cannot be read, and nobody
            knows what it says of the image that is judged
        """
        return [*self._endorsers.values(), *(
            entry.record() for name in sorted(names)
            for entry in self._by_name.get(name, ()))]


def _entry(image: Image) -> _Entry:
    return _Entry(image['id'], str(image.get(ledger.PROPERTY, '')))


def _is_installed(image: Image) -> bool:
    """Return whether a record is the one that every ledger has.

    Who finds an empty one has asked another Glance, or for another
    owner.
    """
    return image.get('name') == ledger.name_of(None, '')
