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
"""Following: the images of accepted lists are brought into Glance.

One run looks at all images once, judges each as the sweep does, makes a
plan, and carries it out. What it costs beyond that grows with what changed.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import logging
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.bring import Courier
from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.deeds import Trouble
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.execute import Executor
from hepix_vm.exchange import oneline
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.plan import plan
from hepix_vm.exchange.present import concerns
from hepix_vm.exchange.present import Present
from hepix_vm.exchange.present import present_of
from hepix_vm.exchange.progress import Progress
from hepix_vm.exchange.record import lacking
from hepix_vm.exchange.run import Followed
from hepix_vm.exchange.run import Request
from hepix_vm.exchange.run import still_open
from hepix_vm.exchange.run import World
from hepix_vm.exchange.settle import concerns_us
from hepix_vm.exchange.settle import done_to
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Knowledge
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange import tidings
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Situation
from hepix_vm.exchange.wanted import Wanted
from hepix_vm.exchange.wanted import wanted
from hepix_vm.gate import Case
from hepix_vm.held import Held
from hepix_vm.held import LOCK
from hepix_vm.held import Outcome
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.trust.endorsement import STALE
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)


class Follow:
    """One run.

    :param tell: told of what happens to images
    :param progress: shown to who began the run
    """

    def __init__(self, world: World, request: Request,
                 tell: Callable[[Event], None], progress: Progress) -> None:
        self._world = world
        self._request = request
        self._tell = tell
        self._progress = progress
        self._settler = Settler(world.catalogue, world.ledger, world.site,
                                self._changed, self._lacking)
        self._wanted: Mapping[str, Wanted] = {}
        self._outline = Outline({
            uuid: accepted.signed.image_list for uuid, accepted
            in world.site.accepted.by_uuid.items()})
        self._states: dict[str, int] = {}
        self._failures: list[Trouble] = []
        self._unknown: list[str] = []

    def run(self) -> Followed:
        """Follow the lists.

        :raises HepixVmError: nothing can be done at all
        """
        self._settler.begin(self._request.dry_run)
        made = self.plan()
        done = Done()
        if not self._request.dry_run and made.chains:
            sizes = [step.wanted.entry.size for step in made.steps
                     if step.action is Action.BRING and step.wanted]
            if sizes:
                self._progress.begin(sum(sizes), len(sizes))
            try:
                done = self._executor(made).run(made)
            finally:
                self._progress.end()
        done.failures[:0] = self._failures
        return Followed(
            made, done, self._states, self._outline, self._lists(),
            made.approvals if self._request.dry_run
            else still_open(made, done), self._unknown)

    def plan(self) -> Plan:
        """Return what is to be done.

        :raises HepixVmError: Glance, Keystone or the ledger does not say
        """
        site = self._world.site
        usable = self._usable()
        situation = Situation(
            usable, self._projects(usable), self._approved(usable),
            self._abilities)
        found, refusals = wanted(
            site.accepted, site.subscriptions, situation)
        self._wanted = found
        images = [present for image in self._world.catalogue.images()
                  if (present := self._present(image)) is not None]
        lists = {uuid: site.accepted.by_uuid[uuid].signed.image_list
                 for uuid in usable}
        fetched = self._fetched(found, refusals, images)
        made = plan(found, refusals, images, Knowledge(
            now=self._settler.gate.now(), lists=lists,
            waiting=site.accepted.subscriptions.keys() - usable,
            following={
                block.subscription.uuid: block.following
                for block in site.subscriptions.blocks if block.following},
            listed={entry.sha512
                    for accepted in site.accepted.by_uuid.values()
                    for entry in accepted.signed.image_list.images},
            recorded=self._recorded, refused=self._refused,
            in_use=self._world.in_use, only=self._request.only,
            fetched=fetched,
            max_bytes=site.subscriptions.max_bytes,
            unseen=any(map(self._unseen, site.accepted.subscriptions))))
        if self._request.fetched:
            return _only(made, fetched)
        left = [uuid for uuid in self._lists() if uuid not in usable]
        return dataclasses.replace(made, notes=(
            *made.notes, *map(self._why_left, left)))

    def _why_left(self, uuid: str) -> str:
        """Return why a list is not acted upon."""
        held = self._world.site.accepted.by_uuid.get(uuid)
        why = ('no version of it is stored here' if held is None
               else 'another controller has a newer version'
               if self._unseen(uuid) else 'its signer is not trusted now')
        return (f'The images of the list '
                f'{oneline.named(self._outline.title_of(uuid), uuid)} are '
                f'left as they are: {why}.')

    def _lists(self) -> Sequence[str]:
        only = self._request.only
        return [uuid for uuid in self._world.site.subscriptions.followed
                if only is None or uuid in only]

    @functools.cached_property
    def _abilities(self) -> Abilities:
        return self._world.catalogue.abilities()

    def _usable(self) -> frozenset[str]:
        """Return the lists on which this controller may act.

        A stale one says what it said. What came with an older version than
        another controller has, or from somebody who is not trusted now, is
        nothing to act upon.
        """
        site = self._world.site
        at = self._settler.gate.now()
        found = set()
        for uuid, accepted in site.accepted.by_uuid.items():
            version = accepted.signed.image_list.version
            reasons = accepted.signed.reasons(site.anchors, at, site.trust)
            if (compare_versions(version, self._settler.newest(uuid)) >= 0
                    and STALE.issuperset(
                        reason.code for reason in reasons)):
                found.add(uuid)
        return frozenset(found)

    def _unseen(self, uuid: str) -> bool:
        """Return whether others have a version of a list that is not here."""
        held = self._world.site.accepted.by_uuid.get(uuid)
        version = held.signed.image_list.version if held else ''
        return compare_versions(version, self._settler.newest(uuid)) < 0

    def _projects(self, usable: Collection[str]) -> Mapping[str, str]:
        named = {
            name for block in self._world.site.subscriptions.blocks
            if block.following and block.subscription.uuid in usable
            for names in block.following.projects.values()
            for name in names}
        return self._world.projects(named) if named else {}

    def _approved(self, usable: Collection[str],
                  ) -> frozenset[tuple[Blockable, str]]:
        """Return what operators approved of lists that wait for them."""
        site = self._world.site
        named = {
            records.name_of(kind, value)
            for block in site.subscriptions.blocks
            if block.following and not block.subscription.approved
            and block.subscription.uuid in usable
            for entry in site.accepted.by_uuid[
                block.subscription.uuid].signed.image_list.images
            for kind, value in ((Blockable.SHA512, entry.sha512),
                                (Blockable.IMAGE, entry.identifier))}
        return frozenset(
            (record.kind, record.value)
            for record in self._world.ledger.search(named)
            if record.fact is Fact.APPROVED and not record.lifted
            and record.kind)

    def _present(self, image: Image) -> Present | None:
        """Return an image as the plan has it, judged.

        What fails does not concern the others.
        """
        outcome = None
        try:
            if image.get('status') in STATUSES and LOCK not in image:
                held = held_of(image)
                state = held.extra.get('hepix_state', '')
                self._states[state] = self._states.get(state, 0) + 1
                if concerns_us(held):
                    outcome = self._settler.look(held)
            if not outcome or (
                    outcome.nothing and not self._lacking(image)):
                ours = concerns(image, self._world.site.accepted.by_uuid)
                return present_of(image, usable=(
                    image.get('status') == 'active')) if ours else None
            status = outcome.status or image.get('status')
            return present_of(image, done_to(outcome), status == 'active',
                              tuple(outcome.verdict.codes))
        except HepixVmError as error:
            self._failures.append(Trouble(
                str(image.get(properties.SUBSCRIPTION) or ''),
                f'image {image["id"]}: {error.message} {error.remedy}'))
            return None

    def _lacking(self, image: Image) -> Mapping[str, Any]:
        """Return what an image of ours lacks for other tools."""
        listed = self._wanted.get(str(image.get('hepix_sha512')))
        return lacking(image, listed) if (
            listed and properties.SUBSCRIPTION in image) else {}

    def _recorded(self, sha512: str) -> Sequence[Record]:
        return self._world.ledger.search(
            [records.name_of(Blockable.SHA512, sha512)]) if sha512 else ()

    def _refused(self, image: Wanted) -> Sequence[Reason]:
        """Return why the gate would not let an image in."""
        owner = image.access.owner if image.access else ''
        verdict = Case(self._settler.gate, Subject(
            at=self._settler.gate.now(), sha512=image.entry.sha512,
            size=image.entry.size, disk_format=image.disk_format,
            container_format=image.container_format, visibility='private',
            projects=frozenset(filter(None, {
                owner or self._world.owner})))).look()
        return () if verdict.allowed else verdict.reasons

    def _fetched(self, found: Mapping[str, Wanted],
                 refusals: Sequence[Refusal],
                 images: Sequence[Present]) -> frozenset[str]:
        """Return the digests of what somebody asked for.

        What cannot be had is among them, if lists have it.
        """
        claims = [(sha512, image) for sha512, each in found.items()
                  for _, image in each.claims]
        refused = [(refusal.entry.sha512, refusal.entry.identifier)
                   for refusal in refusals]
        digests = set()
        for name in self._request.fetched:
            held = {image.sha512 for image in images
                    if image.image_id == name}
            match = _named(name, held, claims) or _named(name, held, refused)
            if not match:
                self._unknown.append(name)
            digests |= match
        return frozenset(digests)

    def _executor(self, made: Plan) -> Executor:
        world = self._world
        courier = None
        allowance = Allowance(world.bring_time)
        if any(step.action in (Action.BRING, Action.EVICT)
               for step in made.steps):
            courier = Courier(
                world.catalogue, self._abilities, world.opened, allowance,
                world.bringer, lambda name: Executor.checkpoint(name),
                self._progress.advance)
        return Executor(world.catalogue, world.ledger, self._settler,
                        courier, allowance, self._tell, self._progress,
                        self._outline, world.journal, world.owner)

    def _changed(self, held: Held, outcome: Outcome) -> None:
        """Say what became of an image."""
        self._progress.line(self._outline.judged(held, outcome))
        event = tidings.event_of(held, outcome, self._world.site,
                                 self._settler.gate.now())
        if event is not None:
            self._tell(event)


def _named(name: str, held: Collection[str],
           listed: Iterable[tuple[str, str]]) -> set[str]:
    """Return those digests of listed images that are meant."""
    return {sha512 for sha512, identifier in listed
            if identifier == name or sha512 in held}


def _only(made: Plan, digests: Collection[str]) -> Plan:
    """Return what a plan has to do with some images."""
    return dataclasses.replace(
        made, chains=tuple(
            chain for chain in made.chains if any(
                step.wanted and step.wanted.entry.sha512 in digests
                for step in chain)),
        refusals=tuple(refusal for refusal in made.refusals
                       if refusal.entry.sha512 in digests))
