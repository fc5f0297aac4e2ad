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

"""What the gate wrote on images, as whoever may see an image reads it.

Properties are a display: they say what was decided last, and time goes on
since.
"""

from collections.abc import Collection
from collections.abc import Iterator
import dataclasses
import datetime
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.oneline import clean
from hepix_vm.properties import LONGEST
from hepix_vm.properties import reasons_in
from hepix_vm.properties import stored
from hepix_vm.trust.imagelist import parse_time
from hepix_vm.trust.standing import State
from hepix_vm.trust.verdict import Reason


def expiry(image: Image) -> datetime.datetime | None:
    """Return until when an image is endorsed, UTC; None if nothing says it."""
    try:
        return parse_time(text(image, 'hepix_expires'))
    except MalformedError:
        return None


def state(image: Image, at: datetime.datetime) -> str:
    """Return the state of an image; empty if it bears none.

    No sweep has to come for an endorsement to end.

    :param at: now, UTC
    """
    marked = text(image, 'hepix_state')
    until = expiry(image)
    if marked == State.ENDORSED and until and until <= at:
        return State.EXPIRED
    return marked


def text(image: Image, name: str) -> str:
    """Return an attribute or a property of an image; empty without it."""
    value: Any = image.get(name)
    return '' if value is None else str(value)


def flag(image: Image, name: str) -> bool | None:
    """Return a property that says yes or no; None without it."""
    return {'true': True, 'false': False}.get(text(image, name))


def reasons(image: Image, at: datetime.datetime) -> list[dict[str, str]]:
    """Return why an image is refused: code, message and remedy of each.

    :param at: now, UTC
    """
    if state(image, at) == State.EXPIRED != text(image, 'hepix_state'):
        return [Reason(Code.IMAGE_EXPIRED, 'The endorsement of this image '
                       f'ended at {line(image, "hepix_expires")}.').as_dict()]
    return [each.as_dict()
            for each in reasons_in(line(image, 'hepix_reason'))]


def line(image: Image, name: str) -> str:
    """Return the same as one line: others wrote it."""
    # Reasons are several sentences.
    return clean(text(image, name), LONGEST)


@dataclasses.dataclass(frozen=True, slots=True)
class Sought:
    """Which images are looked for; whatever is empty does not matter.

    :param endorser: distinguished name, as it is written on images
    :param until: those whose endorsement ends before then, and holds now
    """

    states: Collection[str] = ()
    endorser: str = ''
    vo: str = ''
    until: datetime.datetime | None = None

    def met(self, image: Image, at: datetime.datetime) -> bool:
        """Return whether an image is one of them.

        :param at: now, UTC
        """
        is_marked = bool(image.get('hepix_state')
                         or image.get('hepix_list_id'))
        end = expiry(image)
        return is_marked and (
            not self.states or state(image, at) in self.states) and all(
                text(image, name) == value
                for name, value in self._properties().items()) and (
                self.until is None or (
                    end is not None and at < end <= self.until
                    and state(image, at) == State.ENDORSED))

    def filters(self) -> list[dict[str, str]]:
        """Return what Glance is asked for, a dictionary a question.

        It filters by what is written, and by one value.
        """
        states = set(self.states)
        if State.EXPIRED in states:
            states.add(State.ENDORSED)
        if self.until:
            states = {State.ENDORSED}
        return [{**self._properties(), 'hepix_state': each}
                for each in sorted(states)] or [self._properties()]

    def _properties(self) -> dict[str, str]:
        found = {'hepix_endorser_dn': stored(self.endorser),
                 'hepix_vo': stored(self.vo)}
        return {name: value for name, value in found.items() if value}


def find(catalogue: Catalogue, sought: Sought, at: datetime.datetime,
         everywhere: bool = False) -> Iterator[Image]:
    """Yield the images that bear an endorsement, each once.

    :param at: now, UTC
    :param everywhere: whether those of all projects are wanted, and hidden
        ones, which only an administrator is shown
    :raises ServiceError: Glance does not say them all
    """
    if everywhere:
        catalogue.check_administrator()
    questions = sought.filters()
    # One that changes its state meanwhile would be there twice.
    seen: set[str] = set()
    for filters in questions:
        for image in catalogue.images(
                (False, True) if everywhere else (False,), messages=False,
                visibility='all' if everywhere else '', **filters):
            if image['id'] not in seen and sought.met(image, at):
                if len(questions) > 1:
                    seen.add(image['id'])
                yield image
