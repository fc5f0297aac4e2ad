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

"""What was said and done about an image: by the ledger, and by journals."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import json
import os
from typing import Any

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange import marks
from hepix_vm.exchange.oneline import clean
from hepix_vm.gate import utcnow
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable


# What journals call it that an operator said something.
_FACTS = {'block': Fact.BLOCKED, 'revoke': Fact.REVOKED,
          'approve': Fact.APPROVED, 'share': Fact.SHAREABLE}
_LIFT = 'lift'


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """One thing that was said or done.

    :param time: UTC, as messages write it
    :param source: the ledger, or whose journal
    :param event: what was said or done
    :param about: what it names: bytes, an image, a list
    :param author: who said so
    :param reason: why
    :param lifted: by whom it was taken back, and why
    """

    time: str
    source: str
    event: str
    about: str = ''
    author: str = ''
    reason: str = ''
    lifted: str = ''

    def as_dict(self) -> dict[str, str]:
        """Return what there is of it."""
        return {name: value for name, value
                in dataclasses.asdict(self).items() if value}

    def __str__(self) -> str:
        said = ' '.join(filter(None, [
            self.time, self.event, self.about,
            f'by {self.author}' if self.author else f'({self.source})']))
        return said + (f': {self.reason}' if self.reason else '') + (
            f' [taken back by {self.lifted}]' if self.lifted else '')


def in_order(ledger: Iterable[Past], journals: Iterable[Past]) -> list[Past]:
    """Return all that was said and done, oldest first, each thing once.

    Times are whole seconds: within one, an image is let in before anything
    is decided of it, and what a decision leads to comes after it.

    :param ledger: what it says, which journals of controllers say as well
    """
    said = list(ledger)
    known = {(each.event, each.author, each.reason) for each in said}
    said += (each for each in journals if (
        _FACTS.get(each.event), each.author, each.reason) not in known)
    return sorted(said, key=lambda each: (
        each.time, 0 if ' allowed ' in each.event else 1 if each.author
        else 2))


def of_ledger(ledger: RestLedger, image: Image) -> list[Past]:
    """Return what the ledger says of an image, also what was taken back.

    :raises HepixVmError: the ledger cannot be read
    """
    subject = held_of(image).subject(utcnow())
    named = {
        (Blockable.GLANCE_IMAGE, subject.image_id.lower()),
        (Blockable.SHA512, subject.sha512),
        (Blockable.SHA512, subject.came_as),
        (Blockable.IMAGE, marks.text(image, 'hepix_image_id')),
        (Blockable.LIST, subject.listed_by),
        # Other spellings of the name are for who judges.
        (Blockable.ENDORSER, marks.text(image, 'hepix_endorser_dn'))}
    return [_of_record(record) for record in ledger.search_now(
        {records.name_of(kind, value) for kind, value in named if value})]


def _of_record(record: Record) -> Past:
    event = f'{record.fact} {record.version}' if (
        record.fact is Fact.ACCEPTED) else str(record.fact)
    return Past(
        format_time(record.at), 'ledger', event,
        f'{record.kind} {_short(record.value)}', clean(record.author),
        clean(record.reason), clean(record.lifted))


def of_journals(state_dir: str, names: Collection[str]) -> Iterator[Past]:
    """Yield what the journals of this controller say of an image.

    :param names: its id, and its digest
    :raises ConfigError: a journal cannot be read
    """
    folder = os.path.join(state_dir, 'journal')
    sought = [json.dumps(name).encode() for name in names if name]
    try:
        files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for name in files:
            if name.endswith('.jsonl'):
                with open(os.path.join(folder, name), 'rb') as file:
                    yield from _of_lines(file, sought)
    except OSError as error:
        raise ConfigError(
            f'The journal cannot be read: {error.strerror}.', folder,
            remedy='Give the command as a user who may read it.') from error


def _of_lines(lines: Iterable[bytes], sought: list[bytes]) -> Iterator[Past]:
    for line in lines:
        if any(name in line for name in sought):
            try:
                found = json.loads(line)
            except ValueError:
                # Of a disk that was full; nobody knows what it said.
                found = None
            if isinstance(found, dict):
                yield _of_entry(found)


def _of_entry(entry: dict[str, Any]) -> Past:
    def text(name: str) -> str:
        value = entry.get(name)
        return clean(value) if isinstance(value, str) else ''

    action = text('action') or (
        '' if 'allowed' not in entry
        else 'allowed' if entry['allowed'] else 'refused')
    reasons = entry.get('reasons')
    codes = ', '.join(clean(str(each.get('code'))) for each in reasons
                      if isinstance(each, dict)) if isinstance(
                          reasons, list) else ''
    return Past(
        text('time'), f'{text("service")} on {text("host")}',
        ' '.join(filter(None, [
            text('event'), action, text('route'), text('fact')])),
        _named_in(entry), text('author'), text('reason') or codes)


def _named_in(entry: dict[str, Any]) -> str:
    """Return what an entry of a journal is about."""
    if entry.get('event') in (*_FACTS, _LIFT):
        named = {kind: entry.get(kind) for kind in Blockable}
    else:
        named = {Blockable.GLANCE_IMAGE: entry.get('image')}
    return next((f'{kind} {_short(value)}' for kind, value in named.items()
                 if isinstance(value, str)), '')


def _short(value: str) -> str:
    """Return a digest so that a line has room for it."""
    return f'{value[:16]}...' if len(value) == 128 else clean(value)
