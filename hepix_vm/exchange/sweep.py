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
found here. Several sweeps may run at once.
"""

from collections.abc import Callable
import dataclasses
import logging

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import nobody
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.settle import concerns_us
from hepix_vm.exchange.settle import done_to
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange import tidings
from hepix_vm.held import Held
from hepix_vm.held import LOCK
from hepix_vm.held import Outcome
from hepix_vm.held import STATUSES
from hepix_vm.site import Site

LOG = logging.getLogger(__name__)

# In state_dir: its time is when a sweep last ended on this controller.
SWEPT = 'swept'


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
    :param say: says one line to who began the sweep
    :param tell: tells of what became of an image
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger, site: Site,
                 say: Callable[[str], None], dry_run: bool = False,
                 tell: Callable[[Event], None] = nobody) -> None:
        self._catalogue = catalogue
        self.settler = Settler(catalogue, ledger, site, self._changed)
        self._site = site
        self._say = say
        self._tell = tell
        self._dry_run = dry_run
        self.tally = Tally()
        # Images that are out of use, or will be.
        self.out: list[str] = []

    def run(self) -> Tally:
        """Judge all images, and carry out what comes of it.

        :raises HepixVmError: nothing can be judged at all
        """
        self.settler.begin(self._dry_run)
        for image in self._catalogue.images():
            self._one(image)
        return self.tally

    def _one(self, image: Image) -> None:
        """Settle an image; what fails does not concern the others."""
        try:
            held = held_of(image)
            if concerns_us(held):
                self._judge(held)
            elif held.status in STATUSES and LOCK not in held.extra:
                self._only_look(held)
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
        outcome = self.settler.look(held)
        if (outcome.status or held.status) == 'deactivated':
            self.out.append(held.image_id)
        if outcome.nothing and not held.untold:
            return
        if self._dry_run:
            self._done('would be', held, outcome)
            return
        self.settler.settle(held.image_id)

    def _only_look(self, held: Held) -> None:
        """See whether servers may run what somebody else took out of use.

        He may have done so in haste, before he revoked it.
        """
        if self.settler.look(held).status == 'deactivated':
            self.out.append(held.image_id)

    def _changed(self, held: Held, outcome: Outcome) -> None:
        self._done('was', held, outcome)
        event = tidings.event_of(held, outcome, self._site,
                                 self.settler.gate.now())
        if event is not None:
            self._tell(event)

    def _done(self, verb: str, held: Held, outcome: Outcome) -> None:
        self.tally.count(outcome)
        codes = ', '.join(outcome.verdict.codes)
        self._say(f'{held.image_id} {verb} {done_to(outcome)}'
                  + (f' ({codes})' if codes else ''))
