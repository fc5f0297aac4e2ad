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

"""What a site knows of the image lists that it follows, without a cloud."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
import enum

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import TrustError
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange.store import Note
from hepix_vm.exchange import transport
from hepix_vm.site import Site
from hepix_vm.subscriptions import Block
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.endorsement import STALE
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.policy import list_dates
from hepix_vm.trust.verdict import Reason


class Standing(enum.StrEnum):
    """What a list is worth here now."""

    CURRENT = 'current'
    STALE = 'stale'  # a CRL or its signer is late
    EXPIRED = 'expired'
    REFUSED = 'refused'  # for any other reason
    NOT_PINNED = 'not-pinned'  # signed by nobody who may
    NOT_FETCHED = 'not-fetched'
    NOT_SUBSCRIBED = 'not-subscribed'  # any more


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A list that is subscribed, or was.

    :param url: from where it is fetched; empty for what is brought by hand
    :param signed: the version that is stored, if there is one
    :param reasons: why it is not :attr:`Standing.CURRENT`
    :param note: what the last run left
    """

    uuid: str
    standing: Standing
    url: str = ''
    signed: SignedList | None = None
    reasons: tuple[Reason, ...] = ()
    note: Note = Note()

    @property
    def image_list(self) -> ImageList | None:
        """What the stored version says."""
        return self.signed.image_list if self.signed else None

    @property
    def title(self) -> str:
        """What it calls itself."""
        return self.signed.image_list.title if self.signed else ''


@dataclasses.dataclass(frozen=True, slots=True)
class Former:
    """A version that another one replaced.

    :param replaced: when that was, UTC
    :param image_list: None if it cannot be read any more
    """

    replaced: datetime.datetime
    image_list: ImageList | None


def inventory(site: Site, store: ListStore,
              at: datetime.datetime) -> list[Listed]:
    """Return all lists that are subscribed, and then what else is stored.

    :param at: the time to judge for, UTC
    :raises ConfigError: a stored list cannot be read
    """
    blocks = site.subscriptions.blocks
    known = {block.subscription.uuid for block in blocks}
    try:
        return [
            *(_subscribed(block, site, store, at) for block in blocks),
            *(_left(uuid, site.trust, store) for uuid in store.uuids()
              if uuid not in known)]
    except OSError as error:
        raise unreadable(error) from error


def find(lists: Iterable[Listed], named: str) -> Listed:
    """Return the list that somebody means.

    :param named: its UUID, which comes first, or its title
    :raises HepixVmError: there is none, or there are several of the title
    """
    lists = list(lists)
    found = [each for each in lists if each.uuid == named.lower()] or [
        each for each in lists if named and each.title == named]
    if len(found) == 1:
        return found[0]
    if found:
        uuids = ', '.join(each.uuid for each in found)
        raise HepixVmError(
            f'{len(found)} lists are called {clean(named)}: {uuids}.',
            remedy='Give the UUID of the one that is meant.')
    raise HepixVmError(
        f'No list {clean(named)} is known here.',
        remedy='Give the UUID or the title of one: openstack image catalog '
               'list.')


def reasons_against(signed: SignedList, site: Site,
                    at: datetime.datetime) -> list[Reason]:
    """Return why a signed list may not be relied upon at a time.

    Whether its signer is pinned is not looked at.

    :param at: UTC
    """
    return [*signed.reasons(site.anchors, at, site.trust),
            *list_dates(signed.image_list, at)]


def formers(store: ListStore, uuid: str,
            settings: TrustSettings) -> list[Former]:
    """Return the versions of a list that were replaced, the first one first.

    :raises ConfigError: one cannot be read
    """
    try:
        return [Former(replaced, found.image_list if found else None)
                for replaced, message in store.previous(uuid)
                for found in (opened(message, settings),)]
    except OSError as error:
        raise unreadable(error) from error


def _subscribed(block: Block, site: Site, store: ListStore,
                at: datetime.datetime) -> Listed:
    uuid = block.subscription.uuid
    listed = Listed(
        uuid, Standing.NOT_FETCHED, note=store.note(uuid),
        url=transport.shown(block.following.url) if block.following else '')
    message = store.read(uuid)
    if message is None:
        return listed
    accepted = site.accepted.by_uuid.get(uuid)
    signed = accepted.signed if accepted else None
    try:
        if signed is None:
            signed = endorsement.open_list(message, site.trust)
            endorsement.accept(message, block.subscription, site.trust)
        reasons = reasons_against(signed, site, at)
    except TrustError as error:
        reasons = [Reason.of(error)]
    return dataclasses.replace(
        listed, standing=_standing(reasons), signed=signed,
        reasons=tuple(reasons))


def _left(uuid: str, settings: TrustSettings, store: ListStore) -> Listed:
    """Return a list that is stored, and not subscribed any more."""
    return Listed(uuid, Standing.NOT_SUBSCRIBED, note=store.note(uuid),
                  signed=opened(store.read(uuid) or b'', settings))


def opened(message: bytes, settings: TrustSettings) -> SignedList | None:
    """Return the list that a stored message is, if it can be read."""
    try:
        return endorsement.open_list(message, settings)
    except TrustError:
        return None


def _standing(reasons: Sequence[Reason]) -> Standing:
    codes = {reason.code for reason in reasons}
    if not codes:
        return Standing.CURRENT
    if codes <= STALE:
        return Standing.STALE
    if codes <= STALE | {Code.LIST_EXPIRED}:
        return Standing.EXPIRED
    return (Standing.NOT_PINNED if Code.ENDORSER_NOT_ACCEPTED in codes
            else Standing.REFUSED)


def unreadable(error: OSError) -> ConfigError:
    """Return what is said of a stored list that cannot be read."""
    return ConfigError(
        f'It cannot be read: {error.strerror}.', error.filename,
        remedy='Run the command as the user to whom state_dir belongs.')
