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

"""What the gate would say of a file, or says of an image, at any time."""

from collections.abc import Callable
import dataclasses
import datetime
import logging
import os

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.errors import TrustError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange import endorse
from hepix_vm.exchange.measure import Measured
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import Case
from hepix_vm.gate import no_ledger
from hepix_vm.gate import Search
from hepix_vm.gate import utcnow
from hepix_vm.held import STATUSES
from hepix_vm import opts
from hepix_vm import properties
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.trust import envelope
from hepix_vm.trust import inline
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

# Longer than any property can be; a gate refuses it as too long.
_LONGEST = 1024 * 1024  # bytes


def site_here(given: dict[str, str]) -> tuple[Site, list[str]]:
    """Return the site by which is judged, and what of it is not here.

    :param given: files that are named for options of ``[hepix_vm]``; they
        win over those of hepix-vm.conf
    :returns: with it the paths, by option, that do not exist
    :raises ConfigError: a file that is named does not exist, or one cannot
        be read
    """
    conf = config.load()
    for option, path in given.items():
        if not os.path.exists(path):
            raise ConfigError('There is no such file.', path,
                              remedy='Correct the path.')
        conf.set_override(option, path, opts.GROUP)
    settings: cfg.ConfigOpts.GroupAttr = conf[opts.GROUP]
    missing = [settings[option] for option in ('policy_file', 'trust_anchors')
               if not os.path.exists(settings[option])]
    return SiteFiles(settings, complete=False).current(), missing


def beside(path: str) -> str:
    """Return the endorsement that lies beside a file, or nothing."""
    found = path + endorse.BESIDE
    return found if os.path.exists(found) else ''


def read_endorsement(path: str) -> str:
    """Return an endorsement as the property of an image has it.

    :param path: of a file with S/MIME, CMS, or base64 of one of them
    :raises HepixVmError: it cannot be read
    """
    try:
        with open(path, 'rb') as file:
            return envelope.to_text(file.read(_LONGEST))
    except TrustError as error:
        raise TrustError(
            f'{path} is no endorsement: {error.message}', error.code,
            'Name the file that "image endorsement create" wrote.'
            ) from error
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.', path,
                          remedy='Give the file of an endorsement.'
                          ) from error


def judge_file(site: Site, file: Measured, endorsement: str, project: str,
               at: datetime.datetime | None) -> Verdict:
    """Return what the gate would say if a file were uploaded.

    What a cloud blocked or revoked, nobody knows here.

    :param endorsement: that comes with it; without one, the accepted lists
        are asked
    :param project: name or id of the project; empty if it is not known
    :param at: UTC; None for now
    """
    return _judge(site, no_ledger, at, lambda now: Subject(
        at=now, projects=frozenset(filter(None, [project])),
        names_known=False, endorsement=endorsement, size=file.size,
        sha512=file.sha512))


def judge_image(site: Site, image: Image, endorsement: str,
                search: Search, at: datetime.datetime | None) -> Verdict:
    """Return what the gate says of an image that has its bytes.

    :param endorsement: that would take the place of its own, if any
    :param search: returns records of the ledger
    :param at: UTC; None for now
    :raises HepixVmError: it has none
    """
    held = held_of(image)
    if held.status not in STATUSES:
        raise HepixVmError(
            f'The image {held.image_id} is {held.status}; it has no data that '
            f'could be judged.', remedy='Verify the file of its data.')
    if not endorsement:
        return _judge(site, search, at, held.subject)
    old = held.extra.get(properties.ENDORSEMENT, '')
    renewed = dataclasses.replace(held, extra={
        **held.extra, properties.ENDORSEMENT: endorsement})
    verdict = _judge(site, search, at, renewed.subject)
    if not old:
        return verdict
    # As the guard of requests asks before it takes the place of the other.
    subject = held.subject(utcnow())
    against = inline.check_renewal(
        old, endorsement, subject.came_as or subject.sha512, site.trust)
    return dataclasses.replace(
        verdict, reasons=tuple(dict.fromkeys((*against, *verdict.reasons))),
        exemption=None if against else verdict.exemption)


def _judge(site: Site, search: Search, at: datetime.datetime | None,
           subject_at: Callable[[datetime.datetime], Subject]) -> Verdict:
    """Return the verdict of a time.

    A CRL that counts now is taken to be renewed until then: a CA does so
    every few weeks, and when says nothing of the image.
    """
    def look(moment: datetime.datetime | None) -> Verdict:
        gate = SteadyGate(site, search, journalled=False, moment=moment)
        return Case(gate, subject_at(gate.now())).look()

    verdict = look(at)
    if (at is None or at <= utcnow() or Code.CRL_EXPIRED not in verdict.codes
            or Code.CRL_EXPIRED in look(None).codes):
        return verdict
    LOG.warning('A CRL ends before then; it is taken to be renewed.')
    return dataclasses.replace(verdict, reasons=tuple(
        reason for reason in verdict.reasons
        if reason.code is not Code.CRL_EXPIRED))


def sees_ledger(catalogue: Catalogue) -> bool:
    """Return whether the ledger is shown: others find it empty.

    :raises ServiceError: Glance does not say
    """
    try:
        catalogue.check_administrator()
    except ServiceError as error:
        if error.status != 403:
            raise
        return False
    return True


def check_ledger(catalogue: Catalogue, named: str) -> None:
    """Make sure that nothing that was decided on an image is kept from us.

    :param named: the image
    :raises HepixVmError: only administrators can see the ledger
    """
    if not sees_ledger(catalogue):
        raise HepixVmError(
            'What a cloud blocked or revoked only its administrators see, so '
            'that nobody else can judge its images.',
            remedy=f'Look what the cloud decided: openstack image '
                   f'endorsement show {named}; or verify the file of the '
                   f'image.')
