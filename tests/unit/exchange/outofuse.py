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

"""A cloud with one image that is out of use, for tests of the sweep."""

import datetime
import types

from hepix_vm.errors import Code
from hepix_vm.exchange.ended import Ended
from hepix_vm.exchange.ended import Services
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.unit.exchange.test_usage import Service

AT = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
IMAGE = '452c18f3-0b61-46f2-9d9a-9c7c79edbb42'


class Nova(Service):
    """A Nova with servers.

    :param answers: to actions, in place of doing them
    :param actions: that are on record of all servers, the newest first
    """

    def __init__(self, *present, answers=None, actions=()):
        self.did = []
        self.reasons = []
        self.answers = answers or {}

        def answer(path, asked):
            if path == '/os-services':
                return {'services': []}
            if path == '/servers/detail':
                return {'servers': list(present)}
            if path.endswith('/os-instance-actions'):
                return {'instanceActions': list(actions)}
            return self.answers.get(self.did[-1][1], 202)
        super().__init__(answer)
        self.endpoint_override = 'http://nova'

    def request(self, path, method, **more):
        if method == 'POST':
            name, = more['json']
            assert path.endswith('/action')
            assert more['headers'] == {
                'OpenStack-API-Version': 'compute 2.73'}
            self.did.append((path.split('/')[2], name))
            if name == 'lock':
                self.reasons.append(more['json'][name]['locked_reason'])
        return super().request(path, method, **more)


def server(number='1', state='active', **more):
    return {'id': number, 'name': 'x', 'tenant_id': 'atlas',
            'user_id': 'alice', 'status': state.upper(),
            'image': {'id': IMAGE}, 'OS-EXT-STS:vm_state': state,
            'OS-EXT-STS:power_state': 1, 'locked': False, **more}


class Keystone(Service):
    """A Keystone with one user."""

    def __init__(self, answer=None):
        super().__init__(lambda path, asked: (
            answer or {'user': {'email': f'{path[7:]}@example.org'}}))


class Images:
    """Judges the one image as it is told."""

    def __init__(self, state='revoked', code=Code.IMAGE_REVOKED,
                 mode=Mode.ENFORCING, status='deactivated', capitals=True):
        self.capitals = capitals  # whether they matter to its database
        self.answer = (
            Held(IMAGE, status, 'atlas', AT, extra={'hepix_state': state}),
            Outcome(Verdict((Reason(code, 'It is so.'),), mode=mode), '', {}))
        self.failed = None

    def look_now(self, image_id):
        assert image_id.lower() == IMAGE
        if self.failed:
            raise self.failed
        return self.answer if image_id == IMAGE or not self.capitals else None


def looker(folder):
    """Return what sweeps once: with what was said and told."""
    def look(nova, measure=Measure.STOP, images=None, keystone=None,
             dry_run=False, out=(IMAGE,), cinder=None, **policy):
        site = types.SimpleNamespace(
            policy=Policy(running_servers=RunningServers(
                *[measure] * 5), **policy),
            accepted=types.SimpleNamespace(by_uuid={}))
        said, told = [], []
        tally = Ended(
            images or Images(), site,
            Services(lambda: nova, lambda: cinder, keystone or Keystone()),
            str(folder), said.append, told.append, dry_run).run(out)
        return types.SimpleNamespace(tally=tally, said=said, told=told)
    return look
