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

"""What is answered to whoever wants a server."""

import dataclasses

from hepix_vm.nova_ctx.bootable import IMAGE
from hepix_vm.trust.verdict import Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """Something that a server would boot from, or that names it.

    :param kind: ``image``, ``volume`` or ``snapshot``
    :param identifier: Glance's or Cinder's id
    :param owner: id of the project that owns it; empty if everybody may
        know of it
    """

    kind: str = IMAGE
    identifier: str = ''
    owner: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Something from which a server may not boot.

    :param named: what is refused
    :param missing: whether it is refused since it is not there
    :param led: what led to it, from what the request names on
    """

    verdict: Verdict
    named: Named = Named()
    missing: bool = False
    led: tuple[Named, ...] = ()

    @property
    def chain(self) -> tuple[Named, ...]:
        """What led to it, and it: who may not know of all is not told."""
        return (*self.led, self.named)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """Whether a server may boot.

    :param refusals: what it may not boot from
    :param unknown: why it cannot be told, if it cannot; then there are no
        refusals
    """

    refusals: tuple[Refusal, ...] = ()
    unknown: Verdict | None = None

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.refusals and self.unknown is None

    def explain(self) -> str:
        """Return the text that a refused user reads."""
        verdicts = [refusal.verdict for refusal in self.refusals]
        if self.unknown:
            verdicts.append(self.unknown)
        # Each once: a kernel may be named by several images.
        reasons = dict.fromkeys(
            reason for verdict in verdicts for reason in verdict.reasons)
        return Verdict(tuple(reasons)).explain()
