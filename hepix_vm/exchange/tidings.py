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

"""What is told of images: when their state changes, or what a run finds."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import datetime

from hepix_vm.errors import Code
from hepix_vm.exchange.event import Affected
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.site import Site
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.running import ENDED
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Reason

_KINDS: Mapping[str, Kind] = {
    standing.State.EXPIRED: Kind.IMAGE_EXPIRED,
    standing.State.REVOKED: Kind.IMAGE_REVOKED,
    standing.State.BLOCKED: Kind.IMAGE_BLOCKED,
    standing.State.SUPERSEDED: Kind.IMAGE_SUPERSEDED,
    standing.State.ENDORSED: Kind.IMAGE_ENDORSED,
    standing.State.REFUSED: Kind.IMAGE_REFUSED}

# What is no news of an image that is out of use for one of these reasons. A
# block may be taken back, a revocation is not.
_NO_NEWS = {Kind.IMAGE_REVOKED: ENDED - {standing.State.BLOCKED},
            Kind.IMAGE_REFUSED: ENDED}


def event_of(held: Held, outcome: Outcome, site: Site,
             at: datetime.datetime) -> Event | None:
    """Return what is to be told of a change, if it is news.

    :param at: UTC
    """
    marked = held.extra.get('hepix_state', '')
    state = outcome.values.get('hepix_state') or marked
    before = '' if held.untold else marked
    kind = _KINDS.get(state)
    if kind is None or state == before or (
            before in _NO_NEWS.get(kind, ())) or (
            # It was just let in, which is told by whoever let it in.
            not before and kind is Kind.IMAGE_ENDORSED):
        return None
    image_list, entry = _named(held, outcome, site)
    return Event(kind, at, image_list, entry, held.image_id, held.name,
                 reasons=outcome.verdict.reasons,
                 list_uuid=held.extra.get('hepix_list_id', ''))


def of_server(kind: Kind, server: Affected, held: Held, outcome: Outcome,
              site: Site, at: datetime.datetime, message: str) -> Event:
    """Return what is to be told of a server that runs an image.

    :param held: the image
    :param at: UTC
    """
    image_list, entry = _named(held, outcome, site)
    return Event(kind, at, image_list, entry, held.image_id, held.name,
                 reasons=outcome.verdict.reasons, message=message,
                 list_uuid=held.extra.get('hepix_list_id', ''),
                 server=server)


def found(refusals: Iterable[Refusal], approvals: Iterable[Approval],
          at: datetime.datetime) -> Iterator[Event]:
    """Yield what each run finds until somebody does something about it.

    :param at: UTC
    """
    for refusal in refusals:
        # Of images of another list it is told when the list is looked at.
        if refusal.code is not Code.UUID_CONFLICT:
            yield Event(
                Kind.IMAGE_REFUSED, at, refusal.image_list, refusal.entry,
                reasons=(Reason(refusal.code, refusal.message,
                                cure=refusal.remedy),)
                if refusal.code else (), message='' if refusal.code
                else f'{refusal.message} {refusal.remedy}')
    for approval in approvals:
        yield Event(
            Kind.IMAGE_WAITS, at, approval.image_list, approval.entry,
            message=f'Approve it with {approval.command}.')


def _named(held: Held, outcome: Outcome, site: Site,
           ) -> tuple[ImageList | None, ImageEntry | None]:
    """Return list and entry of an image.

    A list that dropped an image has nothing on it any more, and what was
    written to the image when it came has to do.
    """
    if endorsement := outcome.verdict.endorsement:
        return endorsement.image_list, endorsement.entry
    extra = held.extra
    accepted = site.accepted.by_uuid.get(extra.get('hepix_list_id', ''))
    identifier = extra.get('hepix_image_id', '')
    return accepted.signed.image_list if accepted else None, ImageEntry(
        identifier, held.size or 0, extra.get('hepix_sha512', held.sha512),
        extra.get('hepix_image_version', ''), extra.get('hepix_uri', ''),
        extra.get('hepix_hypervisor', ''), arch=extra.get('architecture', ''),
        os=extra.get('os_distro', ''), osversion=extra.get('os_version', '')
    ) if identifier else None
