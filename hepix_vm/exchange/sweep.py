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

"""The sweep: every image that has its bytes is made what it must be.

Plugin, filter and sentinel act when something happens. What a crash left,
what happened while they were not loaded, and what only time changes, is
found here. Several sweeps may run at once: each judges an image anew
before it touches it, and again afterwards.
"""

from collections.abc import Callable
import dataclasses
import logging

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.held import Held
from hepix_vm.held import judge
from hepix_vm.held import LOCK
from hepix_vm.held import Outcome
from hepix_vm.held import STATUSES
from hepix_vm.site import Site
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

LOG = logging.getLogger(__name__)

_TRIES = 10
# Said when nobody but somebody else changed the image, or deleted it.
_MEANWHILE = (404, 409)


@dataclasses.dataclass
class Tally:
    """What a sweep did, in images."""

    judged: int = 0
    deactivated: int = 0
    reactivated: int = 0
    marked: int = 0
    skipped: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return ', '.join(f'{name} {number}' for name, number
                         in dataclasses.asdict(self).items())

    def count(self, outcome: Outcome) -> None:
        """Count what is done with an image."""
        if outcome.status == 'deactivated':
            self.deactivated += 1
        elif outcome.status:
            self.reactivated += 1
        else:
            self.marked += 1


class Sweep:
    """One sweep.

    :param catalogue: the images
    :param ledger: their Glance's ledger
    :param site: what the site decided
    :param dry_run: whether it is only said what would be done
    :param tell: says one line to who began the sweep
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger, site: Site,
                 tell: Callable[[str], None], dry_run: bool = False) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._looking = SteadyGate(site, ledger.search, journalled=False)
        self._acting = SteadyGate(site, ledger.search_now)
        self._tell = tell
        self._dry_run = dry_run
        self.tally = Tally()

    def run(self) -> Tally:
        """Judge all images, and carry out what comes of it.

        :raises HepixVmError: nothing can be judged at all
        """
        self._catalogue.check_administrator()
        # These records concern every image: if one of them cannot be read,
        # no image is refused for that.
        self._ledger.search([records.name_of(None, '')])
        self._mark_versions()
        for image in self._catalogue.images():
            self._one(image)
        return self.tally

    def _mark_versions(self) -> None:
        """Write down which versions of lists this controller accepted.

        From then on no controller acts on an older one.
        """
        site = self._looking.site()
        at = self._looking.now()
        for uuid, accepted in site.accepted.by_uuid.items():
            version = accepted.signed.image_list.version
            known = records.Ledger(self._ledger.search(
                [records.name_of(Blockable.LIST, uuid)])).newest(uuid)
            if compare_versions(version, known) > 0 and not (
                    self._dry_run or accepted.signed.reasons(
                        site.anchors, at, site.trust)):
                self._ledger.write(Record(
                    Fact.ACCEPTED, Blockable.LIST, uuid, 'It is accepted '
                    'on a controller.', SERVICE, at, version=version))

    def _one(self, image: Image) -> None:
        """Settle an image; what fails does not concern the others."""
        try:
            held = held_of(image)
            if _ours(held):
                self._judge(held)
        except HepixVmError as error:
            self.tally.failed += 1
            LOG.error('The image %s cannot be settled: %s %s', image['id'],
                      error.message, error.remedy)
        except Exception:
            self.tally.failed += 1
            LOG.exception('The image %s cannot be settled', image['id'])

    def _judge(self, held: Held) -> None:
        if LOCK in held.extra:
            self.tally.skipped += 1
            return
        self.tally.judged += 1
        outcome = judge(self._looking, held)
        if outcome.nothing:
            return
        if self._dry_run:
            self._done('would be', held, outcome)
            return
        self._settle(held.image_id)

    def _settle(self, image_id: str) -> None:
        """Change an image until it is as it must be.

        Glance saves whole rows: who saves an image that he read before we
        changed it puts it back.
        """
        withdrew = False
        for _ in range(_TRIES):
            image = self._catalogue.find(image_id)
            if image is None or image['status'] not in STATUSES:
                return
            # What we take out of use here may not be marked yet.
            held = dataclasses.replace(held_of(image), withdrew=withdrew)
            if LOCK in held.extra or not _ours(held):
                return
            outcome = judge(self._acting, held, route='sweep')
            if outcome.nothing:
                return
            withdrew = withdrew or outcome.status == 'deactivated'
            try:
                self._apply(held, outcome)
            except ServiceError as error:
                if error.status not in _MEANWHILE and (
                        self._status(image_id) == held.status):
                    raise
        raise HepixVmError(f'The image {image_id} changes too often to be '
                           f'settled.', remedy='The next sweep tries again.')

    def _status(self, image_id: str) -> str:
        """Return the status of an image, empty if it is gone.

        Glance answers 500 to the second of two deactivations at once.
        """
        image = self._catalogue.find(image_id)
        return str(image['status']) if image else ''

    def _apply(self, held: Held, outcome: Outcome) -> None:
        # Taking an image out of use does not wait for its properties, which
        # Glance may not take.
        if outcome.status == 'deactivated':
            self._catalogue.deactivate(held.image_id)
        elif outcome.status:
            self._catalogue.reactivate(held.image_id)
        if outcome.status:
            self._done('was', held, outcome)
        if outcome.values:
            self._catalogue.update(held.image_id, outcome.values)
        if not outcome.status:
            self._done('was', held, outcome)

    def _done(self, verb: str, held: Held, outcome: Outcome) -> None:
        self.tally.count(outcome)
        done = {'': 'marked', 'active': 'reactivated'}.get(
            outcome.status, outcome.status)
        codes = ', '.join(outcome.verdict.codes)
        self._tell(f'{held.image_id} {verb} {done}'
                   + (f' ({codes})' if codes else ''))


def _ours(held: Held) -> bool:
    """Return whether an image is active, or was taken out of use by us."""
    return held.status == 'active' or held.withdrawn

