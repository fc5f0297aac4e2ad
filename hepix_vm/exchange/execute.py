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
"""Carrying out a plan: each step may be done again, and any be the last.

Whatever ends it in between, the next plan goes on from what is there.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import concurrent.futures
import datetime
import hashlib
import logging
import threading
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.body import Refused
from hepix_vm.exchange.bring import Courier
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Kept
from hepix_vm.exchange.deeds import Deed
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.deeds import Trouble
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.imports import Pending
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.outline import record_of
from hepix_vm.exchange.progress import counted
from hepix_vm.exchange.progress import Progress
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange.shelf import Gone
from hepix_vm.exchange.shelf import Shelf
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Chain
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.gate import utcnow
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

LOG = logging.getLogger(__name__)

_AT_ONCE = 4  # images that are brought in
_REASONS = {
    Fact.REVOKED: 'its list no longer has it',
    Fact.SUPERSEDED: 'its list has newer bytes'}


class Executor:
    """Carries out one plan.

    :param courier: brings images in; None where the plan brings none
    :param allowance: how long it may take
    :param tell: told of what happens to images
    :param progress: shown to who began the run
    :param outline: what steps are called
    :param journal: has each step that was carried out
    :param owner: the project of our account; empty if it is not known
    """

    # Called with the name of each step before and after it.
    checkpoint: Callable[[str], None] = staticmethod(lambda name: None)

    def __init__(self, catalogue: Catalogue, ledger: RestLedger,
                 settler: Settler, courier: Courier | None,
                 allowance: Allowance, tell: Callable[[Event], None],
                 progress: Progress, outline: Outline,
                 journal: Callable[[dict[str, Any]], None],
                 owner: str = '') -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._settler = settler
        self._courier = courier
        self._allowance = allowance
        self._tell = tell
        self._progress = progress
        self._outline = outline
        self._journal = journal
        self._shelf = Shelf(catalogue, courier, self._reached, owner)
        self._done = Done()
        # Only bytes come in at once; the rest is quick, and in order.
        self._one = threading.RLock()
        self._turn = threading.Lock()
        self._at_work: collections.Counter[str] = collections.Counter()
        self._begun: collections.Counter[str] = collections.Counter()

    def run(self, plan: Plan) -> Done:
        """Carry out a plan as far as possible."""
        bringing: list[Chain] = []
        for chain in plan.chains:
            if any(step.action is Action.BRING for step in chain):
                bringing.append(chain)
            else:
                self._chain(chain)
        waiting = _by_list(bringing, utcnow())
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for future in [pool.submit(self._in_turn, waiting)
                               for _ in range(_AT_ONCE)]:
                    future.result()
            except BaseException:
                # Who interrupts us does not wait for all that is to come.
                self._allowance.stop()
                raise
        self._done.pending += [
            Trouble(uuid, f'{counted(len(chains), "image")} did not begin to '
                    f'come within the time of a run. The next run goes on; '
                    f'bring_time allows more.')
            for uuid, chains in waiting.items()
            if not self._allowance.stopped]
        return self._done

    def _in_turn(self, waiting: dict[str, collections.deque[Chain]]) -> None:
        """Carry out chains of the list of which the fewest are at work.

        Of several, the one of which the fewest began. So those whose images
        come slowly do not keep out the others'.
        """
        while True:
            with self._turn:
                if not waiting or self._allowance.over:
                    return
                uuid = min(waiting, key=lambda each: (
                    self._at_work[each], self._begun[each]))
                chain = waiting[uuid].popleft()
                if not waiting[uuid]:
                    del waiting[uuid]
                self._at_work[uuid] += 1
                self._begun[uuid] += 1
            try:
                self._chain(chain)
            finally:
                with self._turn:
                    self._at_work[uuid] -= 1

    def _chain(self, chain: Chain) -> None:
        """Do the steps of a chain; what fails does not concern others."""
        brought = ''
        for step in chain:
            if self._allowance.stopped:
                return
            try:
                brought = self._step(step, brought)
            except Gone:
                return
            except HepixVmError as error:
                self._failed(step, error)
                return
            except Exception as error:
                LOG.exception('A step cannot be done: %s', step.action)
                self._failed(step, HepixVmError(
                    f'{type(error).__name__}: {error}'))
                return

    def _reached(self, name: str) -> None:
        type(self).checkpoint(name)

    def _step(self, step: Step, brought: str) -> str:
        """Do a step; return the id of what the chain brought in."""
        self._reached(f'before {step.action}')
        if step.action is Action.BRING:
            brought = self._bring(step)
        else:
            with self._one:
                image_id = step.present.image_id if step.present else brought
                became = self._act(step, image_id)
                if became is not None:
                    self._did(Deed(step, image_id, became))
        self._reached(f'after {step.action}')
        return brought

    def _act(self, step: Step, image_id: str) -> str | None:
        """Do a step.

        :returns: the id of the record that it left in place, or empty; None
            if there was nothing to do
        """
        if step.action is Action.SETTLE:
            return '' if self._settler.settle(image_id) else None
        if step.action is Action.RECORD:
            self._record(step)
        elif step.action is Action.DELETE:
            self._catalogue.delete(image_id)
        else:
            return self._shelf.change(step, image_id)
        return ''

    def _did(self, deed: Deed) -> None:
        """Say what was done, and write it down."""
        self._done.deeds.append(deed)
        # The settler does so of what he changes, and only of that.
        if deed.step.action is not Action.SETTLE:
            self._progress.line(self._outline.done(deed))
            self._journal(record_of(deed, utcnow()))

    def _failed(self, step: Step, error: HepixVmError) -> None:
        with self._one:
            trouble = Trouble(
                step.list_id, f'{self._outline.subject(step)}: '
                f'{error.message} {error.remedy}')
            if isinstance(error, Refused) and step.wanted:
                self._done.refusals.append(Refusal.until_next(
                    step.wanted, error.code, error.message))
            elif isinstance(error, Kept) and step.action in (
                    Action.EVICT, Action.DELETE):
                self._done.notes.append(Trouble(
                    step.list_id, f'{self._outline.subject(step)} stays: '
                    f'{error.message} {error.remedy}'))
            elif isinstance(error, Pending):
                self._done.pending.append(trouble)
            else:
                self._done.failures.append(trouble)
            if isinstance(error, ServiceError) and not error.status:
                # Nothing else can be done either.
                self._allowance.stop()

    # The steps.

    def _bring(self, step: Step) -> str:
        if self._courier is None or step.wanted is None:
            raise HepixVmError('Nobody brings it in.')
        wanted = step.wanted
        self._progress.line(self._outline.begun(step))
        try:
            image_id = self._courier.bring(wanted)
        finally:
            self._progress.image()
        with self._one:
            self._did(Deed(step, image_id))
            self._tell(Event(
                Kind.IMAGE_AVAILABLE, utcnow(), wanted.image_list,
                wanted.entry, image_id, wanted.name))
        return image_id

    def _record(self, step: Step) -> None:
        if not step.present or not step.fact or not step.image_list:
            raise HepixVmError('Nothing is to be recorded of it.')
        self._ledger.write(Record(
            step.fact, Blockable.SHA512, step.present.sha512,
            _REASONS[step.fact], SERVICE, utcnow(),
            image_list=step.image_list.identifier,
            version=step.image_list.version))


def _by_list(chains: Iterable[Chain], now: datetime.datetime,
             ) -> dict[str, collections.deque[Chain]]:
    """Return what is to be brought in, by its list.

    :param now: the order of the lists is another at each time, so that none
        is the last in each run
    """
    waiting: dict[str, collections.deque[Chain]] = {}
    for chain in chains:
        waiting.setdefault(_list_of(chain), collections.deque()).append(chain)
    return dict(sorted(waiting.items(), key=lambda each: hashlib.sha256(
        f'{now.isoformat()} {each[0]}'.encode()).digest()))


def _list_of(chain: Chain) -> str:
    """Return the list whose image is brought in."""
    return next(step.wanted.image_list.identifier for step in chain
                if step.wanted)
