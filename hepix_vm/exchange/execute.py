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
from collections.abc import Mapping
import concurrent.futures
import dataclasses
import http
import logging
import threading
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.body import Refused
from hepix_vm.exchange.bring import Courier
from hepix_vm.exchange.bring import Pending
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.catalogue import Kept
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.progress import Progress
from hepix_vm.exchange.record import made_of
from hepix_vm.exchange.record import renewal_of
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange.sharing import ACCEPTED
from hepix_vm.exchange.sharing import Sharing
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Chain
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Wanted
from hepix_vm.gate import utcnow
from hepix_vm.held import LOCK
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.subscriptions import Share
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)

_AT_ONCE = 4  # images that are brought in
_TRIES = 3
# Said when somebody else changed the image, or deleted it: one that is not
# shared any more has no members.
_MEANWHILE = (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND,
              http.HTTPStatus.CONFLICT)
_REASONS = {
    Fact.REVOKED: 'its list no longer has it',
    Fact.SUPERSEDED: 'its list has newer bytes'}


class _Gone(HepixVmError):
    """Somebody else was quicker; the next plan sees what is left."""


@dataclasses.dataclass
class Done:
    """What came of a plan.

    :param failures: one line each
    :param pending: the same, of what goes on without us
    :param notes: the same, of what could not be removed
    """

    steps: dict[Action, int] = dataclasses.field(default_factory=dict)
    refusals: list[Refusal] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    pending: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


class Executor:
    """Carries out one plan.

    :param courier: brings images in; None where the plan brings none
    :param allowance: how long it may take
    :param tell: told of what happens to images
    :param progress: shown to who began the run
    :param owner: the project of our account; empty if it is not known
    """

    # Called with the name of each step before and after it.
    checkpoint: Callable[[str], None] = staticmethod(lambda name: None)

    def __init__(self, catalogue: Catalogue, ledger: RestLedger,
                 settler: Settler, courier: Courier | None,
                 allowance: Allowance, tell: Callable[[Event], None],
                 progress: Progress, owner: str = '') -> None:
        self._catalogue = catalogue
        self._sharing = Sharing(catalogue)
        self._ledger = ledger
        self._settler = settler
        self._courier = courier
        self._allowance = allowance
        self._tell = tell
        self._progress = progress
        self._owner = owner
        self._done = Done()
        # Only bytes come in at once; the rest is quick, and in order.
        self._one = threading.RLock()
        self._turn = threading.Lock()
        self._at_work: collections.Counter[str] = collections.Counter()

    def run(self, plan: Plan) -> Done:
        """Carry out a plan as far as possible."""
        bringing: list[Chain] = []
        for chain in plan.chains:
            if any(step.action is Action.BRING for step in chain):
                bringing.append(chain)
            else:
                self._chain(chain)
        waiting: dict[str, collections.deque[Chain]] = {}
        for chain in bringing:
            waiting.setdefault(_list_of(chain), collections.deque()).append(
                chain)
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
            f'list {uuid}: {len(chains)} of its images did not begin to come '
            f'within the time of a run. The next run goes on; bring_time '
            f'allows more.'
            for uuid, chains in waiting.items()
            if not self._allowance.stopped]
        return self._done

    def _in_turn(self, waiting: dict[str, collections.deque[Chain]]) -> None:
        """Carry out chains of the list of which the fewest are at work.

        So one whose images come slowly does not keep out the others'.
        """
        while True:
            with self._turn:
                if not waiting or self._allowance.over:
                    return
                uuid = min(waiting, key=lambda each: self._at_work[each])
                chain = waiting[uuid].popleft()
                if not waiting[uuid]:
                    del waiting[uuid]
                self._at_work[uuid] += 1
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
            except _Gone:
                return
            except HepixVmError as error:
                self._failed(step, error)
                return
            except Exception as error:
                LOG.exception('A step cannot be done: %s', step.action)
                self._failed(step, HepixVmError(
                    f'{type(error).__name__}: {error}'))
                return

    def _step(self, step: Step, brought: str) -> str:
        """Do a step; return the id of what the chain brought in."""
        type(self).checkpoint(f'before {step.action}')
        if step.action is Action.BRING:
            brought = self._bring(step)
        else:
            with self._one:
                image_id = step.present.image_id if step.present else brought
                self._act(step, image_id)
                self._count(step)
        type(self).checkpoint(f'after {step.action}')
        return brought

    def _act(self, step: Step, image_id: str) -> None:
        if step.action is Action.SETTLE:
            self._settler.settle(image_id)
        elif step.action is Action.RECORD:
            self._record(step)
        elif step.action is Action.DELETE:
            self._catalogue.delete(image_id)
        else:
            self._change(step, image_id)

    def _change(self, step: Step, image_id: str) -> None:
        """Do a step with an image as it is now; others may change it too."""
        for left in reversed(range(_TRIES)):
            try:
                _ACTIONS[step.action](self, self._find(image_id), step)
            except ServiceError as error:
                if error.status not in _MEANWHILE or not left:
                    raise
            else:
                return

    def _count(self, step: Step) -> None:
        steps = self._done.steps
        steps[step.action] = steps.get(step.action, 0) + 1

    def _failed(self, step: Step, error: HepixVmError) -> None:
        with self._one:
            what = _what(step)
            if isinstance(error, Refused) and step.wanted:
                self._refused(step.wanted, error)
            elif isinstance(error, Kept) and step.action in (
                    Action.EVICT, Action.DELETE):
                self._done.notes.append(f'{what} stays: {error.message} '
                                        f'{error.remedy}')
            elif isinstance(error, Pending):
                self._done.pending.append(f'{what}: {error.message} '
                                          f'{error.remedy}')
            else:
                self._done.failures.append(f'{what}: {error.message} '
                                           f'{error.remedy}')
            if isinstance(error, ServiceError) and not error.status:
                # Nothing else can be done either.
                self._allowance.stop()

    # The steps.

    def _bring(self, step: Step) -> str:
        if self._courier is None or step.wanted is None:
            raise HepixVmError(f'Nobody brings in {_what(step)}.')
        wanted = step.wanted
        self._progress.line(
            f'{_what(step)}: {wanted.entry.size} bytes come in')
        try:
            image_id = self._courier.bring(wanted)
        finally:
            self._progress.image()
        with self._one:
            self._count(step)
            self._progress.line(f'{_what(step)} is {image_id}')
            self._tell(_event(Kind.IMAGE_AVAILABLE, wanted, image_id))
        return image_id

    def _refused(self, wanted: Wanted, error: Refused) -> None:
        reason = Reason(error.code, error.message)
        self._done.refusals.append(Refusal.until_next(
            wanted, error.code, error.message))
        self._tell(dataclasses.replace(
            _event(Kind.IMAGE_REFUSED, wanted), reasons=(reason,)))

    def _record(self, step: Step) -> None:
        if not step.present or not step.fact or not step.image_list:
            raise HepixVmError(f'Nothing is to be recorded of {_what(step)}.')
        self._ledger.write(Record(
            step.fact, Blockable.SHA512, step.present.sha512,
            _REASONS[step.fact], SERVICE, utcnow(),
            image_list=step.image_list.identifier,
            version=step.image_list.version))

    def _discard(self, image: Image, step: Step) -> None:
        # It may have its bytes by now, or get them.
        if image['status'] not in STATUSES and LOCK not in image:
            self._catalogue.discard(image['id'])

    def _share(self, image: Image, step: Step) -> None:
        access = step.wanted and step.wanted.access
        if not access:
            raise HepixVmError(f'{_what(step)} is for nobody.')
        if access.share is Share.MEMBERS:
            self._sharing.share(image, dict.fromkeys(
                access.projects, ACCEPTED))
            image = {**image, 'visibility': 'shared'}
        owner = access.owner
        if str(image.get(properties.SHARED, Share.PRIVATE)).startswith(
                Share.PRIVATE):
            # Whom it was for alone must not change what is for others.
            owner = owner or self._owner
        self._show(image, {
            'visibility': access.visibility, properties.SHARED: access.word,
            **({'owner': owner} if owner else {})})

    def _replace(self, image: Image, step: Step) -> None:
        """Let a version take the place of the former one.

        What operators made of that one holds on.
        """
        former = self._find(step.former.image_id if step.former else '')
        parked = properties.PARKED in former
        if parked and former['status'] in STATUSES:
            raise _Gone(f'The image {former["id"]} was replaced already.')
        self._show(image, {
            **self._sharing.like(image, former),
            # What was evicted is the same image, for those who use it.
            **(made_of(image, former) if parked else {})})
        self._progress.line(
            f'{_what(step)}: {image["id"]} takes the place of '
            f'{former["id"]}')

    def _show(self, image: Image, values: Mapping[str, Any]) -> None:
        """Show an image; the word that it is shared comes with it."""
        wanted = {'os_hidden': False, **values,
                  **({properties.PARKED: None}
                     if properties.PARKED in image else {})}
        self._catalogue.update(image['id'], {
            name: value for name, value in wanted.items()
            if value is None or image.get(name) != value})

    def _hide(self, image: Image, step: Step) -> None:
        self._catalogue.update(image['id'], {
            'os_hidden': True, properties.PARKED: format_time(utcnow())})

    def _park(self, image: Image, step: Step) -> None:
        # At once: who could see it cannot, and none finds it half parked.
        self._catalogue.update(image['id'], {
            'os_hidden': True, 'visibility': 'private',
            properties.PARKED: format_time(utcnow()),
            **({properties.SHARED: None}
               if properties.SHARED in image else {})})

    def _evict(self, image: Image, step: Step) -> None:
        if self._courier is None:
            raise HepixVmError('Nothing can be made now.')
        # One that is there is of a time when Glance kept the bytes.
        kept = self._find(step.former.image_id if step.former
                          else self._courier.keep(image))
        type(self).checkpoint('kept')
        self._catalogue.update(kept['id'], {
            **self._sharing.like(kept, image), **made_of(kept, image)})
        try:
            self._catalogue.delete(image['id'])
        except Kept:
            self._catalogue.update(kept['id'], {'os_hidden': True})
            raise
        self._progress.line(
            f'{_what(step)}: its bytes are dropped, {kept["id"]} stands for '
            f'it')

    def _renew(self, image: Image, step: Step) -> None:
        if step.wanted is None:
            raise HepixVmError(f'{_what(step)} has no new version.')
        self._catalogue.update(image['id'], {
            name: value for name, value in renewal_of(step.wanted).items()
            if image.get(name) != value})

    def _find(self, image_id: str) -> Image:
        image = self._catalogue.find(image_id)
        if image is None:
            raise _Gone(f'The image {image_id} is gone.')
        return image


_ACTIONS: Mapping[Action, Callable[[Executor, Image, Step], None]] = {
    Action.DISCARD: Executor._discard, Action.SHARE: Executor._share,
    Action.REPLACE: Executor._replace, Action.HIDE: Executor._hide,
    Action.PARK: Executor._park, Action.EVICT: Executor._evict,
    Action.RENEW: Executor._renew,
}


def _list_of(chain: Chain) -> str:
    """Return the list whose image is brought in."""
    return next(step.wanted.image_list.identifier for step in chain
                if step.wanted)


def _what(step: Step) -> str:
    """Return what a step is about, as messages name it."""
    if step.wanted:
        return (f'image {step.wanted.entry.identifier} of the list '
                f'{step.wanted.image_list.identifier}')
    return f'image {step.present.image_id if step.present else "?"}'


def _event(kind: Kind, wanted: Wanted, image_id: str = '') -> Event:
    return Event(kind, utcnow(), wanted.image_list, wanted.entry, image_id,
                 wanted.name)
