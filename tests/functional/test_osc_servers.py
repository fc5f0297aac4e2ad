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

"""``openstack server endorsement list``, with real Keystone and Nova."""

import functools
import os

import pytest

from hepix_vm.exchange.runs import GONE
from hepix_vm.exchange.runs import VOLUME
from hepix_vm.osc import server_endorsement
from tests.functional import world as worlds
from tests.testbed.clouds import write_clouds
from tests.testbed.openstack import OpenStack
from tests.testbed.site import entry

COMMAND = 'server endorsement list'


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from worlds.run(tmp_path_factory.mktemp('world'))


@pytest.fixture
def run(world, tmp_path, monkeypatch):
    """Return what runs a command as a user."""
    write_clouds(tmp_path / 'clouds.yaml', world)
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE', str(tmp_path / 'clouds.yaml'))

    def run(user, *arguments, status=0, command=COMMAND):
        ran = OpenStack(world.site, '--os-cloud', user)(
            command, *arguments, '-f', 'json')
        assert ran.status == status, ran.err
        return ran
    return run


def test_cells_that_do_not_answer(world, run):
    server = world.server(world.base(os.urandom(100)))
    with world.nova.failing('instances'):
        for asked in (['admin', '--all-projects'], ['alice']):
            ran = run(*asked, status=1)
            assert 'A cell of Nova does not answer' in ran.err
            assert [row['State'] for row in ran.json] == ['unknown']
    world.nova.forget(server)


def test_which_servers_run_what(world, run):
    data = os.urandom(100)
    base = world.base(data)
    gone = world.base(os.urandom(100))
    servers = {world.server(base): (base, 'endorsed'),
               world.server(base): (base, 'endorsed'),
               world.server(gone): (gone, GONE),
               world.server(''): ('', VOLUME)}
    other = world.server(base, project='cms')
    assert world.alice.delete(gone).status_code == 204

    def shown(ran):
        return {row['ID']: (row['Image ID'], row['State'])
                for row in ran.json}
    assert shown(run('alice')) == servers
    assert shown(run('admin', '--all-projects')) == {
        **servers, other: (base, 'endorsed')}
    assert set(shown(run('alice', '--image', gone))) == {
        server for server, (image, _) in servers.items() if image == gone}
    assert len(shown(run('alice', '--state', 'volume'))) == 1
    # The sweep does not find these.
    assert [*shown(run('admin', '--all-projects', '--state', GONE)).values()
            ] == [(gone, GONE)]
    # An administrator has no servers himself.
    ran = run('admin', '--image', gone)
    assert ran.json == []
    assert '--all-projects' in ran.err
    rows = run('admin', '--all-projects', '--image', base).json
    row = rows[0]
    assert (row['Name'], row['Status'], row['Image Name']) == (
        'server', 'ACTIVE', 'image')
    assert row['Expires'].endswith('Z')
    assert {row['Project ID'] for row in rows} == {
        world.keystone.project(name) for name in ('atlas', 'cms')}


def test_whoever_is_no_administrator(run):
    ran = run('alice', '--all-projects', status=1)
    assert ran.out == ''
    assert 'Nova does not say which servers there are' in (
        ran.err.splitlines()[-1])


def test_audit_counts_servers_and_knows_projects(world, run):
    base = world.base(os.urandom(100))
    servers = {world.server(base), world.server(base, project='cms')}
    world.server('')
    audit = functools.partial(run, command='image endorsement audit')
    ran = audit('admin', '--all-projects')
    row, = (row for row in ran.json if row['ID'] == base)
    assert (row['Servers'], row['Project'], row['State']) == (
        len(servers), 'atlas', 'endorsed')
    assert row['Project ID'] == world.keystone.project('atlas')
    assert 'run from volumes count with no image: ' in ran.err
    assert 'and reactivates 0.' in ran.err
    # Of his own project, which has none.
    assert audit('admin').json == []
    with world.nova.failing('services'):
        ran = audit('admin', '--all-projects')
    assert {row['Servers'] for row in ran.json} == {None}
    assert 'A cell of Nova does not answer' in ran.err


def test_what_was_blocked_names_its_servers(world, run):
    data = os.urandom(100)
    base = world.base(data)
    servers = {world.server(base), world.server(base, project='cms')}
    ran = run('admin', base, '--block', '--reason', 'CVE-2026-0001',
              command='image endorsement set')
    row, = ran.json
    assert set(row['Servers']) == servers
    for server in servers:
        assert f'The server {server} (server) of the project ' in ran.err
    # They concern nobody who takes it back.
    ran = run('admin', base, '--unblock', '--reason', 'x',
              command='image endorsement set')
    assert set(ran.json[0]['Servers']) == servers
    assert 'The server' not in ran.err
    run('admin', base, '--block', '--reason', 'CVE-2026-0001',
        command='image endorsement set')
    # Who logged in said so.
    assert 'admin@Default blocked data' in row['Reason']
    shown = run('admin', '--state', 'blocked', '--all-projects').json
    assert {row['ID'] for row in shown} == servers
    ran = run('admin', '--sha512', entry(data).sha512, '--reason', 'x',
              command='image endorsement revoke')
    assert set(ran.json[0]['Servers']) == servers


def test_the_states_of_the_command():
    assert set(server_endorsement._OTHERS) == {GONE, VOLUME, 'unknown'}
