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
from collections.abc import Sequence
import dataclasses
import datetime
import functools
from typing import Any
from typing import cast

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import config
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import PluginError
from hepix_vm.journal import Journal
from hepix_vm import opts
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import policy
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)


def utcnow() -> datetime.datetime:
    """Return the time, in UTC; the one clock of all verdicts."""
    return datetime.datetime.now(datetime.UTC)


class Gate:
    """Judges images as the site decided.

    :param service: whose journal is written, such as ``glance-api``
    :param service_conf: the service's own configuration, whose files win
        over ours and whose notifications are used
    :param now: returns the time in UTC
    """

    def __init__(self, service: str,
                 service_conf: cfg.ConfigOpts | None = None,
                 now: Callable[[], datetime.datetime] = utcnow) -> None:
        self._service = service
        self._service_conf = service_conf
        self.now = now

    # What raises is not kept: a file that is mended counts at once.

    @functools.cached_property
    def settings(self) -> cfg.ConfigOpts.GroupAttr:
        """The group ``hepix_vm`` of the configuration.

        :raises ConfigError: it cannot be read
        """
        files = config.files_of(self._service_conf)
        group: cfg.ConfigOpts.GroupAttr = config.load(files)[opts.GROUP]
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
        # The most bytes that can be endorsed, once early() is sure of it.
        self.size_limit: int | None = None

    @property
    def disabled(self) -> bool:
        """Whether images of this project are not looked at at all."""
        try:
            site = self._gate.site()
        except Exception:
            LOG.exception('The settings of hepix-vm cannot be used')
            return self._fallback_mode() is Mode.DISABLED
        return self._mode(site) is Mode.DISABLED

    def early(self) -> Verdict | None:
        """Judge before the bytes are read.

        :returns: a refusal that is certain already, or None
        """
        verdict = self._judge(self._subject, final=False)
        if verdict is None or verdict.mode is not Mode.ENFORCING:
            # Nothing is refused; the one record comes with the digest.
            return None
        if verdict.endorsed and verdict.endorsement:
            self.size_limit = verdict.endorsement.entry.size
        return None if verdict.endorsed else verdict

    def judge(self, sha512: str, size: int) -> Verdict:
        """Judge the bytes, and journal the verdict.

        The site's files are read again: what was revoked while the bytes
        came in is refused.

        :param sha512: their digest in hex
        :param size: their number
        """
        # A final verdict is never left open.
        return cast(Verdict, self._judge(dataclasses.replace(
            self._subject, sha512=sha512, size=size), final=True))

    def refuse(self, code: Code, message: str) -> Verdict:
        """Refuse for a reason that only the adapter sees."""
        try:
            mode = self._mode(self._gate.site())
        except Exception:
            LOG.exception('The settings of hepix-vm cannot be used')
            mode = self._fallback_mode()
        subject = dataclasses.replace(self._subject, at=self._gate.now())
        verdict = Verdict((Reason(code, message),), mode=mode)
        self._record(verdict, subject)
        return verdict

    def _fallback_mode(self) -> Mode:
        return self._gate.fallback_mode(self._subject)

    def _mode(self, site: Site) -> Mode:
        return site.policy.mode_for(
            self._subject.projects, self._subject.names_known, site.mode)

    def _judge(self, subject: Subject, final: bool) -> Verdict | None:
        """Judge what is known, and journal what is final or refused."""
        cause = ''
        subject = dataclasses.replace(subject, at=self._gate.now())
        try:
            site = self._gate.site()
            found = _find(subject, site, final)
            if found is None:
                return None
            verdict = policy.judge(subject, found, site.policy, site.checks,
                                   self._mode(site))
        except Exception as error:
            LOG.exception('An image cannot be judged')
            cause = f'{type(error).__name__}: {error}'
            verdict = Verdict(
                (Reason(Code.INTERNAL_ERROR, 'The image cannot be judged '
                        'now.'),), mode=self._fallback_mode(),
                sha512=subject.sha512, size=subject.size)
        if final or not verdict.allowed:
            self._record(verdict, subject, cause)
        return verdict

    def _record(self, verdict: Verdict, subject: Subject,
                cause: str = '') -> None:
        self._gate.record(_entry(verdict, subject, self._who, cause))


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
