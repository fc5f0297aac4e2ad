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

"""Which servers run images that may not be used any more."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import functools
from typing import Self

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange import usage
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.servers import Running
from hepix_vm.trust.settings import Measure

_NO_CINDER = ('There is no Cinder here: of servers that run from volumes it '
              'is not known from which image.')


@dataclasses.dataclass(frozen=True, slots=True)
class OutOfUse:
    """An image that may not be used any more.

    :param state: as ``hepix_state`` says it now, or will
    :param measure: what the site wants of the servers that run it
    :param hinted: whether a server is meant of which only Cinder says that
        it runs it, and who may write that may lie
    """

    held: Held
    outcome: Outcome
    state: str
    measure: Measure
    hinted: bool = False

    @property
    def reason(self) -> str:
        """Why its servers are locked."""
        return (f'The image {self.held.image_id} is {self.state} and may not '
                f'be used any more (image trust policy of this cloud).')

    def as_hinted(self) -> Self:
        """Return it for such a server: nothing is done with that."""
        return dataclasses.replace(
            self, measure=Measure.REPORT, hinted=True)

    def shown_to(self, project: str) -> bool:
        """Return whether all members of a project may see the image."""
        return self.held.visibility == 'public' or (
            self.held.owner == project)


@dataclasses.dataclass(frozen=True, slots=True)
class Runner:
    """A server that runs an image.

    :param hinted: whether only Cinder says so, of its volume
    """

    server: Running
    hinted: bool


class Finder:
    """Finds servers by the images that they run.

    :param settler: knows which image Glance means by an id
    :param nova: the way to Nova
    :param cinder: returns the way to Cinder, if there is one; it is called
        where a server runs from a volume
    :param say: says one line to who began the sweep
    :param failed: is told what is not known, and why
    """

    def __init__(self, settler: Settler, nova: keystone_adapter.Adapter,
                 cinder: Callable[[], keystone_adapter.Adapter | None],
                 say: Callable[[str], None],
                 failed: Callable[[str, HepixVmError], None]) -> None:
        self._settler = settler
        self._nova = nova
        self._cinder = cinder
        self._say = say
        self._failed = failed
        # Whether all servers were seen that there may be.
        self.all = True

    def find(self, images: Collection[str]) -> Mapping[str, list[Runner]]:
        """Return the servers that run images, by these.

        :param images: Glance's ids
        :raises HepixVmError: Nova does not say
        """
        servers, silent = usage.running(self._nova, everywhere=True)
        if silent:
            self.all = False
            self._failed('There may be more servers', silent)
        roots = self._roots(servers)
        meant = functools.cache(functools.partial(
            self._meant, images, {each.lower() for each in images}))
        found: dict[str, list[Runner]] = {}
        for server in servers:
            known = {*map(meant, (server.image_id or '', *server.boots))}
            hints = {*map(meant, roots.get(server.identifier, ()))}
            for image_id in sorted((known | hints) - {''}):
                found.setdefault(image_id, []).append(
                    Runner(server, image_id not in known))
        return found

    def _meant(self, images: Collection[str], small: Collection[str],
               named: str) -> str:
        """Return which of some images is named; empty if none of them is.

        Nova keeps ids as they were typed. Whether capitals matter is a
        question of Glance's database, and where they do the other image is
        another one.
        """
        if named in images:
            return named
        if named.lower() not in small:
            return ''
        found = self.look(named)
        image_id = found[0].image_id if found else ''
        return image_id if image_id in images else ''

    def look(self, image_id: str) -> tuple[Held, Outcome] | None:
        """Return an image as it is judged now.

        :returns: None if there is none, an import holds it, or Glance does
            not say
        """
        try:
            return self._settler.look_now(image_id)
        except HepixVmError as error:
            self.all = False
            self._failed(f'It is not known whether servers may run the '
                         f'image {image_id}', error)
            return None

    def _roots(self,
               servers: Collection[Running]) -> Mapping[str, set[str]]:
        if not any(server.volumes for server in servers):
            return {}
        try:
            cinder = self._cinder()
            if cinder is not None:
                return usage.roots(cinder, servers)
            self._say(_NO_CINDER)
        except HepixVmError as error:
            self._failed('Of servers that run from volumes it is not known '
                         'from which image', error)
        self.all = False
        return {}
