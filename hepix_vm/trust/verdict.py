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

"""The one answer that hooks, commands and reports share."""

import dataclasses
import datetime
import enum
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import REMEDIES
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.model import Endorsement

if TYPE_CHECKING:
    from hepix_vm.trust.settings import Override


class Mode(enum.StrEnum):
    """What a verdict does; the strictest first."""

    ENFORCING = 'enforcing'
    PERMISSIVE = 'permissive'
    DISABLED = 'disabled'


class Exemption(enum.StrEnum):
    """Why an image may stay though nobody endorsed it."""

    ADOPTED = 'adopted'  # an operator said so
    LEGACY = 'legacy'  # it is older than the gate
    DERIVED = 'derived'  # it was made from a server of this cloud


# What a list says may be long; a sentence that repeats it may not.
_LONGEST = 600  # characters of a message


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal.

    :param message: one plain sentence that the user can act on
    :param since: since when it holds, where that is known (UTC)
    :param cure: what to do about it; empty for what the code says
    """

    code: Code
    message: str
    since: datetime.datetime | None = None
    cure: str = ''

    def __post_init__(self) -> None:
        if len(self.message) > _LONGEST:
            object.__setattr__(
                self, 'message', f'{self.message[:_LONGEST]}...')

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.cure or REMEDIES[self.code]

    @classmethod
    def of(cls, error: HepixVmError) -> 'Reason':
        """Return the reason that an error stands for."""
        return cls(error.code, error.message)

    def as_dict(self) -> dict[str, str]:
        """Return it as the journal and the notifications carry it."""
        return {'code': str(self.code), 'message': self.message,
                'remedy': self.remedy}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an image may be used, and why not.

    :param reasons: all reasons against it; none means endorsed
    :param endorsement: the endorsement that was judged, if there was one
    :param mode: whether the reasons are enforced
    :param sha512: digest of the bytes that were judged, if they were read
    :param size: their number
    :param exemption: why it may stay in spite of the reasons
    :param override: what an operator said by which it may be used although
        it expired
    """

    reasons: tuple[Reason, ...]
    endorsement: Endorsement | None = None
    mode: Mode = Mode.ENFORCING
    sha512: str = ''
    size: int | None = None
    exemption: Exemption | None = None
    override: 'Override | None' = None

    @property
    def endorsed(self) -> bool:
        """Whether nothing speaks against the image."""
        return not self.reasons

    @property
    def unknown(self) -> bool:
        """Whether all that speaks against it is that nobody endorsed it."""
        return set(self.codes) == {Code.NOT_ENDORSED}

    @property
    def allowed(self) -> bool:
        """Whether the image may pass, in the mode that is set."""
        return (self.endorsed or self.exemption is not None
                or self.mode is not Mode.ENFORCING)

    @property
    def codes(self) -> tuple[Code, ...]:
        """The codes of all reasons."""
        return tuple(reason.code for reason in self.reasons)

    def explain(self) -> str:
        """Return the text that a refused user reads."""
        return 'Refused by the image trust policy of this cloud: ' + (
            ' '.join(f'[{r.code}] {r.message} {r.remedy}'
                     for r in self.reasons))

    def as_dict(self) -> dict[str, Any]:
        """Return it as the journal and the notifications carry it."""
        found: dict[str, Any] = {
            'allowed': self.allowed, 'endorsed': self.endorsed,
            'mode': str(self.mode),
            'reasons': [r.as_dict() for r in self.reasons]}
        if self.exemption:
            found['exemption'] = str(self.exemption)
        if self.override:
            found['override'] = {
                'until': format_time(self.override.until),
                'reason': self.override.reason,
                'author': self.override.author}
        return found
