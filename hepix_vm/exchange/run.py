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
"""What a run is given, and what comes of it."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.bring import Open
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.site import Site


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """Where lists are followed, and what is asked there.

    :param site: what the site decided
    :param projects: returns the ids of projects by what they are called
    :param in_use: returns images that servers use, or used within some
        days; or why that cannot be found out
    :param opened: opens the URL of an image
    :param bringer: tells who brings images in: runs of the same name are
        never at work at once
    :param bring_time: seconds after which a run begins with no more images
    :param journal: has each step that was carried out
    :param owner: the project of our account; empty if it has none
    """

    catalogue: Catalogue
    ledger: RestLedger
    site: Site
    projects: Callable[[Iterable[str]], Mapping[str, str]]
    in_use: Callable[[int], Collection[str] | HepixVmError]
    opened: Open
    bringer: str
    bring_time: float
    journal: Callable[[dict[str, Any]], None]
    owner: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a run is to do.

    :param only: UUIDs of lists; None for all
    :param fetched: identifiers of images that are brought in whatever was
        decided before: ``dc:identifier`` or Glance's id
    :param dry_run: whether nothing is changed
    """

    only: Collection[str] | None = None
    fetched: Collection[str] = ()
    dry_run: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """What came of a run.

    :param states: images by ``hepix_state``, as they were found
    :param outline: words for steps
    :param lists: UUIDs of the lists that were followed
    :param approvals: that operators have to give
    :param unknown: what was asked for and no list has
    """

    plan: Plan
    done: Done
    states: Mapping[str, int]
    outline: Outline
    lists: Sequence[str] = ()
    approvals: Sequence[Approval] = ()
    unknown: Sequence[str] = ()

    @property
    def refusals(self) -> Sequence[Refusal]:
        """What was refused, by the plan or when it came."""
        found = (*self.plan.refusals, *self.done.refusals)
        return list({str(refusal): refusal for refusal in found}.values())

    @property
    def summary(self) -> Sequence[str]:
        """A line for each list, and one for all."""
        return self.outline.summary(
            self.done, self.refusals, self.approvals, self.lists)


def still_open(made: Plan, done: Done) -> Sequence[Approval]:
    """Return what still waits for operators: what did not come does not."""
    absent = _brought(made.steps) - _brought(
        deed.step for deed in done.deeds)
    return [approval for approval in made.approvals
            if approval.entry.sha512 not in absent]


def _brought(steps: Iterable[Step]) -> set[str]:
    return {step.wanted.entry.sha512 for step in steps
            if step.action is Action.BRING and step.wanted}
