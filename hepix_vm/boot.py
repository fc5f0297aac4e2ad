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

"""The gate before servers: may an image that Glance has be booted now?

It asks Glance and the ledger, and not the lists or the certificates of
endorsers: what an image bears says what was decided of it, and only we
write that. What time and operators changed since is judged anew, so that no
sweep has to come first.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import MalformedError
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.gate import no_ledger
from hepix_vm.gate import Search
from hepix_vm.held import Held
from hepix_vm import properties
from hepix_vm.site import Site
from hepix_vm.sources import EndorsementSource
from hepix_vm.trust.imagelist import parse_time
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust import modes
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.standing import State
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

# What was decided for good, so that no date has to be looked at.
_DECIDED: Mapping[str, Code] = {
    State.REVOKED: Code.IMAGE_REVOKED, State.BLOCKED: Code.IMAGE_BLOCKED,
    State.SUPERSEDED: Code.IMAGE_SUPERSEDED,
    State.REFUSED: Code.NOT_ENDORSED}
# Of whose own bytes nobody but the ledger says that they may be used.
_ON_RECORD = (State.ADOPTED, State.DERIVED)
# An image bears the date that comes first, its own or that of its list.
_NEVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Booter:
    """Who wants a server.

    :param project: id of the project
    :param names: by which the project is known besides
    :param domains: names and ids of its domain
    :param roles: that the user has in it
    """

    user: str = ''
    project: str = ''
    names: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


class Marks(EndorsementSource):
    """What the gate wrote on an image when it let it in.

    :param image: the image that is judged
    :param search: returns records of the ledger
    """

    def __init__(self, image: Held, search: Search) -> None:
        self._image = image
        self._search = search

    def find(self, subject: Subject, site: Site) -> Sequence[Found]:
        """Return what was endorsed: the image, or what it was made from.

        :param subject: the image, or one that it was made from
        """
        if not self._image.extra.get('hepix_list_id') or (
                self._is_derived(subject)):
            return ()
        try:
            endorsement = _endorsement(self._image.extra, subject)
        except (MalformedError, ValueError):
            return (Found(None, (Reason(
                Code.NOT_ENDORSED, 'What is written on the image about its '
                'endorsement cannot be read.'),)),)
        return (Found(endorsement, tuple(self._decided())),)

    def _is_derived(self, subject: Subject) -> bool:
        """Return whether an image was made from a server itself.

        It bears what its base was endorsed by, which says nothing of its
        own bytes.
        """
        if subject.image_id == self._image.image_id and (
                self._image.extra.get('hepix_state') == State.DERIVED):
            return True
        return Ledger(self._search(ledger.names_for(
            subject.image_id, '', ()))).derived(
                subject.image_id, subject.sha512) is not None

    def _decided(self) -> Iterable[Reason]:
        code = _DECIDED.get(self._image.extra.get('hepix_state', ''))
        if code is None:
            return ()
        return properties.reasons_in(
            self._image.extra.get('hepix_reason', '')) or [
                Reason(code, 'The image was taken out of use.')]


def _endorsement(extra: Mapping[str, str], subject: Subject) -> Endorsement:
    """Return the endorsement that is written on an image.

    :raises MalformedError: a date is none
    :raises ValueError: a number is none
    """
    endorser = Endorser(extra.get('hepix_endorser_dn', ''),
                        extra.get('hepix_endorser_ca', ''))
    size, sha512 = extra.get('hepix_size'), extra.get('hepix_sha512', '')
    if extra.get('hepix_state') == State.DERIVED:
        # They are of what was made; the ledger has those of the base.
        size, sha512 = None, subject.sha512
    return Endorsement(
        ImageEntry(
            extra.get('hepix_image_id', ''),
            int(size) if size else subject.size or 0, sha512,
            extra.get('hepix_image_version', ''),
            extra.get('hepix_uri', ''), extra.get('hepix_hypervisor', ''),
            expires=parse_time(extra.get('hepix_expires', ''))),
        ImageList(
            extra['hepix_list_id'], extra.get('hepix_list_version', ''),
            parse_time(extra.get('hepix_endorsed_at', '')), _NEVER, endorser,
            vo=extra.get('hepix_vo', '')),
        endorser, None, 'marks',
        approved=extra.get('hepix_approved') == 'true')


class BootGate(Gate):
    """Judges images from which servers are to boot."""

    def site(self) -> Site:
        """Return what the site decided, which has no lists here."""
        return self._files.without_lists()

    def judge(self, image: Held, booter: Booter,
              ledger_now: Callable[[], Search], **who: str) -> Verdict:
        """Return whether a server may boot from an image now.

        It is journalled if it is refused, or allowed all the same.

        The mode is the stricter one of that of the project that owns the
        image, and that of the project that wants the server: what one may
        try out, others need not run.

        :param ledger_now: returns what searches the ledger; it may raise
            where that is not known
        :param who: what the journal says besides: action, server, request
        :raises HepixVmError: what the ledger says is not known, and without
            it the image might boot
        """
        try:
            search = ledger_now()
        except HepixVmError:
            case, verdict = self._looked_at(image, booter, no_ledger, who)
            if verdict.allowed or not _is_certain(image, verdict):
                raise
        else:
            case, verdict = self._looked_at(image, booter, search, who)
        if verdict.mode is not Mode.DISABLED and (verdict.override or (
                verdict.reasons and not verdict.exemption)):
            case.record(verdict)
        return verdict

    def _looked_at(self, image: Held, booter: Booter, search: Search,
                   who: Mapping[str, str]) -> tuple[Case, Verdict]:
        case = Case(_ImageGate(self, image, search),
                    self._subject(image, booter), **_named(booter, who))
        verdict = case.look()
        return case, dataclasses.replace(verdict, mode=min(
            verdict.mode, self._mode_of(booter, verdict.codes),
            key=list(Mode).index))

    def refuse(self, reason: Reason, booter: Booter, cause: str = '',
               **who: str) -> Verdict:
        """Return the verdict on what is not known to be an image.

        :param reason: what speaks against it
        :param cause: what went wrong with us, for the journal
        :param who: what the journal says besides: action, server, request
        """
        return self._of_nothing(booter, who).refuse(reason, cause)

    def let_pass(self, reason: Reason, booter: Booter, **who: str) -> None:
        """Journal that something boots although it could not be judged.

        :param reason: why it could not
        :param who: what the journal says besides: action, server, request
        """
        self._of_nothing(booter, who).record(
            Verdict((reason,), mode=Mode.PERMISSIVE))

    def _of_nothing(self, booter: Booter, who: Mapping[str, str]) -> Case:
        return Case(self, self._of_no_image(booter), **_named(booter, who))

    def _of_no_image(self, booter: Booter) -> Subject:
        return Subject(
            self.now(), projects=booter.names | {booter.project},
            domains=booter.domains, roles=booter.roles, moment=Moment.RUN)

    def _mode_of(self, booter: Booter, codes: Iterable[Code]) -> Mode:
        subject = self._of_no_image(booter)
        try:
            site = self.site()
        except HepixVmError:  # the verdict says it
            return self.fallback_mode(subject)
        return modes.mode_for(
            subject, site.policy.enforcement, site.mode, codes)

    def _subject(self, image: Held, booter: Booter) -> Subject:
        subject = dataclasses.replace(
            image.subject(self.now()), moment=Moment.RUN, roles=booter.roles)
        if image.owner != booter.project:
            return subject
        return dataclasses.replace(
            subject, projects=subject.projects | booter.names,
            names_known=True, domains=booter.domains)


def _is_certain(image: Held, verdict: Verdict) -> bool:
    """Return whether a refusal stands whatever the ledger says."""
    # An approval may be on record, and what came before it was converted.
    return (set(verdict.codes) != {Code.NOT_APPROVED}
            and bool(image.sha512) and not image.altered
            and image.extra.get('hepix_state') not in _ON_RECORD)


def _named(booter: Booter, who: Mapping[str, str]) -> dict[str, str]:
    return {'user': booter.user, 'project': booter.project, **who}


class _ImageGate(Gate):
    """The gate before one image, which bears its endorsement."""

    def __init__(self, gate: BootGate, image: Held, search: Search) -> None:
        super().__init__('', search=self._of_images, now=gate.now)
        self._gate = gate
        self._image = image
        self._records = search

    def _of_images(self, names: Collection[str]) -> Iterable[Record]:
        # That a list has a newer version says nothing of an image: what
        # that version revoked or replaced is on record itself.
        return [record for record in self._records(names)
                if record.fact is not Fact.ACCEPTED]

    def site(self) -> Site:
        return dataclasses.replace(self._gate.site(), sources=(
            Marks(self._image, self.search),))

    def fallback_mode(self, subject: Subject) -> Mode:
        return self._gate.fallback_mode(subject)

    def record(self, record: dict[str, Any]) -> None:
        self._gate.record(record)
