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
"""What a plan is made of, and of what it is made."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import enum

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.present import Present
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Wanted
from hepix_vm.subscriptions import Following
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason


class Action(enum.StrEnum):
    """What a step does; their names are those that users read."""

    SETTLE = 'judge'  # make it what the verdict on it says
    RECORD = 'record'  # write it into the ledger
    BRING = 'bring'  # record and bytes of a new image
    DISCARD = 'discard'  # remove a record that never had its bytes
    REPLACE = 'replace'  # take over what users see of the former version
    SHARE = 'share'  # show it to whom it is for
    HIDE = 'hide'  # from lists of images, and from nobody else
    PARK = 'park'  # hidden, and shared with nobody
    EVICT = 'evict'  # bytes dropped, record kept
    RENEW = 'renew'  # that record stands for the new version
    DELETE = 'delete'


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step, which may be done again.

    :param present: the image that it is about, if it is there already
    :param wanted: what that is to be
    :param former: the version that it replaces, or the record that stands
        for it
    :param fact: what is recorded
    :param image_list: by which list
    :param why: in a few words
    """

    action: Action
    present: Present | None = None
    wanted: Wanted | None = None
    former: Present | None = None
    fact: Fact | None = None
    image_list: ImageList | None = None
    why: str = ''

    @property
    def list_id(self) -> str:
        """UUID of the list that it is done for; empty if there is none."""
        if self.wanted:
            return self.wanted.image_list.identifier
        present = self.present
        return (present.subscription or present.list_id) if present else ''

    @property
    def identifier(self) -> str:
        """``dc:identifier`` of the image; empty if it has none."""
        if self.wanted:
            return self.wanted.entry.identifier
        return self.present.identifier if self.present else ''

    @property
    def name(self) -> str:
        """What the image is called in Glance."""
        if self.present:
            return self.present.name
        return self.wanted.name if self.wanted else ''

    @property
    def codes(self) -> tuple[Code, ...]:
        """Why a verdict demands it."""
        present = self.present
        return (present.codes if present and self.action is Action.SETTLE
                else ())

    @property
    def bytes_in(self) -> int:
        """Bytes that come into Glance."""
        return (self.wanted.entry.size if self.wanted
                and self.action is Action.BRING else 0)

    @property
    def bytes_out(self) -> int:
        """Bytes that leave it."""
        return (self.present.size if self.present and self.action in (
            Action.EVICT, Action.DELETE) else 0)


# Steps of which each needs the one before.
Chain = tuple[Step, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and what is not done, and why.

    :param chains: those that bring nothing in come first
    :param notes: what could not be found out, one sentence each
    :param approvals: that operators have to give, of images that are there
        or are brought in
    """

    chains: tuple[Chain, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()

    @property
    def steps(self) -> Sequence[Step]:
        """All steps."""
        return [step for chain in self.chains for step in chain]


@dataclasses.dataclass(frozen=True, slots=True)
class Knowledge:
    """What a plan is made of besides the images.

    :param now: UTC
    :param lists: those on which this controller may act, by UUID
    :param waiting: UUIDs of lists that are subscribed, but not known here
        as they are elsewhere; their images are left as they are
    :param following: how lists are followed, by UUID
    :param listed: digests that any accepted list has
    :param unseen: whether another controller has a list, or a version of
        it, that is not here; then nothing is recorded for good
    :param recorded: what the ledger says of a digest, lifted or not
    :param refused: why bytes would be refused if they came now
    :param in_use: images that a server used within some days, or uses now;
        or why that cannot be found out
    :param only: UUIDs of the lists that are followed in this run; None for
        all
    :param fetched: digests that somebody asked for
    :param max_bytes: that all images may take
    """

    now: datetime.datetime
    lists: Mapping[str, ImageList]
    waiting: Collection[str]
    following: Mapping[str, Following]
    listed: Collection[str]
    recorded: Callable[[str], Sequence[Record]]
    refused: Callable[[Wanted], Sequence[Reason]]
    in_use: Callable[[int], Collection[str] | HepixVmError]
    only: Collection[str] | None = None
    fetched: Collection[str] = ()
    max_bytes: int | None = None
    unseen: bool = False
