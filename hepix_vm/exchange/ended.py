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

"""Servers whose image may not be used any more.

What runs, runs on when its image expires, is revoked or blocked. The sweep
finds these servers, says whose they are, and does with them what the site
wants. Several sweeps may be at work at once: what was done is not done again,
and whoever did it tells of it.
"""

from collections.abc import Callable
from collections.abc import Collection
import dataclasses
import logging

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.event import Affected
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.locking import Gone
from hepix_vm.exchange.locking import Locking
from hepix_vm.exchange.memory import Memory
from hepix_vm.exchange.owners import Owners
from hepix_vm.exchange.runners import Finder
from hepix_vm.exchange.runners import OutOfUse
from hepix_vm.exchange.runners import Runner
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange import tidings
from hepix_vm.gate import utcnow
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.journal import Journal
from hepix_vm.servers import Running
from hepix_vm.site import Site
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import running
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Mode

LOG = logging.getLogger(__name__)

_NO_NOVA = 'There is no Nova here, so its servers are not known.'
_GIVE_NOVA = ('Correct region_name or valid_interfaces in '
              '[service_credentials] of hepix-vm.conf, or give '
              'compute_endpoint there; or take running_servers out of '
              'policy.yaml.')
_RUNS_ON = ('It is to be stopped, and runs on; the next sweep tries again. If '
            'it was resized or is rescued, confirm the resize or end the '
            'rescue as an administrator. If its task is powering-off, its '
            'guest does not obey, and Nova waits as long as its image says '
            '(os_shutdown_timeout): on its host, virsh destroy ends that.')
_NOT_HIS = ('That it runs this image only Cinder says, where members of its '
            'project may write what they like. They may not see the image, '
            'and are not told.')
_SEEN, _UNSTOPPED = 'seen', 'unstopped'
_LOCKED, _STOPPING, _STOPPED = 'locked', 'stopping', 'stopped'
_OWNER, _BUSY = 'owner', 'busy'


@dataclasses.dataclass
class Tally:
    """What was found and done, in servers.

    :param stopping: those that were told to stop, which takes its time
    :param unstopped: those that are to be stopped and run on
    :param unknown: whether the servers are not known
    """

    servers: int = 0
    locked: int = 0
    stopping: int = 0
    unstopped: int = 0
    failed: int = 0
    unknown: bool = False

    def __str__(self) -> str:
        return 'servers unknown' if self.unknown else (
            f'servers {self.servers}, locked {self.locked}, '
            f'stopping {self.stopping}, unstopped {self.unstopped}')


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """The ways to the services that know servers, as far as there are any.

    :param nova: returns the way to Nova, if there is one; it is called where
        an image is out of use
    :param cinder: the same of Cinder; where a server runs from a volume
    :param identity: the way to Keystone, if there is one
    """

    nova: Callable[[], keystone_adapter.Adapter | None]
    cinder: Callable[[], keystone_adapter.Adapter | None]
    identity: keystone_adapter.Adapter | None


class Ended:
    """Finds servers, and does with them what the site wants.

    :param settler: judges images anew
    :param site: what the site decided
    :param state_dir: where the journal is, and what was told
    :param say: says one line to who began the sweep
    :param tell: tells of what was found or done
    :param dry_run: whether it is only said what would be done
    """

    def __init__(self, settler: Settler, site: Site, services: Services,
                 state_dir: str, say: Callable[[str], None],
                 tell: Callable[[Event], None], dry_run: bool) -> None:
        self._settler = settler
        self._site = site
        self._services = services
        self._journal = Journal(state_dir, SERVICE)
        self._memory = Memory(state_dir)
        self._owners = Owners(services.identity)
        self._say = say
        self._tell = tell
        self._dry_run = dry_run
        self._failures: set[str] = set()
        # Whether all servers were seen that there may be.
        self._all = True
        self.tally = Tally()

    def run(self, images: Collection[str]) -> Tally:
        """Look after the servers that run images.

        :param images: Glance's ids of those that are out of use
        """
        if images:
            try:
                self._look_after({*images})
            except HepixVmError as error:
                self._failed('The servers that run images which are out of '
                             'use are not known', error)
                self.tally.unknown = True
        if self._all and not (self._dry_run or self.tally.unknown):
            self._memory.forget_others()
        return self.tally

    def _look_after(self, images: set[str]) -> None:
        """Do what is to be done with all servers that run images.

        :raises HepixVmError: Nova does not say which these are, or the site
            wants more than to know, and there is no Nova
        """
        nova = self._services.nova()
        if nova is None:
            if self._site.policy.running_servers != RunningServers():
                raise HepixVmError(_NO_NOVA, remedy=_GIVE_NOVA)
            self._say(_NO_NOVA)
            self.tally.unknown = True
            return
        finder = Finder(self._settler, nova, self._services.cinder,
                        self._say, self._failed)
        locking = Locking(nova)
        for image_id, runners in sorted(finder.find(images).items()):
            # It may be in use again, or another one be worse.
            found = finder.look(image_id)
            ended = self._judged(*found) if found else None
            if ended is not None:
                self._image(locking, ended, runners)
        self._all = finder.all

    def _image(self, locking: Locking, ended: OutOfUse,
               runners: Collection[Runner]) -> None:
        # The site keeps users from writing what Cinder says, or should.
        proven = self._site.policy.volumes is Choice.INHERIT
        for runner in runners:
            self.tally.servers += 1
            try:
                self._server(locking, ended if proven or not runner.hinted
                             else ended.as_hinted(), runner.server)
            except HepixVmError as error:
                self._failed(f'It is not known who locked the server '
                             f'{runner.server.identifier}', error)

    def _judged(self, held: Held, outcome: Outcome) -> OutOfUse | None:
        state = outcome.values.get('hepix_state') or held.extra.get(
            'hepix_state', '')
        measure = running.measure(
            self._site.policy.running_servers, state,
            standing.undecided(outcome.verdict))
        if (measure is None or outcome.verdict.mode is not Mode.ENFORCING
                or (outcome.status or held.status) != 'deactivated'):
            return None
        return OutOfUse(held, outcome, state, measure)

    def _server(self, locking: Locking, ended: OutOfUse,
                server: Running) -> None:
        """Do with a server what is to be done.

        :raises ServiceError: Nova does not say by whom it is locked
        """
        key = f'server {ended.held.image_id} {server.identifier}'
        self._memory.keep(f'{key} {_LOCKED}', *_told(ended, server))
        locked = server.locked and ended.measure is not Measure.REPORT and (
            self._memory.knows(f'{key} {_LOCKED}') or locking.holds(server))
        due = running.due(ended.measure, server.state, server.power, locked)
        if self._dry_run:
            self._say_of(server, ended, 'would be', [
                *[_LOCKED] * due.lock, *[_STOPPED] * due.stop])
            return
        did, runs_on, gone = self._act(locking, ended, server, due)
        if gone and not did:
            self._say(f'{server.identifier} is gone')
            return
        self._done(server, ended, did, locked)
        self._obeys(key, server, ended, _STOPPING in did)
        if locked or _LOCKED in did:
            self._memory.add(f'{key} {_LOCKED}')
        if runs_on:
            self._runs_on(key, server, ended, due)

    def _act(self, locking: Locking, ended: OutOfUse, server: Running,
             due: running.Due) -> tuple[list[str], bool, bool]:
        """Lock and stop a server, as far as it is due.

        What fails is for the next sweep.

        :returns: what was done, whether it is to be stopped and runs on, and
            whether it is gone
        """
        did: list[str] = []
        runs_on = due.stop or due.held_up
        try:
            if due.lock:
                locking.lock(server, ended.reason)
                did.append(_LOCKED)
            if due.stop and locking.stop(server):
                did.append(_STOPPING)
                runs_on = False
        except Gone:
            return did, False, True
        except HepixVmError as error:
            self._failed(f'The server {server.identifier} cannot be locked '
                         f'or stopped', error)
            return did, runs_on, False
        if due.later or runs_on:
            self._say(f'{server.identifier} cannot be locked or stopped as '
                      f'it should be while it is {server.status}; the next '
                      f'sweep tries again')
        return did, runs_on, False

    def _obeys(self, key: str, server: Running, ended: OutOfUse,
               told: bool) -> None:
        """Journal that a server stopped that was told to.

        How long Nova gives its guest for that, its image says, and so who
        made that one. What runs at the next sweep is reported by that.

        :param told: whether it was told just now
        """
        stopping = f'{key} {_STOPPING}'
        if told:
            self._memory.add(stopping, f'{key} {_BUSY}')
        elif server.state == _STOPPED and self._memory.knows(stopping):
            self._say_of(server, ended, 'was', [_STOPPED])
            self._record(server, ended, _STOPPED)
            self._memory.forget(stopping)
        self._memory.keep(stopping, *[f'{key} {_BUSY}'] * told)

    def _runs_on(self, key: str, server: Running, ended: OutOfUse,
                 due: running.Due) -> None:
        """Journal and tell, once, that a server cannot be stopped.

        What Nova is busy with may pass until the next sweep.
        """
        self.tally.unstopped += 1
        busy, told = f'{key} {_BUSY}', f'{key} {_UNSTOPPED}'
        self._memory.keep(busy, told)
        if not due.held_up and not self._memory.knows(busy):
            self._memory.add(busy)
        elif not self._memory.knows(told):
            self._record(server, ended, _UNSTOPPED)
            self._news(_UNSTOPPED, server, ended, '', _RUNS_ON)
            self._memory.add(told)

    def _done(self, server: Running, ended: OutOfUse, did: list[str],
              locked: bool) -> None:
        """Journal and tell what was found or done, if that is news.

        Its owner is told of it once, and later if he is not known now.
        """
        key, owner = _told(ended, server)
        first = not self._memory.knows(key)
        # Another controller locked it, and told of it.
        others = (first and not did and locked
                  and server.reason == ended.reason)
        untold = not (others or self._memory.knows(owner))
        if first or did:
            self._say_of(server, ended, 'was', did)
            self.tally.locked += _LOCKED in did
            self.tally.stopping += _STOPPING in did
            for action in did or [_SEEN]:
                self._record(server, ended, action)
        elif not untold:
            return
        email, why = self._owner(server, ended) if untold else ('', '')
        if (first or did) and not others:
            self._news(did[-1] if did else _SEEN, server, ended,
                       email or '', why)
        elif email:
            self._news(_OWNER, server, ended, email, '')
        elif untold and email is not None:
            self._say(f'{server.identifier}: {why}')
        self._memory.add(key, *[owner] * (email is not None))

    def _record(self, server: Running, ended: OutOfUse, action: str) -> None:
        self._journal.record({
            'time': format_time(utcnow()), 'event': 'server',
            'action': action, 'server': server.identifier,
            'project': server.project, 'user': server.user,
            'status': server.status, 'image': ended.held.image_id,
            'state': ended.state, 'reasons': [
                each.as_dict() for each in ended.outcome.verdict.reasons]})

    def _news(self, action: str, server: Running, ended: OutOfUse, email: str,
              why: str) -> None:
        """Tell what was found or done, and operators why."""
        kind = Kind.SERVER_RUNS if action == _SEEN else Kind(
            f'server-{action}')
        self._tell(tidings.of_server(
            kind, Affected(
                server.identifier, server.name, server.project, server.user,
                server.status, email),
            ended.held, ended.outcome, self._site, utcnow(), why))

    def _owner(self, server: Running,
               ended: OutOfUse) -> tuple[str | None, str]:
        """Return the address of who made a server, or why there is none.

        It is None if Keystone does not say, and asked for by the next sweep.
        """
        if ended.hinted and not ended.shown_to(server.project):
            return '', _NOT_HIS
        try:
            email = self._owners.email(server.user)
        except HepixVmError as error:
            self._failed('Who made servers is not told until Keystone says '
                         'who they are', error)
            return None, ('Keystone does not say who made it; he is told as '
                          'soon as it does.')
        return email, '' if email else (
            'Who made it has no mail address in Keystone, and is not told.')

    def _say_of(self, server: Running, ended: OutOfUse, verb: str,
                did: list[str]) -> None:
        what = ' and '.join(did).replace(
            _STOPPING, 'told to stop') or 'reported'
        self._say(f'{server.identifier} {verb} {what}: its image '
                  f'{ended.held.image_id} is {ended.state}')

    def _failed(self, what: str, error: HepixVmError) -> None:
        """Count and log what failed, once a sweep."""
        if what in self._failures:
            return
        self._failures.add(what)
        self.tally.failed += 1
        LOG.error('%s: %s %s', what, error.message, error.remedy)


def _told(ended: OutOfUse, server: Running) -> tuple[str, str]:
    """Return what is remembered when operators were told, and the owner."""
    key = (f'server {ended.held.image_id} {server.identifier} '
           f'{ended.state}')
    return key, f'{key} {_OWNER}'
