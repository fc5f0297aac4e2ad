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
"""What a run does, in lines for operators and in records for the journal.

Everything here is text made of values. What others wrote, titles and names,
is one line in quotes.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
from typing import Any

from hepix_vm.exchange.deeds import Deed
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.oneline import named
from hepix_vm.exchange.oneline import short
from hepix_vm.exchange.progress import amount
from hepix_vm.exchange.progress import counted
from hepix_vm.exchange.settle import done_to
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import described
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.model import ImageList


class Outline:
    """Words for steps, which know of lists by their UUIDs.

    :param lists: those that are known here, by UUID
    """

    def __init__(self, lists: Mapping[str, ImageList]) -> None:
        self._lists = lists
        self._titles = {
            (uuid, entry.identifier): entry.title
            for uuid, image_list in lists.items()
            for entry in image_list.images}

    def title_of(self, list_id: str) -> str:
        """Return what a list calls itself; empty if that is not known."""
        found = self._lists.get(list_id)
        return found.title if found else ''

    def image_title_of(self, step: Step) -> str:
        """Return what its list calls the image of a step, if that is known."""
        return step.wanted.entry.title if step.wanted else self._titles.get(
            (step.list_id, step.identifier), '')

    def subject(self, step: Step) -> str:
        """Return what a step is about, with what one needs to act on it."""
        if step.wanted:
            return described(step.wanted.image_list, step.wanted.entry)
        return ', '.join(filter(None, [self._listed(step), _in_glance(
            step.name, step.present.image_id if step.present else '?')]))

    def begun(self, step: Step) -> str:
        """Return the line of an image whose bytes begin to come."""
        return f'fetching {self._listed(step)}: {amount(step.bytes_in)}'

    def done(self, deed: Deed) -> str:
        """Return the line of a step that was carried out."""
        step = deed.step
        return _line(step.action, self._listed(step),
                     _in_glance(step.name, deed.image_id),
                     '; '.join([step.why, *_more(deed)]))

    def judged(self, held: Held, outcome: Outcome) -> str:
        """Return the line of an image that was made what it must be."""
        codes = ', '.join(outcome.verdict.codes)
        list_id = clean(held.extra.get('hepix_list_id', ''))
        identifier = clean(held.extra.get('hepix_image_id', ''))
        return _line(
            Action.SETTLE,
            self._of(self._titles.get((list_id, identifier), ''), identifier,
                     list_id),
            _in_glance(held.name, held.image_id),
            done_to(outcome) + (f' ({codes})' if codes else ''))

    def summary(self, done: Done, refusals: Iterable[Refusal],
                approvals: Iterable[Approval],
                followed: Iterable[str]) -> list[str]:
        """Return a line for each list, and one for all.

        :param refusals: of the plan, and of what came
        :param approvals: that operators have to give
        :param followed: UUIDs of the lists that were followed
        """
        tallies = {uuid: Tally() for uuid in followed}
        total = Tally()

        def of(uuid: str) -> tuple[Tally, Tally]:
            return tallies.setdefault(uuid, Tally()), total

        for deed in done.deeds:
            for each in of(deed.step.list_id):
                each.count(deed)
        for refusal in refusals:
            for each in of(refusal.image_list.identifier):
                each.refused.add(refusal.entry.identifier)
        for approval in approvals:
            for each in of(approval.image_list.identifier):
                each.waiting += 1
        for trouble in done.failures:
            for each in of(trouble.list_id):
                each.failed += 1
        for trouble in done.pending:
            for each in of(trouble.list_id):
                each.pending += 1
        return [*(f'list {named(self.title_of(uuid), uuid)}: {tally}'
                  for uuid, tally in tallies.items() if uuid),
                f'total: {total}']

    def _listed(self, step: Step) -> str:
        return self._of(
            self.image_title_of(step), step.identifier, step.list_id)

    def _of(self, title: str, identifier: str, list_id: str) -> str:
        image = short(title, f'image {identifier}') if identifier else ''
        return (f'{image} of {short(self.title_of(list_id), list_id)}'
                if image and list_id else image)


@dataclasses.dataclass
class Tally:
    """What came of a run for one list, or for all, in images."""

    came: set[str] = dataclasses.field(default_factory=set)
    revoked: set[str] = dataclasses.field(default_factory=set)
    superseded: set[str] = dataclasses.field(default_factory=set)
    stopped: set[str] = dataclasses.field(default_factory=set)
    started: set[str] = dataclasses.field(default_factory=set)
    changed: set[str] = dataclasses.field(default_factory=set)
    left: set[str] = dataclasses.field(default_factory=set)
    removed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    refused: set[str] = dataclasses.field(default_factory=set)
    waiting: int = 0
    pending: int = 0
    failed: int = 0

    def count(self, deed: Deed) -> None:
        """Count a step."""
        step = deed.step
        self.bytes_in += step.bytes_in
        self.bytes_out += step.bytes_out
        if step.action is Action.BRING:
            self.came.add(deed.image_id)
        elif step.action in (Action.EVICT, Action.DELETE):
            self.left.add(deed.image_id)
        elif step.action is Action.DISCARD:
            self.removed += 1
        elif step.action is Action.RECORD:
            (self.revoked if step.fact is Fact.REVOKED
             else self.superseded).add(deed.image_id)
        elif step.action is Action.SETTLE and step.why == 'deactivated':
            self.stopped.add(deed.image_id)
        elif step.action is Action.SETTLE and step.why == 'reactivated':
            self.started.add(deed.image_id)
        else:
            self.changed.add(deed.image_id)

    def __str__(self) -> str:
        gone = self.revoked | self.superseded
        stopped = len(self.stopped - gone)
        changed = len(self.changed - self.came - self.left - gone
                      - self.stopped - self.started)
        waiting = counted(self.waiting, 'image')
        return ', '.join(text for number, text in [
            (len(self.came), f'{counted(len(self.came), "image")} came in '
             f'({amount(self.bytes_in)})'),
            (len(self.revoked),
             f'{counted(len(self.revoked), "image")} revoked'),
            (len(self.superseded),
             f'{counted(len(self.superseded), "image")} superseded'),
            (stopped, f'{counted(stopped, "image")} taken out of use'),
            (len(self.started),
             f'{counted(len(self.started), "image")} put to use again'),
            (changed, f'{counted(changed, "image")} changed'),
            (len(self.left), f'{counted(len(self.left), "image")} left '
             f'({amount(self.bytes_out)})'),
            (self.removed, f'{counted(self.removed, "empty record")} removed'),
            (len(self.refused),
             f'{counted(len(self.refused), "image")} refused'),
            (self.waiting, f'{waiting} {_waits(self.waiting)} for approval'),
            (self.pending, f'{counted(self.pending, "import")} pending'),
            (self.failed, counted(self.failed, 'failure'))] if number
        ) or 'nothing to do'


def record_of(deed: Deed, at: datetime.datetime) -> dict[str, Any]:
    """Return a step that was carried out as the journal has it.

    :param at: UTC
    """
    step = deed.step
    more = {
        'image': deed.image_id, 'became': deed.became, 'name': step.name,
        'list': step.list_id, 'identifier': step.identifier,
        'former': step.former.image_id if step.former else '',
        'bytes_in': step.bytes_in, 'bytes_out': step.bytes_out}
    return {
        'time': format_time(at), 'event': 'step', 'step': str(step.action),
        'why': step.why,
        **{name: value for name, value in more.items() if value}}


def _more(deed: Deed) -> Iterable[str]:
    if deed.step.former:
        yield f'it takes the place of {deed.step.former.image_id}'
    if deed.became:
        yield f'{deed.became} stands for it'
    if deed.step.bytes_in or deed.step.bytes_out:
        yield amount(deed.step.bytes_in or deed.step.bytes_out)


def _line(action: Action, listed: str, where: str, why: str) -> str:
    return f'{action}: {f"{listed}, " if listed else ""}{where}: {why}'


def _in_glance(name: str, image_id: str) -> str:
    return f'in Glance {named(name, image_id)}'


def _waits(number: int) -> str:
    return 'waits' if number == 1 else 'wait'
