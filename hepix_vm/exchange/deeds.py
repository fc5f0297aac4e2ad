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
"""What came of a plan."""

import dataclasses

from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Refusal


@dataclasses.dataclass(frozen=True, slots=True)
class Deed:
    """A step that was carried out.

    :param image_id: Glance's id of the image that it was about
    :param became: id of the record that stands for it now; empty if it is
        the same
    """

    step: Step
    image_id: str
    became: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """What could not be done, or not yet.

    :param list_id: UUID of the list that it was for; empty if there is none
    :param text: one line
    """

    list_id: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass
class Done:
    """What came of a plan.

    :param pending: what goes on without us
    :param notes: what could not be removed
    """

    deeds: list[Deed] = dataclasses.field(default_factory=list)
    refusals: list[Refusal] = dataclasses.field(default_factory=list)
    failures: list[Trouble] = dataclasses.field(default_factory=list)
    pending: list[Trouble] = dataclasses.field(default_factory=list)
    notes: list[Trouble] = dataclasses.field(default_factory=list)
