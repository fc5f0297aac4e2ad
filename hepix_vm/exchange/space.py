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

"""What the images of lists take in Glance, and may take."""

import collections
from collections.abc import Iterable
from collections.abc import Sequence

from hepix_vm.errors import Code
from hepix_vm.exchange.present import Present
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Wanted


class Space:
    """Bytes in Glance, by the list for which they came.

    What is hidden takes as much as what is shown, and counts.

    :param images: those that are ours
    :param most: that all may take; None is no limit
    """

    def __init__(self, images: Iterable[Present], most: int | None) -> None:
        self._most = most
        self._taken: collections.Counter[str] = collections.Counter()
        self._hidden: collections.Counter[str] = collections.Counter()
        for image in images:
            self._taken[image.subscription] += image.size
            if image.parked:
                self._hidden[image.subscription] += image.size

    def leave(self, image: Present) -> None:
        """Count with the removal of an image."""
        self._taken[image.subscription] -= image.size
        if image.parked:
            self._hidden[image.subscription] -= image.size

    def take(self, wanted: Wanted, leaving: Iterable[Present]) -> None:
        """Count with an image that comes in.

        :param leaving: what is removed when it is there
        """
        self._taken[wanted.image_list.identifier] += wanted.entry.size
        for image in leaving:
            self.leave(image)

    def lack(self, wanted: Wanted,
             leaving: Sequence[Present]) -> list[Refusal]:
        """Return why there is no room for an image, if there is none.

        :param leaving: what is removed when it is there, which must not
            keep it out for ever
        """
        uuid = wanted.image_list.identifier
        size = wanted.entry.size
        own = sum(image.size for image in leaving
                  if image.subscription == uuid)
        every = sum(image.size for image in leaving)
        for limit, taken, hidden, what in (
                (wanted.following.max_bytes, self._taken[uuid] - own,
                 self._hidden[uuid], 'The images of this list'),
                (self._most, self._taken.total() - every,
                 self._hidden.total(), 'The images of all lists')):
            if limit is not None and taken + size > limit:
                message = (f'{what} may take {limit} bytes; with the {size} '
                           f'of this one they would take {taken + size}.')
                remedy = 'Raise max_bytes in subscriptions.yaml.'
                if hidden:
                    message += (f' Superseded versions and other hidden '
                                f'images take {hidden} of them.')
                    remedy = (
                        'Raise max_bytes in subscriptions.yaml, or say '
                        'superseded: delete there, which deletes superseded '
                        'versions that no server uses.')
                return [Refusal(wanted.image_list, wanted.entry,
                                Code.TOO_LARGE, message, remedy)]
        return []
