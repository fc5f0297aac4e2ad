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

"""What should be in Glance: accepted lists, and what a site makes of them.

Everything here is values: nobody is asked, and nothing is read.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import re

from hepix_vm.errors import Code
from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.exchange.formats import formats_of
from hepix_vm.exchange.oneline import named
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import Selection
from hepix_vm.subscriptions import Share
from hepix_vm.subscriptions import Subscriptions
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason

# With projects that are named.
_SHARED = (Share.MEMBERS, Share.PRIVATE)
# The most open last.
_OPENNESS = (Share.PRIVATE, Share.MEMBERS, Share.COMMUNITY, Share.PUBLIC)

# The UUID of a list, and dc:identifier of an image in it.
Claim = tuple[str, str]


def described(image_list: ImageList, entry: ImageEntry) -> str:
    """Return an image of a list as messages name it."""
    return (f'image {named(entry.title, entry.identifier)} of the list '
            f'{named(image_list.title, image_list.identifier)}')


def marked(uuid: str, version: str, uri: str) -> str:
    """Return what tells how a list describes some bytes, in one word.

    :param uuid: of the list
    """
    return hashlib.sha256(f'{uuid} {version} {uri}'.encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Why an image of a list is not brought in, or not as it should be.

    :param code: None where not the image is at fault but something failed
    :param message: one plain sentence
    """

    image_list: ImageList
    entry: ImageEntry
    code: Code | None
    message: str
    remedy: str

    @classmethod
    def until_next(cls, wanted: 'Wanted', code: Code,
                   message: str) -> 'Refusal':
        """Return the refusal of bytes that came, and came in vain."""
        return cls(
            wanted.image_list, wanted.entry, code, message,
            f'It is fetched again with the next version of the list, or by '
            f'hepix-vm-sync fetch {wanted.entry.identifier}.')

    @classmethod
    def of(cls, image_list: ImageList, entry: ImageEntry,
           reason: Reason) -> 'Refusal':
        """Return the refusal of an image for a reason."""
        return cls(image_list, entry, reason.code, reason.message,
                   reason.remedy)

    @property
    def claim(self) -> Claim:
        """Which image of which list."""
        return self.image_list.identifier, self.entry.identifier

    def __str__(self) -> str:
        code = f' [{self.code}]' if self.code else ''
        return (f'{described(self.image_list, self.entry)}:{code} '
                f'{self.message} {self.remedy}')


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Who sees an image.

    :param projects: with which it is shared
    :param owner: the project that owns it; empty for that of our account
    """

    share: Share
    projects: frozenset[str] = frozenset()
    owner: str = ''

    @property
    def word(self) -> str:
        """The same in one word, by which a change is noticed."""
        named = ' '.join(sorted(self.projects) or [self.owner])
        if self.share in (Share.COMMUNITY, Share.PUBLIC) or not named:
            return str(self.share)
        digest = hashlib.sha256(named.encode()).hexdigest()
        return f'{self.share}-{digest[:16]}'

    @property
    def visibility(self) -> str:
        """What Glance calls it."""
        return 'shared' if self.share is Share.MEMBERS else str(self.share)


@dataclasses.dataclass(frozen=True, slots=True)
class Approval:
    """An image of a list that waits until an operator approves it."""

    image_list: ImageList
    entry: ImageEntry

    @property
    def command(self) -> str:
        """What approves it."""
        return (f'hepix-vm-sync approve --image {self.entry.identifier} '
                f'--reason TEXT')

    def __str__(self) -> str:
        return (f'{described(self.image_list, self.entry)} waits for '
                f'approval; approve it with {self.command}')


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes that should be in Glance, once, whoever lists them.

    :param image_list: the first list that has them
    :param claims: UUIDs of all lists that do, each with ``dc:identifier``:
        its own first, then as in subscriptions.yaml
    :param access: None until an operator approves the image
    :param unsure: whether more may be meant to see it: not all projects
        are known
    :param others: the same as later lists describe them, for when the first
        is wrong about them: nobody spoils what another list has
    :param unapproved: lists that have them and wait for an operator, with
        the image there
    """

    entry: ImageEntry
    image_list: ImageList
    following: Following
    claims: tuple[Claim, ...]
    disk_format: str
    container_format: str
    access: Access | None
    unsure: bool = False
    others: 'tuple[Wanted, ...]' = ()
    unapproved: tuple[Approval, ...] = ()

    @property
    def each(self) -> 'tuple[Wanted, ...]':
        """All descriptions of them, the first one first."""
        return (dataclasses.replace(self, others=()), *self.others)

    @classmethod
    def first_of(cls, several: 'Sequence[Wanted]') -> 'Wanted':
        """Return the first of several descriptions, with the others."""
        first, *others = several
        return dataclasses.replace(first, others=tuple(others))

    @property
    def mark(self) -> str:
        """What tells this description from all others of these bytes."""
        return marked(self.image_list.identifier, self.image_list.version,
                      self.entry.uri)

    @property
    def lists(self) -> frozenset[str]:
        """UUIDs of all lists that have them."""
        return frozenset(uuid for uuid, _ in self.claims)

    @property
    def name(self) -> str:
        """What it is called in Glance."""
        title = self.entry.title or self.entry.identifier
        line = ' '.join(f'{self.following.prefix}{title}'.split())
        return ''.join(c if c.isprintable() else '?' for c in line)[:255]


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """What is known beside the lists and the subscriptions.

    :param usable: UUIDs of the lists on which this controller may act
    :param projects: the ids of projects, by what subscriptions.yaml calls
        them; what is missing is not known
    :param approved: what operators approved, as the ledger names it
    :param abilities: of Glance
    """

    usable: Collection[str]
    projects: Mapping[str, str]
    approved: Collection[tuple[Blockable, str]]
    abilities: Abilities


@dataclasses.dataclass(frozen=True, slots=True)
class _Listed:
    """An image of a list that is followed."""

    entry: ImageEntry
    image_list: ImageList
    following: Following
    approved: bool


def wanted(accepted: AcceptedLists, subscriptions: Subscriptions,
           situation: Situation) -> tuple[
               Mapping[str, Wanted], Sequence[Refusal]]:
    """Return what should be in Glance, by SHA-512, and what cannot be."""
    found: dict[str, Wanted] = {}
    refusals: list[Refusal] = []
    claims: dict[str, list[_Listed]] = {}
    for claim in _claims(accepted, subscriptions, situation):
        reasons = accepted.conflict(
            claim.entry.identifier, claim.image_list.identifier)
        refusals += [Refusal.of(claim.image_list, claim.entry, reason)
                     for reason in reasons]
        if not reasons:
            claims.setdefault(claim.entry.sha512, []).append(claim)
    for sha512, each in claims.items():
        formats = [(claim, formats_of(claim.entry, situation.abilities))
                   for claim in each]
        good = [(claim, known) for claim, known in formats
                if not isinstance(known, Reason)]
        refusals += [
            Refusal.of(claim.image_list, claim.entry, reason)
            for claim, reason in formats if isinstance(reason, Reason)]
        if not good:
            continue
        access, missing = _access(each, situation)
        refusals += missing
        unsure = any(name not in situation.projects for claim in each
                     if claim.following.share in _SHARED
                     for name in _named(claim))
        # One of each list: a list that is wrong costs one attempt.
        descriptions: dict[str, tuple[_Listed, tuple[str, str]]] = {}
        for claim, known in good:
            descriptions.setdefault(
                claim.image_list.identifier, (claim, known))
        unapproved = tuple(
            Approval(claim.image_list, claim.entry) for claim in each
            if not claim.approved)
        found[sha512] = Wanted.first_of([
            Wanted(claim.entry, claim.image_list, claim.following,
                   tuple(dict.fromkeys(
                       (one.image_list.identifier, one.entry.identifier)
                       for one in (claim, *each))),
                   *known, access, unsure, unapproved=unapproved)
            for claim, known in descriptions.values()])
    return found, refusals


def selected(entry: ImageEntry, selection: Selection) -> bool:
    """Return whether a site wants an image of a list."""
    words = frozenset(re.split(r'[^a-z0-9]+', entry.hypervisor.lower()))
    return (
        (selection.uuids is None or entry.identifier in selection.uuids)
        and (not selection.os or bool(selection.os & {
            entry.osname.lower(), entry.os.lower()}))
        and (not selection.architectures
             or entry.arch.lower() in selection.architectures)
        and (not selection.hypervisors
             or bool(selection.hypervisors & words)))


def _claims(accepted: AcceptedLists, subscriptions: Subscriptions,
            situation: Situation) -> Iterator[_Listed]:
    for block in subscriptions.blocks:
        uuid = block.subscription.uuid
        if block.following is None or uuid not in situation.usable:
            continue
        image_list = accepted.by_uuid[uuid].signed.image_list
        for entry in image_list.images:
            if selected(entry, block.following.images):
                yield _Listed(
                    entry, image_list, block.following,
                    block.subscription.approved or not
                    {(Blockable.SHA512, entry.sha512),
                     (Blockable.IMAGE, entry.identifier)}.isdisjoint(
                         situation.approved))


def _access(claims: Sequence[_Listed], situation: Situation,
            ) -> tuple[Access | None, Sequence[Refusal]]:
    """Return who sees the image of all who list it: the most open wins."""
    granted: list[tuple[Share, frozenset[str]]] = []
    refusals: list[Refusal] = []
    for claim in claims:
        if not claim.approved:
            continue
        share = claim.following.share
        projects: frozenset[str] = frozenset()
        if share in _SHARED:
            named = _named(claim)
            projects = frozenset(
                situation.projects[name] for name in named
                if name in situation.projects)
            if not named or len(projects) < len(set(named)):
                refusals.append(_unshared(claim, named, situation))
            if not projects:
                continue
        granted.append((share, projects))
    if not granted:
        return None, refusals
    share = max((share for share, _ in granted), key=_OPENNESS.index)
    projects = frozenset().union(*(names for _, names in granted))
    if share is Share.PRIVATE:
        if len(projects) == 1:
            return Access(share, owner=min(projects)), refusals
        share = Share.MEMBERS
    if share is not Share.MEMBERS:
        projects = frozenset()
    return Access(share, projects), refusals


def _named(claim: _Listed) -> Sequence[str]:
    """Return the projects of the list's VO, as subscriptions.yaml has them.

    A list that names no VO is of the only one that is mapped.
    """
    known = claim.following.projects
    if not claim.image_list.vo and len(known) == 1:
        return next(iter(known.values()))
    return known.get(claim.image_list.vo, ())


def _unshared(claim: _Listed, named: Sequence[str],
              situation: Situation) -> Refusal:
    missing = [name for name in named if name not in situation.projects]
    vo = claim.image_list.vo or 'none'
    return Refusal(
        claim.image_list, claim.entry, None,
        f'There is no project {", ".join(missing)} to share it with.'
        if missing else f'No project is named for the VO of the list '
        f'({vo}) to share it with.',
        'Correct projects of this list in subscriptions.yaml.')
