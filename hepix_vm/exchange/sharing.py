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
"""Sharing: who sees an image, and with which projects it is shared."""

import collections
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm import properties
from hepix_vm.subscriptions import Share

# What a member is, and may make of itself.
ACCEPTED, PENDING = 'accepted', 'pending'
_STATUSES = frozenset({ACCEPTED, PENDING, 'rejected'})

_TRIES = 10


class Sharing:
    """Changes with whom images are shared.

    :param catalogue: the images
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def like(self, image: Image, former: Image) -> dict[str, Any]:
        """Return what makes an image seen as another is.

        Its members are made those of the other already.
        """
        if former['visibility'] == 'shared':
            self._agree(image, dict(self._catalogue.members(former['id'])),
                        _STATUSES)
        return {
            'name': former['name'], 'owner': former['owner'],
            'visibility': former['visibility'], properties.SHARED:
            former.get(properties.SHARED) or str(Share.PRIVATE)}

    def share(self, image: Image, projects: Collection[str]) -> None:
        """Share an image with these projects and no others.

        What those say of it that were its members before holds on.

        :raises HepixVmError: others change it all the time
        """
        # Pending is what a run that was killed left.
        self._agree(image, dict.fromkeys(projects, ACCEPTED), {PENDING})

    def _agree(self, image: Image, projects: Mapping[str, str],
               changing: Collection[str]) -> None:
        """Make an image have these members and no others.

        Two who do so at once may make a project a member twice: Glance
        looks whether it is one, and then writes. So who changed something
        looks again. A status is the member's own to change, at any time: it
        is set once.

        :param projects: with their status
        :param changing: of members that are there, if they have one of these
        """
        image_id = image['id']
        if image['visibility'] != 'shared':
            # Only shared images have members.
            self._catalogue.update(image_id, {'visibility': 'shared'})
        for _ in range(_TRIES):
            there = self._catalogue.members(image_id)
            times = collections.Counter(project for project, _ in there)
            stays = {project for project, status in there
                     if status == projects.get(project)
                     or status not in changing}
            if dict(times) == dict.fromkeys(projects, 1) and (
                    stays == times.keys()):
                return
            for project, number in sorted(times.items()):
                for _ in range(number - (project in projects)):
                    self._catalogue.remove_member(image_id, project)
                    stays.discard(project)
            for project in sorted(projects.keys() - stays):
                self._catalogue.add_member(
                    image_id, project, projects[project])
            changing = ()
        raise HepixVmError(
            f'The members of the image {image_id} change too often.',
            remedy='The next run tries again.')
