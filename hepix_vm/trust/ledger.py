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

"""The ledger: what a site has to remember whatever a user does.

A revocation outlives the image that it speaks of, and the highest version
of a list outlives the controller that accepted it. Each such fact is one
record, which is found by what it names; where the records are kept is not
known here.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import enum
import hashlib
import json
from typing import Any

from hepix_vm.errors import MalformedError
from hepix_vm.trust import fields
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust import strictjson

# Of a record: what Glance can keep of a property.
MAX_BYTES = 64 * 1024 - 1
# The property that holds a record.
PROPERTY = 'hepix_ledger'
_PREFIX = 'hepix-ledger-'


class Fact(enum.StrEnum):
    """What a record says of what it names."""

    BLOCKED = 'blocked'  # refused until an operator lifts it
    REVOKED = 'revoked'  # refused until a higher version of the list
    SUPERSEDED = 'superseded'  # bytes that a newer version replaced
    APPROVED = 'approved'  # may run where the list waits for an operator
    SHAREABLE = 'shareable'  # may be published to other sites
    ACCEPTED = 'accepted'  # a version of a list; no older one counts
    HELD = 'held'  # an image that several lists have, and whose it is
    ADOPTED = 'adopted'  # an image that may stay without endorsement
    DERIVED = 'derived'  # an image that was made from a server
    RECEIVED = 'received'  # bytes that are kept under another digest
    INSTALLED = 'installed'  # since when the gate stands; names nothing


# What speaks against whatever it names.
REFUSING = frozenset({Fact.BLOCKED, Fact.REVOKED, Fact.SUPERSEDED})


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One fact.

    :param kind: what :attr:`value` names; None for the gate itself
    :param reason: why, in the author's words
    :param author: who said so
    :param at: when, UTC; of an image that is held, since when
    :param until: when it ends by itself, UTC
    :param image_list: UUID of the list that said so
    :param version: of that list
    :param sha512: digest of an image that may stay, or of its bytes as they
        came
    :param base: Glance's id of the image that a server ran from, of which
        an image was made; empty where no base is needed
    :param base_sha512: its digest
    :param base_owner: the project that owned it
    :param base_created: when Glance made its record, UTC; None if the gate
        judged its bytes when they came
    :param base_endorsement: the signed message that came with it
    :param lifted: by whom it was taken back, and why; empty if it was not
    """

    fact: Fact
    kind: Blockable | None
    value: str
    reason: str
    author: str
    at: datetime.datetime
    until: datetime.datetime | None = None
    image_list: str = ''
    version: str = ''
    sha512: str = ''
    base: str = ''
    base_sha512: str = ''
    base_owner: str = ''
    base_created: datetime.datetime | None = None
    base_endorsement: str = ''
    lifted: str = ''

    @property
    def name(self) -> str:
        """What the record is found by."""
        return name_of(self.kind, self.value)


def name_of(kind: Blockable | None, value: str) -> str:
    """Return the name of the records on something.

    It is as long whatever is named, and no secret.
    """
    named = f'{kind or "gate"} {value}'.encode()
    return _PREFIX + hashlib.sha256(named).hexdigest()


def names_for(image_id: str, sha512: str,
              endorsements: Iterable[Endorsement],
              listed_by: str = '') -> frozenset[str]:
    """Return the names of all records that may speak of an image.

    :param image_id: Glance's id, if there is one
    :param sha512: digest of its bytes, if they were read
    :param endorsements: what endorses it
    :param listed_by: UUID of the list by which it came, if there is one
    """
    # Glance takes ids in capitals as well.
    named = {(Blockable.GLANCE_IMAGE, image_id.lower()),
             (Blockable.SHA512, sha512), (Blockable.LIST, listed_by)}
    for endorsement in endorsements:
        named |= {
            (Blockable.SHA512, endorsement.entry.sha512),
            (Blockable.IMAGE, endorsement.entry.identifier),
            (Blockable.LIST, endorsement.image_list.identifier)}
        # Nobody knows which spelling an operator wrote.
        named |= {(Blockable.ENDORSER, dn) for dn in endorsement.signers}
    return frozenset(name_of(kind, value) for kind, value in named
                     if value) | {name_of(None, '')}


class Ledger:
    """The records on one image.

    :param records: as they were found; lifted ones do not count
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        # Whoever judges says the same in the same words: stores have no
        # order. As text, the oldest is the first.
        self._records = tuple(sorted(
            {record for record in records if not record.lifted},
            key=serialize))

    def refusals(self) -> Iterator[Record]:
        """Yield what was blocked, revoked or superseded."""
        return (record for record in self._records
                if record.fact in REFUSING)

    def allows(self, fact: Fact, entry: ImageEntry) -> bool:
        """Return whether an operator allowed something of an image.

        :param fact: :attr:`Fact.APPROVED` or :attr:`Fact.SHAREABLE`
        :param entry: the image in its list
        """
        return any((record.kind, record.value) in (
            (Blockable.SHA512, entry.sha512),
            (Blockable.IMAGE, entry.identifier))
            for record in self._of(fact))

    def newest(self, image_list: str) -> str:
        """Return the highest accepted version of a list, or nothing."""
        newest = ''
        for record in self._of(Fact.ACCEPTED):
            if record.value == image_list and (
                    compare_versions(record.version, newest) > 0):
                newest = record.version
        return newest

    def held(self, image: str) -> Iterator[Record]:
        """Yield by which lists an image is held, the oldest first.

        :param image: ``dc:identifier``
        """
        return (record for record in self._of(Fact.HELD)
                if record.value == image)

    def adopted(self, image_id: str, sha512: str,
                at: datetime.datetime) -> bool:
        """Return whether an image may stay as it is.

        :param sha512: its digest; where the record has one as well, they
            must be equal
        """
        return any(
            record.value == image_id.lower()
            and (record.until is None or at < record.until)
            # By its id alone only what never passed the gate.
            and (record.sha512 == sha512 if record.sha512
                 else not self.came(image_id))
            for record in self._of(Fact.ADOPTED))

    def derived(self, image_id: str, sha512: str) -> Record | None:
        """Return what an image was made from, if it was.

        :param sha512: its digest, which must be the recorded one
        """
        return next((record for record in self._of(Fact.DERIVED)
                     if record.value == image_id.lower()
                     and record.sha512 == sha512), None)

    def received(self, image_id: str, sha512: str) -> bool:
        """Return whether these bytes were judged when an image came."""
        return any(
            record.value == image_id.lower() and record.sha512 == sha512
            for record in self._of(Fact.RECEIVED))

    def came(self, image_id: str) -> bool:
        """Return whether it is on record that an image passed the gate."""
        return any(record.value == image_id.lower()
                   for record in self._of(Fact.RECEIVED))

    def installed(self) -> datetime.datetime | None:
        """Return since when the gate stands, if that is known."""
        return min((record.at for record in self._of(Fact.INSTALLED)),
                   default=None)

    def _of(self, fact: Fact) -> Iterator[Record]:
        return (record for record in self._records if record.fact is fact)


def is_said(record: Record, standing: Iterable[Record]) -> bool:
    """Return whether a record would say nothing new.

    Who says it, when and why is not what it says.

    :param standing: the records of its name
    """
    if record.fact is Fact.ACCEPTED:
        newest = Ledger(standing).newest(record.value)
        return compare_versions(record.version, newest) <= 0
    return any(_content(each) == _content(record) for each in standing)


def outdone(record: Record, standing: Iterable[Record]) -> list[Record]:
    """Return the records that a new one makes needless.

    Only marks of lower versions: whoever writes a mark at the same time
    keeps his own, and the highest stays.
    """
    return [each for each in standing
            if record.fact is each.fact is Fact.ACCEPTED
            and not each.lifted and record.value == each.value
            and compare_versions(each.version, record.version) < 0]


def _content(record: Record) -> Record:
    since = record.at if record.fact is Fact.HELD else (
        datetime.datetime.min)
    return dataclasses.replace(record, reason='', author='', at=since)


def serialize(record: Record) -> str:
    """Return a record as JSON."""
    values = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)}
    return json.dumps({
        name: format_time(value) if isinstance(value, datetime.datetime)
        else value for name, value in values.items()
        if value not in (None, '')}, sort_keys=True)


def parse(text: str) -> Record:
    """Read a record.

    :raises MalformedError: it is none; what may be a revocation that
        cannot be read must not be passed over
    """
    found = strictjson.loads(text.encode(errors='replace'), MAX_BYTES)
    if not isinstance(found, Mapping) or not _NEEDED <= found.keys():
        raise MalformedError('A record of the ledger is incomplete.')
    if unknown := found.keys() - _READERS.keys():
        raise MalformedError(f'A record of the ledger has the unknown keys '
                             f'{", ".join(sorted(unknown))}.')
    values: dict[str, Any] = {'kind': None, 'value': ''}
    for key, value in found.items():
        try:
            values[key] = _READERS[key](value)
        except (ValueError, fields.Flaw) as error:
            raise MalformedError(f'{key} of a record of the ledger '
                                 f'{error}.') from error
    if (values['kind'] is None) is not (values['fact'] is Fact.INSTALLED):
        raise MalformedError('A record of the ledger names nothing.')
    if ((values['fact'] in _WITH_DIGEST and 'sha512' not in values)
            or ('base' in values) is not ('base_sha512' in values)):
        raise MalformedError('A record of the ledger lacks a digest.')
    if not _WITH_LIST.get(values['fact'], set()) <= values.keys():
        # It would speak against nothing that is endorsed.
        raise MalformedError('A record of the ledger lacks the list.')
    values['value'] = value_of(values['kind'], values['value'])
    return Record(**values)


def value_of(kind: Blockable | None, value: Any) -> str:
    """Return what a record names in the one form in which it is found.

    :raises MalformedError: it names no such thing
    """
    try:
        return _VALUES[kind](value)
    except fields.Flaw as error:
        raise MalformedError(f'What is named {error}.') from error


_READERS: Mapping[str, Callable[[Any], Any]] = {
    'fact': Fact, 'kind': Blockable, 'value': fields.line,
    'reason': fields.name, 'author': fields.name, 'at': fields.time,
    'until': fields.time, 'image_list': fields.uuid, 'version': fields.name,
    'sha512': fields.digest, 'base': fields.uuid,
    'base_sha512': fields.digest, 'base_owner': fields.line,
    'base_created': fields.time, 'base_endorsement': fields.text,
    'lifted': fields.name,
}
_VALUES: Mapping[Blockable | None, Callable[[Any], str]] = {
    None: fields.line, Blockable.SHA512: fields.digest,
    Blockable.IMAGE: fields.uuid, Blockable.GLANCE_IMAGE: fields.uuid,
    Blockable.LIST: fields.uuid, Blockable.ENDORSER: fields.name,
}
_WITH_DIGEST = frozenset({Fact.DERIVED, Fact.RECEIVED})
_WITH_LIST = {Fact.SUPERSEDED: {'image_list', 'version'},
              Fact.HELD: {'image_list'}}
_NEEDED = {'fact', 'reason', 'author', 'at'}
