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

"""What is done with servers when their image may not be used any more.

A site says in ``policy.yaml`` how far it goes. Nothing is ever deleted, and
nothing is undone when the image may be used again.
"""

import dataclasses

from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust.standing import State

# In which an image is out of use.
ENDED = frozenset({
    State.EXPIRED, State.REVOKED, State.BLOCKED, State.SUPERSEDED,
    State.REFUSED})

# States of a server as nova.compute.vm_states names them, and its power
# state (nova.compute.power_state). It runs in more of them, but Nova stops
# it in these only.
_ACTIVE, _ERROR = 'active', 'error'
_RUNNING = 1
# In these it may run. In all others it does not, and its lock lets nobody
# but an administrator change that.
_CANNOT_BE_STOPPED = frozenset({'rescued', 'resized'})
# It is not on its host yet.
_BUILDING = 'building'


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """What is to be done with a server now.

    :param later: whether what the site wants cannot be done yet
    :param held_up: whether it cannot be stopped until somebody ends the state
        that it is in
    """

    lock: bool = False
    stop: bool = False
    later: bool = False
    held_up: bool = False


def measure(rules: RunningServers, state: str,
            unsure: bool = False) -> Measure | None:
    """Return what a site wants of the servers that run an image.

    :param state: of the image, as ``hepix_state`` says it
    :param unsure: whether it is only refused since nothing can be said of it
        now: a file or a record cannot be read, for example
    :returns: None if the image may be used
    """
    if state not in ENDED:
        return None
    if unsure and state == State.REFUSED:
        return Measure.REPORT
    found: Measure = getattr(rules, state)
    return found


def due(wanted: Measure, state: str, power: int | None,
        locked: bool) -> Due:
    """Return what is to be done with a server.

    :param wanted: what the site wants
    :param state: of the server (``vm_state``)
    :param power: its power state; None if that is not known
    :param locked: whether none but an administrator may unlock it
    """
    if wanted is Measure.REPORT:
        return Due()
    if state == _BUILDING:
        return Due(later=True)
    if wanted is Measure.LOCK:
        return Due(lock=not locked)
    return Due(not locked, held_up=state in _CANNOT_BE_STOPPED,
               stop=state == _ACTIVE or (
                   state == _ERROR and power == _RUNNING))
