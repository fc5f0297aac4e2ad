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

"""Settling: an image that has its bytes is made what its verdict says.

The sweep does so with all images, and who follows lists with those that he
touches. Several may be at work at once: each judges an image anew before
it is touched, and again afterwards.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import logging
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import MalformedError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import Search
from hepix_vm.gate import utcnow
from hepix_vm.held import Held
from hepix_vm.held import judge
from hepix_vm.held import LOCK
from hepix_vm.held import Outcome
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.site import Site
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

LOG = logging.getLogger(__name__)

_TRIES = 10
# Said when nobody but somebody else changed the image, or deleted it.
_MEANWHILE = (404, 409)

# Told of each change: the image as it was, and what became of it.
Changed = Callable[[Held, Outcome], None]


class Settler:
    """Judges images by what the site's files said when it was made.

    :param catalogue: the images
    :param ledger: their Glance's ledger
    :param site: what the site decided
    :param changed: called after each change
    :param lacking: returns what an image lacks besides what its verdict
        says, to be set with that
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger, site: Site,
                 changed: Changed, lacking: Callable[
                     [Image], Mapping[str, Any]] = lambda image: {}) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._changed = changed
        self._lacking = lacking
        # Nothing is done before it was judged again at that time.
        self.gate = SteadyGate(site, ledger.search, journalled=False,
                               moment=utcnow())
        self._acting = SteadyGate(site, ledger.search_now)
        self._asking = SteadyGate(site, ledger.search_now, journalled=False)

    def begin(self, dry_run: bool) -> None:
        """Make sure that images can be judged, and mark versions of lists.

        From then on no controller acts on an older one.

        :raises HepixVmError: nothing can be judged at all
        """
        self._catalogue.check_administrator()
        # These records concern every image: if one of them cannot be read,
        # no image is refused for that.
        self._ledger.search([records.name_of(None, '')])
        site = self.gate.site()
        at = self.gate.now()
        for uuid, accepted in site.accepted.by_uuid.items():
            version = accepted.signed.image_list.version
            if compare_versions(version, self.newest(uuid)) > 0 and not (
                    dry_run or accepted.signed.reasons(
                        site.anchors, at, site.trust)):
                self._ledger.write(Record(
                    Fact.ACCEPTED, Blockable.LIST, uuid, 'It is accepted '
                    'on a controller.', SERVICE, at, version=version))
        self._agree_on_holders(dry_run)
        if not dry_run:
            self._take_back()

    def _take_back(self) -> None:
        """Lift what lists said of bytes that they have again.

        While they have them it does not count; and when they have other
        bytes one day, these stay in use until the others are there.
        """
        by_uuid = self.gate.site().accepted.by_uuid
        for uuid in self._current():
            image_list = by_uuid[uuid].signed.image_list
            said = self._ledger.search({
                records.name_of(Blockable.SHA512, entry.sha512)
                for entry in image_list.images})
            for record in said:
                if (record.fact in (Fact.SUPERSEDED, Fact.REVOKED)
                        and record.image_list == uuid
                        and not record.lifted and compare_versions(
                            record.version, image_list.version) < 0):
                    self._ledger.lift(
                        record, f'{SERVICE}: version {image_list.version} of '
                        f'the list has it again')

    def _current(self) -> set[str]:
        """Return the lists of which no controller has a newer version."""
        return {
            uuid for uuid, each
            in self.gate.site().accepted.by_uuid.items()
            if compare_versions(each.signed.image_list.version,
                                self.newest(uuid)) >= 0}

    def _agree_on_holders(self, dry_run: bool) -> None:
        """Tell the ledger which list was first to have an image; or ask it.

        All controllers judge by that, whatever each was there to see.
        """
        accepted = self.gate.site().accepted
        holders = accepted.holders
        current = self._current()
        for image in tuple(holders.known):
            try:
                found = self._searched(image)
            except MalformedError as error:
                # Its bytes are refused until it is corrected.
                LOG.error('%s %s', error.message, error.remedy)
                continue
            ours = None if dry_run else holders.untold(image, found)
            if ours:
                self._ledger.write(Record(
                    Fact.HELD, Blockable.IMAGE, image, 'It was the first '
                    'list to have it, and others have it too.', SERVICE,
                    ours.since or self.gate.now(),
                    image_list=ours.image_list))
            for record in () if dry_run else holders.outdated(
                    image, found, current):
                self._ledger.lift(
                    record, f'{SERVICE}: the list has it no more')
            holders.learn(image, records.Ledger(self._searched(image)))

    def _searched(self, image: str) -> list[Record]:
        return self._ledger.search([records.name_of(Blockable.IMAGE, image)])

    def newest(self, uuid: str) -> str:
        """Return the highest version of a list that any controller has."""
        return newest(self._ledger.search, uuid)

    def look(self, held: Held) -> Outcome:
        """Return what must be done with an image; nothing is journalled.

        What somebody else took out of use is judged as if he had not: he
        ended nothing that runs. It is not to be settled.
        """
        return judge(self.gate, _as_used(held))

    def look_now(self, image_id: str) -> tuple[Held, Outcome] | None:
        """Judge an image as it is now, by the ledger as it is now.

        :returns: the image, and what must be done with it, as :meth:`look`
            has it; None if there is none, or an import holds it
        """
        image = self._catalogue.find(image_id)
        if image is None or image['status'] not in STATUSES:
            return None
        held = _as_used(held_of(image))
        if LOCK in held.extra:
            return None
        return held, judge(self._asking, held)

    def settle(self, image_id: str) -> bool:
        """Change an image until it is as it must be.

        Glance saves whole rows: who saves an image that he read before we
        changed it puts it back.

        :returns: whether there was anything to change
        """
        withdrew = False
        differs: set[str] = set()
        image: Image | None = None
        for _ in range(_TRIES):
            image = image or self._catalogue.find(image_id)
            if image is None or image['status'] not in STATUSES:
                return bool(differs)
            # What we take out of use here may not be marked yet.
            held = dataclasses.replace(held_of(image), withdrew=withdrew)
            if LOCK in held.extra or not concerns_us(held):
                return bool(differs)
            outcome = judge(self._acting, held, route='sweep')
            values = {**outcome.values, **self._lacking(image)}
            if held.untold:
                values[properties.UNTOLD] = None
            if not outcome.status and not values:
                return bool(differs)
            withdrew = withdrew or outcome.status == 'deactivated'
            differs = {*values, *(['status'] if outcome.status else [])}
            image = None
            try:
                image = self._apply(held, outcome, values)
            except ServiceError as error:
                if error.status not in _MEANWHILE and (
                        self._status(image_id) == held.status):
                    raise
        raise HepixVmError(
            f'The image {image_id} changes too often to be settled; what '
            f'differs each time is {", ".join(sorted(differs))}.',
            remedy='The next sweep tries again.')

    def _status(self, image_id: str) -> str:
        """Return the status of an image, empty if it is gone.

        Glance answers 500 to the second of two deactivations at once.
        """
        image = self._catalogue.find(image_id)
        return str(image['status']) if image else ''

    def _apply(self, held: Held, outcome: Outcome,
               values: Mapping[str, Any]) -> Image | None:
        """Change an image.

        :returns: how it is now; None if that is to be looked at
        """
        # Taking an image out of use does not wait for its properties, which
        # Glance may not take.
        if outcome.status == 'deactivated':
            self._catalogue.deactivate(held.image_id)
        elif outcome.status:
            self._catalogue.reactivate(held.image_id)
        if outcome.status:
            self._changed(held, outcome)
        image = self._catalogue.update(held.image_id, values) if values else (
            None)
        if outcome.status:
            return None
        # Of a mark alone the answer is enough, and saves one request an
        # image where a list has a new version.
        self._changed(held, outcome)
        return image


def newest(search: Search, uuid: str) -> str:
    """Return the highest version of a list that any controller has.

    :param search: returns the ledger's records of some names
    """
    return records.Ledger(search(
        [records.name_of(Blockable.LIST, uuid)])).newest(uuid)


def concerns_us(held: Held) -> bool:
    """Return whether an image is active, or was taken out of use by us."""
    return held.status == 'active' or held.withdrawn


def _as_used(held: Held) -> Held:
    """Return an image as it were if none but us took it out of use."""
    return held if concerns_us(held) else dataclasses.replace(
        held, status='active')


def done_to(outcome: Outcome) -> str:
    """Return what is done with an image, in one word."""
    return {'': 'marked', 'active': 'reactivated'}.get(
        outcome.status, outcome.status)
