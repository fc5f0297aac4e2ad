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

"""What a site says of the image lists that it follows, as values.

``subscriptions.yaml`` is read into these. What the gate needs of a list is
:class:`hepix_vm.trust.settings.Subscription`; the rest says how its images
are brought into Glance.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum

from hepix_vm.trust.settings import Subscription

# Where the certificates are with which a server's own is verified.
SYSTEM = 'system'
IGTF = 'igtf'


class Share(enum.StrEnum):
    """Who sees the images of a list."""

    MEMBERS = 'members'  # the projects of its VO, as members
    COMMUNITY = 'community'
    PUBLIC = 'public'
    PRIVATE = 'private'  # the one project of its VO, which owns them


class Properties(enum.StrEnum):
    """Tools whose properties the images of a list get beside ours."""

    ATROPE = 'atrope'
    CLOUDKEEPER = 'cloudkeeper'


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Which images of a list are brought into Glance.

    What is empty selects all; an image must be of all that is not.

    :param uuids: ``dc:identifier``, in lower case; None selects all
    :param os: ``sl:osname`` or ``sl:os``, in lower case
    :param architectures: ``sl:arch``, in lower case
    :param hypervisors: words of ``hv:hypervisor``, in lower case
    """

    uuids: frozenset[str] | None = None
    os: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    hypervisors: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Following:
    """How a list is fetched, and its images brought into Glance.

    :param url: ``https://`` or ``file://``
    :param token: ``user:password``, sent to the server of :attr:`url` only
    :param token_file: path of a file that holds it; it is read when the list
        is fetched, since the gate may not
    :param ca_bundle: :data:`SYSTEM`, :data:`IGTF` (the folder of trust
        anchors), or the path of a file or folder of CA certificates
    :param internal: whether images, and where addresses redirect to, may
        lie in networks that are not the Internet
    :param projects: of each VO, by name, by id, or as ``DOMAIN:NAME``;
        ``ad:vo`` of the list says which VO counts
    :param prefix: of the names of its images in Glance
    :param stores: Glance's stores; empty leaves it to Glance
    :param keep: how many superseded versions of an image are kept; those
        beyond are deleted once no server uses them. None keeps all
    :param max_bytes: that its images may take in Glance; None is no limit
    :param evict_after: days after which the bytes of an image that no
        server used are dropped; None keeps them
    """

    url: str
    token: str = dataclasses.field(default='', repr=False)
    token_file: str = ''
    ca_bundle: str = SYSTEM
    internal: bool = False
    projects: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict)
    share: Share = Share.MEMBERS
    images: Selection = Selection()
    prefix: str = ''
    stores: tuple[str, ...] = ()
    compatibility: frozenset[Properties] = frozenset()
    keep: int | None = None
    max_bytes: int | None = None
    evict_after: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """One list of ``subscriptions.yaml``.

    :param subscription: what the gate needs
    :param following: None for a list that an operator brings by hand,
        whose images nobody brings into Glance
    """

    subscription: Subscription
    following: Following | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Subscriptions:
    """All that ``subscriptions.yaml`` says.

    :param max_bytes: that the images of all lists may take in Glance
    """

    blocks: tuple[Block, ...] = ()
    max_bytes: int | None = None

    @property
    def followed(self) -> Sequence[str]:
        """UUIDs of the lists that are followed."""
        return [block.subscription.uuid for block in self.blocks
                if block.following]

    def following(self, uuid: str) -> Following | None:
        """Return how a list is followed, if it is."""
        return next((block.following for block in self.blocks
                     if block.subscription.uuid == uuid), None)
