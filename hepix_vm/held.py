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

"""Images that have their bytes: what they must become now.

Whoever meets such an image, a request to change it, the sentinel or the
sweep, says here how Glance shows it, and carries out what comes back.
"""

from collections.abc import Mapping
import dataclasses
import datetime

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm import properties
from hepix_vm.trust.imagelist import parse_time
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Verdict

# Where an image can only be if it has its bytes.
STATUSES = ('active', 'deactivated')
# Of an import that goes on; its own plugin judges the image.
LOCK = 'os_glance_import_task'


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """An image as Glance shows it to an administrator.

    :param projects: names and ids of its owner, as far as they are known
    :param names_known: whether all of them are known
    :param created: UTC
    :param size: bytes as they are stored
    :param sha512: digest of the stored bytes as Glance computed it; empty
        where Glance computes another one
    :param extra: its properties
    :param withdrew: whether whoever judges it took it out of use just now
    """

    image_id: str
    status: str
    owner: str
    created: datetime.datetime
    projects: frozenset[str] = frozenset()
    names_known: bool = False
    visibility: str = ''
    disk_format: str = ''
    container_format: str = ''
    size: int | None = None
    sha512: str = ''
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    withdrew: bool = False
    name: str = ''

    @property
    def altered(self) -> bool:
        """Whether Glance stored other bytes than were endorsed."""
        return self.extra.get('hepix_altered') == 'true'

    @property
    def withdrawn(self) -> bool:
        """Whether it was us who took it out of use."""
        return self.status == 'deactivated' and (
            self.withdrew or self.extra.get(properties.WITHDRAWN) == 'true')

    @property
    def untold(self) -> bool:
        """Whether it is still to be told what became of it."""
        return properties.UNTOLD in self.extra

    def subject(self, at: datetime.datetime) -> Subject:
        """Return it as the core judges it.

        :param at: now, UTC
        """
        known = Subject(
            at=at, image_id=self.image_id,
            projects=self.projects | {self.owner},
            names_known=self.names_known, visibility=self.visibility,
            created=None if 'hepix_sha512' in self.extra else self.created,
            moment=Moment.KEEP,
            listed_by=self.extra.get('hepix_list_id', ''),
            endorsement=self.extra.get(properties.ENDORSEMENT, ''),
            disk_format=self.disk_format,
            container_format=self.container_format, size=self.size,
            sha512=self.sha512)
        came_as = self.extra.get('hepix_sha512', '')
        if self.altered and came_as:
            return dataclasses.replace(
                known, came_as=came_as, altered_by='Image conversion')
        return known if known.sha512 else dataclasses.replace(
            known, came_as=came_as)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What must be done with an image.

    :param status: what Glance's status must become; empty if it is right
    :param values: properties to set, or with None to remove
    """

    verdict: Verdict
    status: str
    values: Mapping[str, str | None]

    @property
    def nothing(self) -> bool:
        """Whether the image is as it must be."""
        return not self.status and not self.values


def judge(gate: Gate, held: Held, **who: str) -> Outcome:
    """Return what must be done; it is journalled if it is anything.

    :param who: what the journal says besides: route, user, request
    """
    case = Case(gate, held.subject(gate.now()), project=held.owner, **who)
    verdict = case.look()
    if _awaits_successor(held, verdict, gate):
        return Outcome(verdict, '', {})
    outcome = _outcome(verdict, held, gate)
    if not outcome.nothing:
        case.record(verdict, action=_ACTIONS.get(outcome.status, 'marked'))
    return outcome


def _awaits_successor(held: Held, verdict: Verdict, gate: Gate) -> bool:
    """Return whether newer bytes are to take the place of an image.

    It stays until they are there, which the ledger then says, but no longer
    than it was endorsed. So no version of an image takes what it replaces
    out of use by being late. What users made of the same bytes stays as
    long as ours.
    """
    extra = held.extra
    if (set(verdict.codes) != {Code.NOT_ENDORSED} or held.status != 'active'
            or extra.get('hepix_state') != standing.State.ENDORSED):
        return False
    uuid = extra.get('hepix_list_id', '')
    site = gate.site()
    accepted = site.accepted.by_uuid.get(uuid)
    if accepted is None or not (
            _on_the_shelf(extra) if properties.SUBSCRIPTION in extra
            # Nobody would say that the wait of a list by hand is over.
            else any(block.following and block.subscription.uuid == uuid
                     for block in site.subscriptions.blocks)):
        return False
    image_list = accepted.signed.image_list
    try:
        until = parse_time(extra.get('hepix_expires', ''))
    except MalformedError:
        return False
    return (image_list.find(extra.get('hepix_image_id', '')) is not None
            and gate.now() < min(until, image_list.expires))


def _on_the_shelf(extra: Mapping[str, str]) -> bool:
    """Return whether users see an image of ours."""
    return properties.SHARED in extra and properties.PARKED not in extra


_ACTIONS = {'active': 'reactivated', 'deactivated': 'deactivated'}


def next_status(verdict: Verdict, held: Held) -> str:
    """Return what Glance's status must become; empty if it is right."""
    state = held.extra.get('hepix_state', '')
    change = standing.change_for(verdict, state)
    if change.usable is False and held.status == 'active':
        return 'deactivated'
    if change.usable and held.withdrawn:
        return 'active'
    return ''


def refuse(verdict: Verdict, held: Held) -> Outcome:
    """Return what must be done with an image that is refused for certain.

    :param verdict: in mode enforcing, of whoever knows what speaks against
        the image and nothing else
    """
    return _outcome(verdict, held)


def _outcome(verdict: Verdict, held: Held,
             gate: Gate | None = None) -> Outcome:
    if verdict.mode is Mode.DISABLED:
        return Outcome(verdict, '', {})
    state = held.extra.get('hepix_state', '')
    change = standing.change_for(verdict, state)
    status = next_status(verdict, held)
    ours = {name: value for name, value in held.extra.items()
            if properties.is_ours(name)}
    wanted = dict(ours)
    if verdict.endorsed or verdict.exemption is Exemption.DERIVED:
        wanted = properties.of_verdict(
            verdict, held.altered,
            gate is not None and gate.settings.require_trait)
        wanted.pop(properties.ENDORSEMENT, None)
        wanted |= {name: ours[name] for name in properties.KEPT
                   if name in ours}
        # Of what was converted, only the digest is on record.
        if verdict.size is None and 'hepix_size' in ours:
            wanted['hepix_size'] = ours['hepix_size']
    elif change.usable:
        wanted = {name: value for name, value in ours.items()
                  if name not in ('hepix_state', 'hepix_reason')}
        if change.state:
            wanted['hepix_state'] = change.state
    elif change.state is not None:
        wanted |= properties.of_refusal(verdict, change.state)
    wanted.pop(properties.WITHDRAWN, None)
    if status == 'deactivated' or (held.withdrawn and not status):
        wanted[properties.WITHDRAWN] = 'true'
    if state:
        # Such as architecture: it was written once, and is the owner's.
        wanted = {name: value for name, value in wanted.items()
                  if properties.is_ours(name)
                  or name == properties.CONFIG_DRIVE}
    return Outcome(verdict, status, {
        name: wanted.get(name) for name in ours.keys() | wanted.keys()
        if held.extra.get(name) != wanted.get(name)})
