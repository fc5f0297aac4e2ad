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

"""What happens to lists and images, and may be told to somebody."""

import dataclasses
import datetime
import enum

from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason


class Kind(enum.StrEnum):
    """What happened."""

    RUN_BEGINS = 'run-begins'
    RUN_ENDS = 'run-ends'
    LIST_ACCEPTED = 'list-accepted'
    LIST_REFUSED = 'list-refused'
    LIST_STALE = 'list-stale'
    LIST_CLASHES = 'list-clashes'  # some of its images are another list's
    IMAGE_LISTED = 'image-listed'  # an image that no version had before
    IMAGE_AVAILABLE = 'image-available'  # active in Glance
    IMAGE_REFUSED = 'image-refused'  # not brought in, or taken out of use
    IMAGE_WAITS = 'image-waits'  # until an operator approves it
    IMAGE_EXPIRED = 'image-expired'
    IMAGE_REVOKED = 'image-revoked'
    IMAGE_BLOCKED = 'image-blocked'
    IMAGE_SUPERSEDED = 'image-superseded'
    IMAGE_ENDORSED = 'image-endorsed'  # usable again
    SERVER_RUNS = 'server-runs'  # from an image that is out of use
    SERVER_LOCKED = 'server-locked'
    SERVER_STOPPING = 'server-stopping'
    SERVER_UNSTOPPED = 'server-unstopped'  # and is to be stopped
    SERVER_OWNER = 'server-owner'  # is known now: the others were told


@dataclasses.dataclass(frozen=True, slots=True)
class Affected:
    """A server that runs from an image that is out of use.

    :param project: its id in Keystone
    :param user: the same of who made it
    :param status: as Nova said it before anything was done
    :param email: of that user; empty if he has none
    """

    identifier: str
    name: str
    project: str
    user: str
    status: str
    email: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    :param at: UTC
    :param image_list: the list that it is about, where it is known
    :param entry: the image in that list, where it is known
    :param glance_image: its id in Glance
    :param name: its name in Glance
    :param reasons: why, where something was refused or ended
    :param message: what no reason says
    :param list_uuid: of the subscribed list that it is about, where what
        came is no list
    :param server: that runs the image, where it is about one
    """

    kind: Kind
    at: datetime.datetime
    image_list: ImageList | None = None
    entry: ImageEntry | None = None
    glance_image: str = ''
    name: str = ''
    reasons: tuple[Reason, ...] = ()
    message: str = ''
    list_uuid: str = ''
    server: Affected | None = None


def nobody(event: Event) -> None:
    """Tell nobody, as where it is only said what would be done."""
