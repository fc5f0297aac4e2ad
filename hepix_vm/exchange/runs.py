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

"""Which servers run what: Nova's servers, and what Glance shows of images."""

from collections.abc import Collection
from collections.abc import Iterator
import dataclasses
import datetime
import itertools

from hepix_vm.exchange.audit import UNKNOWN
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange import marks
from hepix_vm.servers import Running

# What is said in place of a state where there is none to be shown.
VOLUME = 'volume'  # it runs from a volume, which may have been written to
GONE = 'gone'  # no such image is shown: it was deleted, or is another's
# Ids in a question: web servers take addresses of some 4 KiB.
_AT_ONCE = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A server with the image that it runs from.

    :param image: None if there is none to be shown
    :param state: of the image, or what is said in its place
    """

    server: Running
    image: Image | None
    state: str

    def of(self, name: str) -> str:
        """Return an attribute or a property of the image, as one line."""
        return marks.line(self.image, name) if self.image else ''


def look(catalogue: Catalogue, servers: Collection[Running],
         at: datetime.datetime) -> list[Run]:
    """Return what servers run, with few questions.

    :param at: now, UTC
    :raises ServiceError: Glance does not say it
    """
    images = {image['id']: image for image in _images(
        catalogue, sorted({server.image_id for server in servers
                           if server.image_id}))}
    return [_run(server, images.get(server.image_id or ''), at)
            for server in servers]


def _images(catalogue: Catalogue, ids: Collection[str]) -> Iterator[Image]:
    left = iter(ids)
    while some := list(itertools.islice(left, _AT_ONCE)):
        yield from catalogue.images(
            messages=False, id=f'in:{",".join(some)}')


def _run(server: Running, image: Image | None, at: datetime.datetime) -> Run:
    if image:
        state = marks.state(image, at) or UNKNOWN
    elif server.image_id is None:
        state = UNKNOWN
    else:
        state = GONE if server.image_id else VOLUME
    return Run(server, image, state)
