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
"""What is in Glance already, as far as following lists is concerned."""

from collections.abc import Collection
import dataclasses
import datetime
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.catalogue import time_of
from hepix_vm.exchange.wanted import Claim
from hepix_vm.held import LOCK
from hepix_vm.held import STATUSES
from hepix_vm import properties


@dataclasses.dataclass(frozen=True, slots=True)
class Present:
    """An image of Glance that is ours, or that a list endorsed.

    :param size: bytes; 0 where it has none
    :param sha512: by which the gate knows it
    :param subscription: the list for which we brought it in; empty if
        somebody else did
    :param list_id: the list that endorsed it last
    :param identifier: ``dc:identifier`` in that list
    :param shared: with whom, in one word; empty if it was never shown
    :param parked: since when it is off the shelf; empty if it is not
    :param reason: why it is refused
    :param tried: marks of the descriptions of which that is so
    :param locked: whether an import holds it
    :param protected: whether somebody keeps it from being deleted
    :param outcome: what the verdict on it demands; empty if it is right
    :param usable: whether it is active once that is done
    :param codes: why that is demanded
    """

    image_id: str
    status: str
    name: str
    created: datetime.datetime
    size: int
    sha512: str
    subscription: str = ''
    list_id: str = ''
    list_version: str = ''
    identifier: str = ''
    uri: str = ''
    shared: str = ''
    parked: str = ''
    state: str = ''
    reason: str = ''
    locked: bool = False
    protected: bool = False
    outcome: str = ''
    usable: bool = False
    codes: tuple[Code, ...] = ()
    tried: frozenset[str] = frozenset()

    @property
    def ours(self) -> bool:
        """Whether we brought it in."""
        return bool(self.subscription)

    @property
    def claim(self) -> Claim:
        """Which image of which list it is."""
        return self.list_id, self.identifier

    @property
    def has_bytes(self) -> bool:
        """Whether it has its bytes."""
        return self.status in STATUSES

    @property
    def evicted(self) -> bool:
        """Whether it is kept without its bytes until it is asked for."""
        return not self.has_bytes and bool(self.parked)

    @property
    def fresh(self) -> bool:
        """Whether no user saw it yet."""
        return not self.shared and not self.parked

    @property
    def rank(self) -> tuple[bool, bool, datetime.datetime, str]:
        """What comes first is the one of several with the same bytes."""
        return (not self.has_bytes, not self.has_bytes and not self.parked,
                self.created, self.image_id)

    @property
    def code(self) -> Code:
        """Why it is refused."""
        try:
            return Code(self.reason.partition(':')[0])
        except ValueError:
            return Code.INTERNAL_ERROR


def present_of(image: Image, outcome: str = '', usable: bool = False,
               codes: tuple[Code, ...] = ()) -> Present:
    """Return an image as plans have it.

    :raises ServiceError: it is not what Glance makes of an image
    """
    def text(name: str) -> str:
        return str(image.get(name) or '')

    sha512 = text('hepix_sha512')
    if not sha512 and image.get('os_hash_algo') == 'sha512':
        sha512 = text('os_hash_value')
    return Present(
        image['id'], text('status'), text('name'), time_of(image),
        _size(image), sha512, text(properties.SUBSCRIPTION),
        text('hepix_list_id'), text('hepix_list_version'),
        text('hepix_image_id'), text('hepix_uri'), text(properties.SHARED),
        text(properties.PARKED), text('hepix_state'), text('hepix_reason'),
        LOCK in image, bool(image.get('protected')), outcome, usable, codes,
        frozenset(text(properties.TRIED).split()))


def concerns(image: Image, lists: Collection[str]) -> bool:
    """Return whether following lists has to do with an image.

    :param lists: UUIDs of accepted lists
    """
    return (bool(image.get(properties.SUBSCRIPTION))
            or image.get('hepix_list_id') in lists)


def _size(image: Image) -> int:
    size: Any = image.get('size')
    if size is None:
        return 0
    if not isinstance(size, int):
        raise ServiceError('Glance says no size of an image.', 0,
                           'Look whether it is Glance that answers.')
    return size
