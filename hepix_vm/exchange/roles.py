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

"""What the images that are there are to those that should be there."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

from hepix_vm.exchange.present import Present
from hepix_vm.exchange.wanted import Claim
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.exchange.wanted import Wanted


class Roles:
    """Who is there, who waits for whom, and who stands for whom.

    :param wanted: by SHA-512
    :param refusals: of what is listed and not wanted as it is
    :param images: all that are there
    """

    def __init__(self, wanted: Mapping[str, Wanted],
                 refusals: Collection[Refusal],
                 images: Sequence[Present]) -> None:
        self._wanted = wanted
        # All that have their bytes, those of users too, by digest.
        self.same: dict[str, list[Present]] = {}
        for image in images:
            if image.has_bytes:
                self.same.setdefault(image.sha512, []).append(image)
        self._ours: dict[str, list[Present]] = {}
        for image in sorted(images, key=lambda image: image.rank):
            if image.ours:
                self._ours.setdefault(image.sha512, []).append(image)
        self._shown = self._find_shown()
        # What is to be replaced, by the digest of what replaces it. Several
        # images may become one.
        self.formers = {
            sha512: formers for sha512, each in wanted.items()
            if (formers := self._find_formers(sha512, each))}
        # Whose listed version cannot be brought in, whatever is wrong.
        barred = {refusal.claim for refusal in refusals}.difference(
            *(each.claims for each in wanted.values()))
        # What stays as it is until its next version is there, by digest.
        self.waiting = {
            former.sha512 for formers in self.formers.values()
            for former in formers} | {
            self._shown[claim].sha512
            for claim in barred & self._shown.keys()}
        # Records of what was evicted, by the digest of that for which they
        # stand: bytes that are not there, or come just now.
        self.stand_ins = self._find_stand_ins()
        self._standing = {each.image_id for each in self.stand_ins.values()}
        self._standing |= {
            image.image_id for image in images if image.evicted
            and image.claim in barred and image.sha512 not in wanted}

    def first(self, sha512: str) -> Present | None:
        """Return the one of ours that counts of those with some bytes."""
        return next(iter(self._ours.get(sha512, ())), None)

    def evicted(self, sha512: str) -> Present | None:
        """Return the record of bytes that were evicted, or are to be."""
        return next((image for image in self._ours.get(sha512, ())
                     if image.evicted), None)

    def stands(self, image: Present) -> bool:
        """Return whether an evicted image stands for what is listed."""
        return image.image_id in self._standing

    def _find_shown(self) -> dict[Claim, Present]:
        """Find what users see and is not wanted any more, by its claim."""
        shown: dict[Claim, Present] = {}
        for group in self._ours.values():
            image = group[0]
            if (image.has_bytes and image.shared and not image.parked
                    and image.sha512 not in self._wanted):
                shown[image.claim] = image
        return shown

    def _find_formers(self, sha512: str, wanted: Wanted) -> list[Present]:
        there = self.first(sha512)
        if there and there.shared:
            return []
        return [self._shown[claim] for claim in wanted.claims
                if claim in self._shown]

    def _find_stand_ins(self) -> dict[str, Present]:
        older = {
            image.claim: image for sha512, group in self._ours.items()
            if sha512 not in self._wanted
            for image in group if image.evicted}
        found = {}
        for sha512, wanted in self._wanted.items():
            there = self.first(sha512)
            if sha512 in self.formers or (
                    there and there.has_bytes and not there.fresh):
                continue
            record = self.evicted(sha512) or next(
                (older[claim] for claim in wanted.claims
                 if claim in older), None)
            if record:
                found[sha512] = record
        return found
