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

"""What became of a list: said, journalled, and remembered."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime
import logging
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.errors import FetchError
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.fetch import Fetched
from hepix_vm.exchange.report import ListReport
from hepix_vm.exchange.report import Outcome
from hepix_vm.exchange.report import remedy_of
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.store import digest
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange.store import Note
from hepix_vm.exchange import transport
from hepix_vm.journal import Journal
from hepix_vm.site import Site
from hepix_vm.subscriptions import Block
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.endorsement import STALE
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)

_KINDS = {Outcome.ACCEPTED: Kind.LIST_ACCEPTED,
          Outcome.REFUSED: Kind.LIST_REFUSED,
          Outcome.STALE: Kind.LIST_STALE}


@dataclasses.dataclass(slots=True)
class Result:
    """What is known of a list in one run.

    :param came: what was fetched, if anything was
    :param before: the stored message, if another one came
    :param old: the list that was accepted, if there was one
    :param unused: the stored list, if its signer is not pinned any more
    :param given: the list that is accepted now
    :param outcome: None for a list that nobody brought yet
    """

    block: Block
    came: Fetched | None = None
    before: bytes | None = None
    old: ImageList | None = None
    unused: ImageList | None = None
    given: AcceptedList | None = None
    outcome: Outcome | None = None
    code: Code | None = None
    message: str = ''
    remedy: str = ''
    reasons: Sequence[Reason] = ()

    def accept(self, given: AcceptedList) -> None:
        """Take a new version."""
        self.given = given
        self.outcome = Outcome.ACCEPTED

    def stand(self, reasons: Sequence[Reason]) -> None:
        """Stay at the version that there is.

        :param reasons: why it may not be relied upon now
        """
        if not reasons:
            self.outcome = Outcome.UNCHANGED
            return
        self.refuse(reasons)
        if STALE.issuperset(reason.code for reason in reasons):
            self.outcome = Outcome.STALE

    def refuse(self, reasons: Sequence[Reason], remedy: str = '') -> None:
        """Refuse what came."""
        self.outcome = Outcome.REFUSED
        self._because(reasons, remedy)

    def fail(self, error: HepixVmError) -> None:
        """Give up, for now."""
        self.given = None
        self.outcome = Outcome.FAILED
        self.code = None if isinstance(error, FetchError) else error.code
        self.message, self.remedy = error.message, error.remedy

    def clash(self, reason: Reason) -> None:
        """Say that some of its images belong to others."""
        self._because([reason], '')

    def _because(self, reasons: Sequence[Reason], remedy: str) -> None:
        self.reasons = reasons
        self.code = reasons[0].code
        self.message = reasons[0].message
        # What an error says by itself is the remedy of its code.
        self.remedy = (remedy if remedy not in ('', reasons[0].remedy)
                       else remedy_of(self.code))


class Chronicle:
    """Closes the results of a run.

    :param site: with all lists that were accepted
    :param at: when it happened, UTC
    """

    def __init__(self, state_dir: str, store: ListStore, site: Site,
                 at: datetime.datetime) -> None:
        self._journal = Journal(state_dir, SERVICE)
        self._store = store
        self._site = site
        self._at = at
        # To be told when nobody waits for us any more.
        self.events: list[Event] = []

    def close(self, result: Result, lasting: bool) -> ListReport:
        """Return the report on a list.

        :param lasting: whether anybody will be told, or anything remembered
        """
        uuid = result.block.subscription.uuid
        if result.outcome in (Outcome.ACCEPTED, Outcome.UNCHANGED):
            self._look_for_clashes(uuid, result)
        note = self._store.note(uuid)
        if lasting:
            note = self._lasting(uuid, result, note)
        accepted = self._site.accepted.by_uuid.get(uuid)
        current = accepted.signed.image_list if accepted else None
        return ListReport(
            uuid, _shown(result.block), result.outcome or Outcome.FAILED,
            version=current.version if current else '',
            expires=current.expires if current else None,
            images=len(current.images) if current else 0,
            title=current.title if current else '',
            code=result.code, message=result.message, remedy=result.remedy,
            unused=result.unused.version if result.unused else '',
            fetched=note.succeeded)

    def _look_for_clashes(self, uuid: str, result: Result) -> None:
        accepted = self._site.accepted
        image_list = accepted.by_uuid[uuid].signed.image_list
        reasons = [reason for entry in image_list.images
                   for reason in accepted.conflict(entry.identifier, uuid)]
        if len(reasons) == 1:
            result.clash(reasons[0])
        elif reasons:
            result.clash(Reason(
                Code.UUID_CONFLICT, f'{len(reasons)} of its images belong '
                f'to other lists. {reasons[0].message}'))

    def _lasting(self, uuid: str, result: Result, note: Note) -> Note:
        """Journal and remember; return the new note."""
        clash = result.code is Code.UUID_CONFLICT and (
            result.outcome in (Outcome.ACCEPTED, Outcome.UNCHANGED))
        told = f'{result.outcome} {result.code or ""} {result.message}'
        if clash:
            told = f'clash {result.message}'
        elif result.outcome is Outcome.UNCHANGED:
            told = ''
        if result.outcome is Outcome.ACCEPTED or (
                told and told != note.told):
            self._journal.record(self._entry(uuid, result))
        self.events += self._events(uuid, result)
        if clash and told != note.told:
            self.events.append(self._about(Kind.LIST_CLASHES, uuid, result))
        note = dataclasses.replace(self._noted(result, note), told=told)
        try:
            self._store.write_note(uuid, note)
            if result.given:
                self._store.write_images(
                    uuid, self._known(uuid, result) | _named(
                        result.given.signed.image_list))
        except OSError as error:
            # It costs a fetch, or an event.
            LOG.error('What is known of the list %s cannot be written: %s',
                      uuid, error)
        return note

    def _noted(self, result: Result, note: Note) -> Note:
        following, came = result.block.following, result.came
        if following is None or came is None or (
                result.outcome is Outcome.REFUSED):
            return note
        return Note(
            following.url,
            note.sha256 if came.content is None else digest(came.content),
            came.validators.etag, came.validators.modified,
            format_time(self._at))

    def _known(self, uuid: str, result: Result) -> frozenset[str]:
        old = _named(result.old) if result.old else frozenset()
        return self._store.images(uuid) | old

    def _events(self, uuid: str, result: Result) -> Iterator[Event]:
        if result.outcome not in _KINDS:
            return
        yield self._about(_KINDS[result.outcome], uuid, result)
        if result.given:
            image_list = result.given.signed.image_list
            known = self._known(uuid, result)
            for entry in image_list.images:
                if entry.identifier not in known:
                    yield Event(Kind.IMAGE_LISTED, self._at, image_list,
                                entry)

    def _about(self, kind: Kind, uuid: str, result: Result) -> Event:
        return Event(
            kind, self._at, result.given.signed.image_list if result.given
            else result.old, reasons=tuple(result.reasons),
            message=f'The list {uuid} from {_shown(result.block)}',
            list_uuid=uuid)

    def _entry(self, uuid: str, result: Result) -> dict[str, Any]:
        entry: dict[str, Any] = {
            'time': format_time(self._at), 'event': 'list', 'list': uuid,
            'url': _shown(result.block), 'outcome': str(result.outcome)}
        if result.given:
            signed = result.given.signed
            entry |= {
                'list_version': signed.image_list.version,
                'images': len(signed.image_list.images),
                'expires': format_time(signed.image_list.expires),
                'endorser_dn': signed.signer.dn,
                'endorser_ca': signed.signer.ca}
        if result.reasons:
            entry['reasons'] = [
                reason.as_dict() for reason in result.reasons]
        elif result.message:
            entry['cause'] = result.message
        return entry


def _named(image_list: ImageList) -> frozenset[str]:
    return frozenset(entry.identifier for entry in image_list.images)


def _shown(block: Block) -> str:
    """Return where a list comes from, as messages say it."""
    return transport.shown(block.following.url) if block.following else ''
