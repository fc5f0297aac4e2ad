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

"""The gate: what adapters ask, and what they carry out.

An adapter says what it knows of an image; the gate gathers the site's
settings and the endorsements, asks the core, and journals the verdict.
Whatever goes wrong inside is a refusal.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
import functools
from typing import Any
from typing import cast

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import config
from hepix_vm.errors import cause_of
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import PluginError
from hepix_vm.journal import Journal
from hepix_vm import opts
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.trust import derived
from hepix_vm.trust.derived import Origin
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust import modes
from hepix_vm.trust import policy
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

# Images that were made from one another; each costs a look at the ledger.
_DEEPEST = 100
Search = Callable[[Collection[str]], Iterable[Record]]


def utcnow() -> datetime.datetime:
    """Return the time, in UTC; the one clock of all verdicts."""
    return datetime.datetime.now(datetime.UTC)


def no_ledger(names: Collection[str]) -> Iterable[Record]:
    """Stand in for a ledger where none is asked, as for files."""
    return ()


def _not_written(record: Record) -> None:
    """Stand in for a ledger that takes records where there is none.

    :raises PluginError: always; what must be remembered would be lost
    """
    raise PluginError(f'There is no ledger for a record: {record.fact}.')


class Gate:
    """Judges images as the site decided.

    :param service: whose journal is written, such as ``glance-api``
    :param service_conf: the service's own configuration, whose files win
        over ours and whose notifications are used
    :param search: returns the ledger's records of some names
    :param write: adds a record to the ledger
    :param now: returns the time in UTC
    """

    def __init__(self, service: str,
                 service_conf: cfg.ConfigOpts | None = None,
                 search: Search = no_ledger,
                 now: Callable[[], datetime.datetime] = utcnow,
                 write: Callable[[Record], None] = _not_written) -> None:
        self._service = service
        self._service_conf = service_conf
        self.search = search
        self.now = now
        self.write = write

    # What raises is not kept: a file that is mended counts at once.

    @functools.cached_property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration.

        :raises ConfigError: it cannot be read
        """
        return config.load(config.files_of(self._service_conf))

    @property
    def settings(self) -> cfg.ConfigOpts.GroupAttr:
        """The group ``hepix_vm`` of the configuration.

        :raises ConfigError: it cannot be read
        """
        group: cfg.ConfigOpts.GroupAttr = self.conf[opts.GROUP]
        return group

    @functools.cached_property
    def _files(self) -> SiteFiles:
        return SiteFiles(self.settings)

    @functools.cached_property
    def _journal(self) -> Journal:
        return Journal(self.settings.state_dir, self._service,
                       self._service_conf)

    def site(self) -> Site:
        """Return what the site decided, as its files say now."""
        return self._files.current()

    def fallback_mode(self, subject: Subject) -> Mode:
        """Return the mode for an image where a file cannot be read."""
        try:
            return self._files.mode_of(subject)
        except (ConfigError, PluginError):
            return Mode.ENFORCING

    def record(self, record: dict[str, Any]) -> None:
        """Journal what was decided, as far as the settings allow."""
        try:
            journal = self._journal
        except ConfigError as error:
            LOG.error('No journal, since the settings cannot be read (%s): '
                      '%s', error, record)
        else:
            journal.record(record)


class Case:
    """One image before the gate, from the first look to the verdict.

    :param gate: who judges
    :param subject: what is known before the bytes are read; the time is
        set here, whenever something is judged
    :param who: what the journal says besides: route, user, request
    """

    def __init__(self, gate: Gate, subject: Subject, **who: str) -> None:
        self._gate = gate
        self._subject = subject
        self._who = who
        # Where it came from, if a service of this cloud brings it.
        self.origin: Origin | None = None
        # The most bytes that can be endorsed, once early() is sure of it.
        self.size_limit: int | None = None
        # What went wrong with us; for the journal, and for no user.
        self._cause = ''

    @property
    def disabled(self) -> bool:
        """Whether images of this project are not looked at at all."""
        try:
            site = self._gate.site()
        except Exception:
            LOG.exception('The settings of hepix-vm cannot be used')
            return self._fallback_mode() is Mode.DISABLED
        return self._mode(site) is Mode.DISABLED and not self._is_old()

    def _is_old(self) -> bool:
        """Whether it must be recorded that its bytes come only now."""
        try:
            return self._older_than_gate()
        except Exception:  # a database may raise what it likes
            LOG.exception('The ledger cannot be read')
            return True

    def early(self) -> Verdict | None:
        """Judge before the bytes are read.

        :returns: a refusal that is certain already, or None
        """
        verdict = self._judge(self._subject, final=False)
        if verdict is None or verdict.mode is not Mode.ENFORCING:
            # Nothing is refused; the one record comes with the digest.
            return None
        # What its user says is no limit to what a service brings.
        derived_is_taken = self.origin and not self.origin.reasons
        if verdict.endorsed and verdict.endorsement and not derived_is_taken:
            self.size_limit = verdict.endorsement.entry.size
        return None if verdict.allowed else verdict

    def judge(self, sha512: str, size: int) -> Verdict:
        """Judge the bytes, and journal the verdict.

        The site's files are read again: what was revoked while the bytes
        came in is refused.

        :param sha512: their digest in hex
        :param size: their number
        """
        # A final verdict is never left open.
        verdict = cast(Verdict, self._judge(dataclasses.replace(
            self._subject, sha512=sha512, size=size), final=True))
        try:
            if verdict.allowed:
                self._note(verdict)
        except Exception as error:  # a database may raise what it likes
            LOG.exception('The ledger cannot be written')
            return self.refuse(Reason(
                Code.INTERNAL_ERROR, 'It cannot be recorded now what came.'),
                cause_of(error))
        return verdict

    def look(self) -> Verdict:
        """Judge an image whose digest is known, and journal nothing."""
        return cast(Verdict, self._judge(
            self._subject, final=True, journalled=False))

    def record(self, verdict: Verdict, **more: str) -> None:
        """Journal a verdict of :meth:`look`.

        :param more: what the journal says besides, such as action
        """
        self._record(verdict, dataclasses.replace(
            self._subject, at=self._gate.now()), **more)

    def refuse(self, reason: Reason, cause: str = '') -> Verdict:
        """Refuse for a reason that only the adapter sees, and its cause."""
        try:
            mode = self._mode(self._gate.site())
        except Exception:
            LOG.exception('The settings of hepix-vm cannot be used')
            mode = self._fallback_mode()
        subject = dataclasses.replace(self._subject, at=self._gate.now())
        verdict = Verdict((reason,), mode=mode)
        self._cause = cause
        if mode is not Mode.DISABLED:
            self._record(verdict, subject)
        return verdict

    def _fallback_mode(self) -> Mode:
        return self._gate.fallback_mode(self._subject)

    def _mode(self, site: Site, codes: Iterable[Code] = ()) -> Mode:
        return modes.mode_for(
            self._subject, site.policy.enforcement, site.mode, codes)

    def _judge(self, subject: Subject, final: bool,
               journalled: bool = True) -> Verdict | None:
        """Judge what is known, and journal what is final or refused."""
        self._cause = ''
        subject = dataclasses.replace(subject, at=self._gate.now())
        try:
            site = self._gate.site()
            judged = self._verdict(subject, site, final, self.origin)
            if judged is None:
                return None
            verdict = dataclasses.replace(
                judged, mode=self._mode(site, judged.codes))
            if self.origin and verdict.reasons == self.origin.reasons:
                self._cause = self.origin.cause
        except Exception as error:
            LOG.exception('An image cannot be judged')
            self._cause = cause_of(error)
            verdict = Verdict(
                (Reason(Code.INTERNAL_ERROR, 'The image cannot be judged '
                        'now.'),), mode=self._fallback_mode(),
                sha512=subject.sha512, size=subject.size)
        if journalled and verdict.mode is not Mode.DISABLED and (
                final or not verdict.allowed):
            self._record(verdict, subject)
        return verdict

    def _note(self, verdict: Verdict) -> None:
        """Record what later verdicts need and nothing else remembers."""
        subject = dataclasses.replace(self._subject, at=self._gate.now())
        if not subject.digest_kept or self._older_than_gate():
            self._gate.write(policy.received(subject, verdict.sha512))
        if verdict.exemption is Exemption.DERIVED and self.origin:
            self._gate.write(derived.record_of(
                subject.image_id, verdict, self._origin_received(),
                subject.at))

    def _older_than_gate(self) -> bool:
        """Whether it could be taken for one that had its bytes before."""
        created = self._subject.created
        installed = self._with_ledger(self._subject, ()).ledger.installed()
        return bool(created and installed and created < installed)

    def _origin_received(self) -> Origin:
        origin = cast(Origin, self.origin)
        return dataclasses.replace(
            origin, base=origin.base and self._as_received(origin.base))

    def _verdict(self, subject: Subject, site: Site, final: bool,
                 origin: Origin | None = None,
                 depth: int = 0) -> Verdict | None:
        """Ask the core, of the image and of all that it was made from."""
        if depth > _DEEPEST:
            raise PluginError(f'More than {_DEEPEST} images were made from '
                              f'one another.')
        subject = self._as_received(subject)
        found = _find(subject, site, final)
        if found is None and origin and origin.reasons:
            # Bytes that are refused but for an endorsement that may be in
            # some list are not worth the reading.
            found = ()
        if found is None:
            return None
        subject = self._with_ledger(subject, found)
        found = (*site.accepted.awaited(subject), *(
            site.accepted.holders.judge(each, subject.ledger)
            for each in found))
        ask = functools.partial(policy.judge, policy=site.policy,
                                checks=site.checks, mode=self._mode(site))
        verdict = ask(subject, found)
        origin = origin or derived.recorded(subject)
        if verdict.endorsed or origin is None:
            return verdict
        # What it bears may be the endorsement of its base.
        base = None
        if origin.base:
            base = self._verdict(
                dataclasses.replace(origin.base, at=subject.at), site,
                final=True, depth=depth + 1)
        return derived.judge(ask(subject, ()), origin, base)

    def _as_received(self, subject: Subject) -> Subject:
        if not subject.came_as:
            return subject
        return policy.as_received(self._with_ledger(subject, ()))

    def _with_ledger(self, subject: Subject,
                     found: Sequence[Found]) -> Subject:
        endorsements = [each.endorsement for each in found
                        if each.endorsement]
        return dataclasses.replace(subject, ledger=Ledger(
            self._gate.search(ledger.names_for(
                subject.image_id, subject.sha512, endorsements,
                subject.listed_by))))

    def _record(self, verdict: Verdict, subject: Subject,
                **more: str) -> None:
        if self.origin and self.origin.base:
            more['base'] = self.origin.base.image_id
        self._gate.record(_entry(
            verdict, subject, self._who | more, self._cause))


def _find(subject: Subject, site: Site,
          final: bool) -> Sequence[Found] | None:
    """Ask the sources in order; the first that has something decides."""
    for source in site.sources:
        found: Sequence[Found] | None = source.find(subject, site)
        if found is None and final:
            raise PluginError(f'{type(source).__name__} cannot tell, though '
                              f'the digest is known.')
        if found is None or found:
            return found
    return ()


def _entry(verdict: Verdict, subject: Subject, who: dict[str, str],
           cause: str) -> dict[str, Any]:
    """Return a verdict as the journal and the notifications carry it."""
    entry: dict[str, Any] = {
        'time': format_time(subject.at), 'event': 'verdict',
        'moment': str(subject.moment), 'image': subject.image_id, **who,
        **verdict.as_dict(), 'sha512': verdict.sha512,
        'size': verdict.size}
    if cause:
        entry['cause'] = cause
    if verdict.endorsement:
        endorsement = verdict.endorsement
        entry['endorsement'] = {
            'source': endorsement.source,
            'list': endorsement.image_list.identifier,
            'list_version': endorsement.image_list.version,
            'image': endorsement.entry.identifier,
            'image_version': endorsement.entry.version,
            'endorser_dn': endorsement.signer.dn,
            'endorser_ca': endorsement.signer.ca,
            'expires': format_time(endorsement.expires)}
    return entry
