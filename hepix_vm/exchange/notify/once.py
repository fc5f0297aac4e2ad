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
"""What each run finds again is told once, whoever is told."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib

from oslo_log import log as logging

from hepix_vm.exchange.event import Event
from hepix_vm.exchange.notify.told import about
from hepix_vm.exchange.notify.told import told_as
from hepix_vm.exchange.notify.told import ToldFile

LOG = logging.getLogger(__name__)

_QUEUE = 'once'


def tell(state_dir: str, events: Iterable[Event],
         teller: Callable[[Event], None]) -> None:
    """Tell of what was not told yet.

    Whoever is killed in between, or cannot remember what was told, tells it
    again: rather that than not at all.

    :param state_dir: where it is remembered
    :param teller: tells of one event
    """
    keys = {told_as(event, _QUEUE): event for event in events}
    file = ToldFile(state_dir, _QUEUE)
    known: set[str] = set()
    with _remembering(), file.open() as told:
        known = {key for key in keys if told.knows(key)}
    new = {key: event for key, event in keys.items() if key not in known}
    for event in new.values():
        teller(event)
    with _remembering(), file.open() as told:
        for key, event in new.items():
            told.add(key, about(event), event.at, [])


@contextlib.contextmanager
def _remembering() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        LOG.error('What was told cannot be remembered: %s', error)
