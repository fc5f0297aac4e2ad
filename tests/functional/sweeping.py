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

"""A controller that sweeps a cloud with servers, for tests."""

import dataclasses
import functools
import json

import requests

from hepix_vm.cmd import sync
from hepix_vm import paths

CELL = 'nova.sqlite'


# Keystone takes its time, and says the same each time.
@functools.cache
def users(world):
    return {user['name']: user['id'] for user
            in world.keystone._call('GET', '/users')['users']}


@functools.cache
def project_of(world, name):
    return world.keystone.project(name)


@functools.cache
def token_of(world, user, project):
    return world.keystone.token(user, project)


class Site:
    """The cloud, and what a test makes in it.

    :param folder: of a controller
    """

    def __init__(self, world, capsys, folder):
        self.world = world
        self.servers = []
        self._capsys = capsys
        self._folder = folder
        self.more = {}
        self.configure()

    def configure(self, state='state', **credentials):
        """Be a controller, with a folder of its own."""
        world, site = self.world, self.world.site
        self.state = self._folder / state
        self.state.mkdir(exist_ok=True)
        site.write_config(state_dir=str(self.state), **self.more)
        site.write_credentials({
            **world.keystone.account('admin', 'admin'),
            'image_endpoint': world.cloud.glance.url,
            'compute_endpoint': f'{world.nova.url}/v2.1', **credentials})

    def server(self, image, user='alice', project='atlas', **more):
        server = self.world._done(self.world.nova.compute(
            'add', project=project_of(self.world, project), image=image,
            user=users(self.world)[user],
            token=token_of(self.world, 'admin', 'admin'), **more))
        self.servers.append(server)
        return server

    def act(self, server, body, user='alice', project='atlas'):
        return self.world.nova.action(
            token_of(self.world, user, project), server, body)

    def show(self, server):
        """Return a server as Nova shows it to an administrator."""
        answer = requests.get(
            f'{self.world.nova.url}/v2.1/servers/{server}', timeout=60,
            headers={
                'X-Auth-Token': token_of(self.world, 'admin', 'admin'),
                'OpenStack-API-Version': 'compute 2.73'})
        answer.raise_for_status()
        return answer.json()['server']

    def become(self, server, state):
        """Let a server be in a state, as nova-compute would."""
        self.world.nova.query(
            CELL, 'UPDATE instances SET vm_state = ?, task_state = NULL '
            'WHERE uuid = ?', (state, server))

    def sweep(self, *more, status=0):
        self._capsys.readouterr()
        code = sync.main(['--sweep', *more])
        said = self._capsys.readouterr()
        assert 'Traceback' not in said.err
        assert code == status, said.err
        return Swept(said.out, said.err, said.out.splitlines()[-1].partition(
            'failed 0, ')[2])

    def journal(self):
        """Return what was journalled of servers, without the time."""
        path = self.state / 'journal' / 'hepix-vm-sync.jsonl'
        records = [json.loads(line) for line in
                   path.read_text().splitlines()] if path.exists() else []
        return [record for record in records if record['event'] == 'server']

    def did(self):
        return [(record['server'], record['action'])
                for record in self.journal()]

    def actions(self, server):
        return [action for each, action in self.did() if each == server]


@dataclasses.dataclass
class Swept:
    out: str
    err: str
    tally: str


def tally(servers, locked=0, stopping=0, unstopped=0):
    return (f'servers {servers}, locked {locked}, stopping {stopping}, '
            f'unstopped {unstopped}')


def mailed(site, server):
    """Let a site mail what happens."""
    site.more = {
        'notifiers': 'log, email', 'smtp_tls': 'none',
        'smtp_port': str(server.port), 'operators': 'ops@example.org',
        'mail_from': 'images@example.org'}
    site.configure()


def controlled(world, capsys, tmp_path, monkeypatch):
    """Yield a cloud's site for one test, for fixtures."""
    monkeypatch.setenv(paths.ENVIRONMENT, str(world.site.config))
    made = Site(world, capsys, tmp_path)
    yield made
    for server in made.servers:
        world.nova.forget(server)
    world.site.write_policy()
