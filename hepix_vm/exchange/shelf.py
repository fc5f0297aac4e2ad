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
"""The shelf: images that are there are shown, replaced and put away."""

from collections.abc import Callable
from collections.abc import Mapping
import http
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.bring import Courier
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.catalogue import Kept
from hepix_vm.exchange.record import made_of
from hepix_vm.exchange.record import renewal_of
from hepix_vm.exchange.sharing import Sharing
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Step
from hepix_vm.gate import utcnow
from hepix_vm.held import LOCK
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.subscriptions import Share
from hepix_vm.trust.imagelist import format_time

_TRIES = 3
# Said when somebody else changed the image, or deleted it: one that is not
# shared any more has no members.
_MEANWHILE = (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.NOT_FOUND,
              http.HTTPStatus.CONFLICT)


class Gone(HepixVmError):
    """An image is not what the plan saw any more; the next one sees it."""


class Shelf:
    """Does the steps that change one image.

    :param courier: makes records; None where the plan needs none
    :param checkpoint: called with a name within a step
    :param owner: the project of our account; empty if it is not known
    """

    def __init__(self, catalogue: Catalogue, courier: Courier | None,
                 checkpoint: Callable[[str], None], owner: str) -> None:
        self._catalogue = catalogue
        self._sharing = Sharing(catalogue)
        self._courier = courier
        self._checkpoint = checkpoint
        self._owner = owner

    def change(self, step: Step, image_id: str) -> str:
        """Do a step with an image as it is now; others may change it too.

        :returns: the id of the record that it left in place, if it did
        :raises Gone: there is nothing to be done any more
        :raises Kept: Glance does not remove it
        :raises HepixVmError: it cannot be done now
        """
        left = _TRIES
        while True:
            try:
                return _ACTIONS[step.action](
                    self, self._find(image_id), step) or ''
            except ServiceError as error:
                left -= 1
                if (not left or error.status not in _MEANWHILE
                        or isinstance(error, Kept)):
                    raise

    def _discard(self, image: Image, step: Step) -> None:
        if image['status'] in STATUSES or LOCK in image:
            raise Gone('It has its bytes by now, or gets them.')
        self._catalogue.discard(image['id'])

    def _share(self, image: Image, step: Step) -> None:
        access = step.wanted and step.wanted.access
        if not access:
            raise HepixVmError('It is for nobody.')
        if access.share is Share.MEMBERS:
            self._sharing.share(image, access.projects)
            image = {**image, 'visibility': 'shared'}
        owner = access.owner
        if str(image.get(properties.SHARED, Share.PRIVATE)).startswith(
                Share.PRIVATE):
            # Whom it was for alone must not change what is for others.
            owner = owner or self._owner
        self._show(image, {
            'visibility': access.visibility, properties.SHARED: access.word,
            **({'owner': owner} if owner else {})})

    def _replace(self, image: Image, step: Step) -> None:
        """Let a version take the place of the former one.

        What operators made of that one holds on.
        """
        former = self._find(step.former.image_id if step.former else '')
        parked = properties.PARKED in former
        if parked and former['status'] in STATUSES:
            raise Gone(f'The image {former["id"]} was replaced already.')
        self._show(image, {
            **self._sharing.like(image, former),
            # What was evicted is the same image, for those who use it.
            **(made_of(image, former) if parked else {})})

    def _show(self, image: Image, values: Mapping[str, Any]) -> None:
        """Show an image; the word that it is shared comes with it."""
        wanted = {'os_hidden': False, **values,
                  **({properties.PARKED: None}
                     if properties.PARKED in image else {})}
        self._catalogue.update(image['id'], {
            name: value for name, value in wanted.items()
            if value is None or image.get(name) != value})

    def _hide(self, image: Image, step: Step) -> None:
        self._catalogue.update(image['id'], {
            'os_hidden': True, properties.PARKED: format_time(utcnow())})

    def _park(self, image: Image, step: Step) -> None:
        # At once: who could see it cannot, and none finds it half parked.
        self._catalogue.update(image['id'], {
            'os_hidden': True, 'visibility': 'private',
            properties.PARKED: format_time(utcnow()),
            **({properties.SHARED: None}
               if properties.SHARED in image else {})})

    def _evict(self, image: Image, step: Step) -> str:
        if self._courier is None:
            raise HepixVmError('Nothing can be made now.')
        # One that is there is of a time when Glance kept the bytes.
        kept = self._find(step.former.image_id if step.former
                          else self._courier.keep(image))
        self._checkpoint('kept')
        self._catalogue.update(kept['id'], {
            **self._sharing.like(kept, image), **made_of(kept, image)})
        try:
            self._catalogue.delete(image['id'])
        except Kept:
            self._catalogue.update(kept['id'], {'os_hidden': True})
            raise
        return str(kept['id'])

    def _renew(self, image: Image, step: Step) -> None:
        if step.wanted is None:
            raise HepixVmError('It has no new version.')
        self._catalogue.update(image['id'], {
            name: value for name, value in renewal_of(step.wanted).items()
            if image.get(name) != value})

    def _find(self, image_id: str) -> Image:
        image = self._catalogue.find(image_id)
        if image is None:
            raise Gone(f'The image {image_id} is gone.')
        return image


_ACTIONS: Mapping[Action, Callable[[Shelf, Image, Step], str | None]] = {
    Action.DISCARD: Shelf._discard, Action.SHARE: Shelf._share,
    Action.REPLACE: Shelf._replace, Action.HIDE: Shelf._hide,
    Action.PARK: Shelf._park, Action.EVICT: Shelf._evict,
    Action.RENEW: Shelf._renew,
}
