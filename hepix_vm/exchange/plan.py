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

"""The plan: from what should be in Glance and what is there to steps.

Everything here is values. A plan says what is to be done and does nothing;
carried out, whole or in part, and made anew, it comes to the same end.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.present import Present
from hepix_vm.exchange.roles import Roles
from hepix_vm.exchange.space import Space
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Chain
from hepix_vm.exchange.steps import Knowledge
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Claim
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Wanted
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.ledger import Fact


def plan(wanted: Mapping[str, Wanted], refusals: Sequence[Refusal],
         images: Sequence[Present], known: Knowledge) -> Plan:
    """Return what is to be done.

    :param wanted: by SHA-512
    :param refusals: of what is listed and not wanted as it is
    :param images: all that are ours, and others that a list endorsed
    """
    return _Planner(wanted, refusals, images, known).plan()


class _Planner:
    """Makes one plan."""

    def __init__(self, wanted: Mapping[str, Wanted],
                 refusals: Sequence[Refusal], images: Sequence[Present],
                 known: Knowledge) -> None:
        self._wanted = wanted
        self._images = images
        self._known = known
        self._refusals = list(refusals)
        self._notes: dict[str, None] = {}
        self._going: set[str] = set()
        self._listed = {
            (uuid, entry.identifier) for uuid, image_list
            in known.lists.items() for entry in image_list.images}
        self._roles = Roles(wanted, refusals, images)
        self._space = Space((image for image in images if image.ours),
                            known.max_bytes)
        self._old = self._find_old()

    def plan(self) -> Plan:
        chains = [self._stay(image) for image in self._images]
        chains += self._deletions()
        approvals: list[Approval] = []
        for sha512, wanted in sorted(self._wanted.items(), key=self._room):
            if self._followed(wanted.lists):
                image = self._roles.first(sha512)
                chain = self._bring(wanted, image)
                chains.append(chain)
                # What is refused, or evicted, is nothing to approve.
                if (image and image.usable) or any(
                        step.action is Action.BRING for step in chain):
                    approvals += wanted.unapproved
        return Plan(tuple(filter(None, chains)), tuple(self._refusals),
                    tuple(self._notes), tuple(approvals))

    def _room(self, each: tuple[str, Wanted]) -> tuple[bool, int]:
        """Return what has its room first: less is earlier.

        What comes for the first time, or grows much, may never come at all,
        and keeps nothing out that takes the place of what was there.
        """
        sha512, wanted = each
        formers = self._roles.formers.get(sha512, ())
        if not formers and sha512 not in self._roles.stand_ins:
            return True, 0
        return False, wanted.entry.size - sum(
            former.size for former in formers)

    def _followed(self, lists: Collection[str]) -> bool:
        only = self._known.only
        return only is None or not set(only).isdisjoint(lists)

    # What is there.

    def _stay(self, image: Present) -> Chain:
        """Return what becomes of an image whatever is brought in."""
        if not image.has_bytes:
            return (Step(Action.DISCARD, image, why='is not wanted'),
                    ) if self._superfluous(image) else ()
        record: Chain = ()
        parking: Chain = ()
        # Users may have the same bytes: to record them would take ours out
        # of use as well.
        if image.sha512 not in self._roles.waiting:
            record, parking = self._record(image), self._parking(image)
        judging = (Step(Action.SETTLE, image, why=image.outcome),
                   ) if record or image.outcome else ()
        return (*record, *judging, *parking)

    def _superfluous(self, image: Present) -> bool:
        """Return whether a record without bytes is of no use."""
        if not image.ours or image.locked or self._left_alone(image):
            return False
        wanted = self._wanted.get(image.sha512)
        first = self._roles.first(image.sha512)
        if not image.evicted:
            return wanted is None or image is not first
        # One that stays until its bytes can be dropped is used again.
        return not self._roles.stands(image) and not (
            wanted and first and self._idle(wanted, first)
            and image is self._roles.evicted(image.sha512))

    def _left_alone(self, image: Present) -> bool:
        """Return whether it is not for this run to say what becomes of it."""
        known = self._known
        # A list that an operator brings by hand now.
        by_hand = (image.subscription in known.lists
                   and image.subscription not in known.following
                   and image.sha512 in known.listed)
        return (by_hand or not self._followed({image.subscription})
                or not {image.subscription, image.list_id}.isdisjoint(
                    known.waiting))

    def _record(self, image: Present) -> Chain:
        """Return what the ledger has to know of bytes that are gone."""
        known = self._known
        image_list = known.lists.get(image.list_id)
        if (image_list is None or image.sha512 in known.listed
                or known.unseen or not self._followed({image.list_id})
                # A message that came with it may be newer than the list.
                or compare_versions(image_list.version, image.list_version)
                < 0):
            return ()
        fact = Fact.SUPERSEDED if self._has_newer(image) else Fact.REVOKED
        for record in known.recorded(image.sha512):
            # Before it was listed, whatever came earlier. A version that
            # was made anew is the same. A list withdraws what it had last;
            # the rest was old already.
            if (record.fact in (fact, Fact.SUPERSEDED)
                    and record.image_list == image.list_id
                    and compare_versions(
                        record.version, image.list_version) >= 0):
                return ()
        return (Step(Action.RECORD, image, fact=fact, image_list=image_list,
                     why=str(fact)),)

    def _parking(self, image: Present) -> Chain:
        if (not image.ours or image.parked or image.sha512 in self._wanted
                or self._left_alone(image)):
            return ()
        if image.list_id in self._known.lists and (
                not self._has_newer(image)):
            return (Step(Action.HIDE, image, why='is listed no longer'),)
        return (Step(Action.PARK, image, why='is not wanted'),)

    def _has_newer(self, image: Present) -> bool:
        """Return whether its list still has it, with other bytes."""
        return image.claim in self._listed

    def _find_old(self) -> dict[Claim, list[Present]]:
        """Find versions that newer ones replaced, the oldest first."""
        old: dict[Claim, list[Present]] = {}
        for image in self._images:
            if (image.ours and image.has_bytes
                    and image.sha512 not in self._wanted
                    and image.sha512 not in self._known.listed
                    # What is neither is parked by this run.
                    and (image.parked
                         or image.sha512 not in self._roles.waiting)
                    and not self._left_alone(image)
                    and self._has_newer(image)):
                old.setdefault(image.claim, []).append(image)
        for versions in old.values():
            # Those that are not parked yet come last.
            versions.sort(key=lambda image: (
                not image.parked, image.parked, image.image_id))
        return old

    def _excess(self, claim: Claim,
                versions: Sequence[Present]) -> list[Present]:
        """Return which of some old versions are not kept."""
        following = self._known.following.get(claim[0])
        if following is None or following.keep is None:
            return []
        return [image for image in versions[:max(
            0, len(versions) - following.keep)]
            if not image.protected and self._unused(image, 0)]

    def _deletions(self) -> Iterator[Chain]:
        """Yield the removal of superseded versions beyond those kept."""
        for claim, versions in self._old.items():
            for image in self._excess(claim, versions):
                # Glance did not delete those before it, which earlier runs
                # let go: their room is taken.
                if image is versions[-1]:
                    self._space.leave(image)
                self._going.add(image.image_id)
                yield tuple(self._deletion(image))

    def _leaving(self, formers: Iterable[Present]) -> list[Present]:
        """Return the versions that go when these are replaced as well."""
        return [image for former in formers for image in self._excess(
            former.claim, [*self._old.get(former.claim, ()), former])
            if image.image_id not in self._going]

    def _deletion(self, image: Present) -> Iterator[Step]:
        # What users see until now servers may have begun to use: the next
        # run asks once more.
        if image.parked:
            yield Step(Action.DELETE, image, why='is superseded, and unused')

    def _unused(self, image: Present, days: int) -> bool:
        used = self._known.in_use(days)
        if isinstance(used, HepixVmError):
            self._notes[f'No image is deleted or evicted now. {used.message} '
                        f'{used.remedy}'] = None
            return False
        return image.image_id.lower() not in used

    # What should be there.

    def _bring(self, wanted: Wanted, image: Present | None) -> Chain:
        if image and image.has_bytes:
            return self._keep(wanted, image) if image.usable else ()
        sha512 = wanted.entry.sha512
        kept = self._roles.stand_ins.get(sha512)
        if sha512 not in self._known.fetched:
            if kept:
                return () if kept.sha512 == sha512 else (
                    Step(Action.RENEW, kept, wanted,
                         why='is the new version of what was evicted'),)
        leaving = self._leaving(self._roles.formers.get(sha512, ()))
        if not (good := [each for each in wanted.each
                         if not self._barred(each, leaving)]):
            return ()
        if image and sha512 not in self._known.fetched:
            if self._refused_before(wanted, good, image):
                return ()
            # First what may be right.
            good.sort(key=lambda each: each.mark in image.tried)
        wanted = Wanted.first_of(good)
        self._space.take(wanted, leaving)
        return (Step(Action.BRING, image if image is not kept else None,
                     wanted, why='is fetched' if kept else 'is listed'),
                *self._show(wanted, None))

    def _refused_before(self, wanted: Wanted, good: Iterable[Wanted],
                        image: Present) -> bool:
        """Return whether the same bytes were refused already.

        To fetch them at each run would cost their size each time. Who is
        wrong about them does not speak for others that list them.

        :param good: the descriptions by which they could come
        """
        if image.state != 'refused' or any(
                each.mark not in image.tried for each in good):
            return False
        self._refusals.append(Refusal.until_next(
            wanted, image.code, image.reason.partition(': ')[2]))
        return True

    def _barred(self, wanted: Wanted, leaving: Sequence[Present]) -> bool:
        """Return whether an image cannot be brought in; it is said why."""
        found = [Refusal.of(wanted.image_list, wanted.entry, reason)
                 for reason in self._known.refused(wanted)] or (
                     self._space.lack(wanted, leaving))
        self._refusals += found
        return bool(found)

    def _keep(self, wanted: Wanted, image: Present) -> Chain:
        """Return what becomes of an image that can be used."""
        access = wanted.access
        if wanted.unsure and image.shared and not image.parked:
            # Who has it is not taken it from for a name that is not found.
            return ()
        if access is None:
            return (Step(Action.PARK, image, why='is not approved'),
                    ) if image.shared and not image.parked else ()
        if self._idle(wanted, image):
            return (Step(
                Action.EVICT, image, wanted,
                self._roles.evicted(image.sha512), why='was not used for '
                f'{wanted.following.evict_after} days'),)
        return self._show(wanted, image)

    def _idle(self, wanted: Wanted, image: Present) -> bool:
        """Return whether the bytes of an image are to be dropped."""
        days = wanted.following.evict_after
        return (days is not None and image.shared != '' and not image.parked
                and not image.protected
                and image.sha512 not in self._known.fetched
                and (self._known.now - image.created).days >= days
                and self._unused(image, days))

    def _show(self, wanted: Wanted, image: Present | None) -> Chain:
        """Return how an image with its bytes comes before its users.

        :param image: None if it is brought in by the same chain
        """
        access = wanted.access
        if access is None or (image and image.shared == access.word
                              and not image.parked):
            return ()
        sharing = Step(Action.SHARE, image, wanted,
                       why=f'for {access.share}')
        formers = self._roles.formers.get(wanted.entry.sha512)
        kept = self._roles.stand_ins.get(wanted.entry.sha512)
        before = formers[0] if formers else kept
        if not before:
            return (sharing,)
        again = () if wanted.unsure or (
            before.shared == access.word) else (sharing,)
        return (Step(Action.REPLACE, image, wanted, before,
                     why='is the new version' if formers else 'is fetched'),
                *again, *(step for former in formers or ()
                          for step in self._withdrawal(former)),
                *((Step(Action.DISCARD, kept, why='is fetched'),)
                  if kept else ()))

    def _withdrawal(self, former: Present) -> Iterator[Step]:
        """Yield how what was replaced, and its copies, go out of use."""
        yield from self._record(former)
        yield from (Step(Action.SETTLE, image, why='is superseded')
                    for image in self._roles.same[former.sha512])
        yield Step(Action.PARK, former, why='is superseded')
        for image in self._leaving([former]):
            yield from self._deletion(image)
