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

"""What a site decides, as values; ``policy.yaml`` is read into these."""

import dataclasses
import datetime
import enum

from hepix_vm.trust.verdict import Mode


class Choice(enum.StrEnum):
    """What a site does with images that are not endorsed themselves."""

    REFUSE = 'refuse'
    INHERIT = 'inherit'
    ALLOW = 'allow'


class Measure(enum.StrEnum):
    """What is done with a server whose image may not be used any more."""

    REPORT = 'report'
    LOCK = 'lock'
    STOP = 'stop'  # and lock, or its user just starts it again


class Blockable(enum.StrEnum):
    """What ``blocked`` may name."""

    SHA512 = 'sha512'
    IMAGE = 'image'
    GLANCE_IMAGE = 'glance_image'
    LIST = 'list'
    ENDORSER = 'endorser'


@dataclasses.dataclass(frozen=True, slots=True)
class AcceptedEndorser:
    """Whose endorsements count, pinned by DN and by CA.

    :param vo: if set, the only ``ad:vo`` the endorser may speak for
    :param projects: if set, the only projects whose images count
    """

    dn: str
    ca: str
    vo: str = ''
    projects: frozenset[str] = frozenset()
    email: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Something that is refused whoever endorses it."""

    kind: Blockable
    value: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Override:
    """An image that may be used although it expired.

    :param image: ``dc:identifier``
    :param until: UTC; the override itself ends then
    """

    image: str
    until: datetime.datetime
    reason: str
    author: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModeRule:
    """A mode for some images: those for which all that is set is true.

    :param project: the owner's project, by its name or its id
    :param domain: the domain of that project, by its name or its id
    :param role: what who brings the bytes has
    :param visibility: of the image
    """

    mode: Mode
    project: str = ''
    domain: str = ''
    role: str = ''
    visibility: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class DerivedRule:
    """What is done with images made from servers, for whom.

    :param project: the project, or empty for all
    :param role: the role, or empty for all
    """

    choice: Choice
    project: str = ''
    role: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Legacy:
    """How images older than the gate are judged.

    :param allow_until: UTC; None refuses them
    """

    allow_until: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class RunningServers:
    """What is done with servers, by the state in which their image is."""

    expired: Measure = Measure.REPORT
    revoked: Measure = Measure.REPORT
    blocked: Measure = Measure.REPORT
    superseded: Measure = Measure.REPORT
    refused: Measure = Measure.REPORT


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """All that ``policy.yaml`` says."""

    endorsers: tuple[AcceptedEndorser, ...] = ()
    blocked: tuple[Block, ...] = ()
    hypervisors: frozenset[str] = frozenset({'kvm', 'qemu'})
    altered_images: Choice = Choice.REFUSE
    derived_images: tuple[DerivedRule, ...] = (DerivedRule(Choice.REFUSE),)
    volumes: Choice = Choice.REFUSE
    enforcement: tuple[ModeRule, ...] = ()
    legacy: Legacy = Legacy()
    overrides: tuple[Override, ...] = ()
    running_servers: RunningServers = RunningServers()


@dataclasses.dataclass(frozen=True, slots=True)
class Subscription:
    """What a site pinned for one list.

    :param uuid: the list's ``dc:identifier`` in lower case
    :param approved: whether its images run without an operator's word
    :param agree: how many of the endorsers must endorse the same digest,
        each in a list of his own
    """

    uuid: str
    endorsers: tuple[AcceptedEndorser, ...]
    approved: bool = True
    agree: int = 1
