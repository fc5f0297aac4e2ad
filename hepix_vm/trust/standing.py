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

"""What is done with an image that has its bytes already.

Its properties and its status are a display; they are made to say what the
verdict says, and are never asked for it. The one thing that is asked of
them is whether a verdict was reached before: what cannot be decided now
changes nothing that was decided.
"""

import dataclasses
import enum

from hepix_vm.errors import Code
from hepix_vm.trust.endorsement import STALE
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict


class State(enum.StrEnum):
    """The values of the property ``hepix_state``."""

    ENDORSED = 'endorsed'
    EXPIRED = 'expired'
    REVOKED = 'revoked'
    SUPERSEDED = 'superseded'  # its list has newer bytes
    BLOCKED = 'blocked'
    DERIVED = 'derived'
    ADOPTED = 'adopted'
    REFUSED = 'refused'  # for any other reason


# By the worst of the codes of a refusal; a block may be taken back.
_STATES = {
    Code.IMAGE_REVOKED: State.REVOKED, Code.SIGNER_REVOKED: State.REVOKED,
    Code.IMAGE_BLOCKED: State.BLOCKED,
    Code.IMAGE_SUPERSEDED: State.SUPERSEDED,
    Code.IMAGE_EXPIRED: State.EXPIRED, Code.LIST_EXPIRED: State.EXPIRED,
}
# A list that is too old is for whoever has the new one to judge.
_UNDECIDED = STALE | {Code.INTERNAL_ERROR, Code.LIST_ROLLBACK}
# With one of these an image was let in.
_LET_IN = frozenset({State.ENDORSED, State.DERIVED, State.ADOPTED})
_KNOWN = frozenset(State)


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What an image must become.

    :param usable: whether it may be active; None leaves that as it is
    :param state: what ``hepix_state`` must say, nothing if it must not
        be there; None leaves it as it is
    """

    usable: bool | None = None
    state: str | None = None


def change_for(verdict: Verdict, state: str) -> Change:
    """Return what becomes of an image after a verdict on its bytes.

    :param state: what ``hepix_state`` says now
    """
    if verdict.mode is Mode.DISABLED:
        return Change()
    if verdict.endorsed:
        return Change(True, State.ENDORSED)
    if verdict.exemption is Exemption.ADOPTED:
        return Change(True, State.ADOPTED)
    if verdict.exemption is Exemption.DERIVED:
        return Change(True, State.DERIVED)
    if verdict.exemption is Exemption.LEGACY:
        # It bears no mark: nothing was decided on it for good.
        return Change(True, '')
    late = undecided(verdict)
    if verdict.mode is Mode.PERMISSIVE or (late and state in _LET_IN):
        return Change()
    if late and state in _KNOWN:
        # Why it was refused is known already, and holds.
        return Change(False)
    return Change(False, state_of(verdict))


def undecided(verdict: Verdict) -> bool:
    """Return whether a refusal only says that nothing can be said now."""
    return bool(verdict.codes) and _UNDECIDED.issuperset(verdict.codes)


def state_of(verdict: Verdict) -> State:
    """Return what ``hepix_state`` says of a refusal."""
    return next((state for code, state in _STATES.items()
                 if code in verdict.codes), State.REFUSED)


def worst_first(verdict: Verdict) -> list[Reason]:
    """Return the reasons of a refusal, those first that give its state."""
    rank = {code: place for place, code in enumerate(_STATES)}
    return sorted(verdict.reasons,
                  key=lambda reason: rank.get(reason.code, len(rank)))
