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

"""``openstack server context show``, with real Keystone, Nova and Glance."""

import os

import pytest

from tests.functional import world as worlds
from tests.testbed.clouds import write_clouds
from tests.testbed.openstack import OpenStack

SECRET = 'c0rrect-h0rse'
CONTEXT = f"""\
secrets: {{token: {SECRET}}}
rules:
  - match: {{vo: vo.example.org}}
    prolog: [vo.sh]
  - match: {{host: compute1}}
    epilog: [host.sh]
  - match: {{project: PROJECT}}
    files: [atlas]
"""
SCRIPTS = {'vo.sh': '#!/bin/sh\necho "$HEPIX_SECRET_TOKEN"\n',
           'host.sh': f'#!/bin/sh\necho {SECRET}\n', 'atlas': 'atlas\n'}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('world')
    path = folder / 'context.yaml'
    for made in worlds.run(folder, settings={'context_file': str(path)}):
        parts = folder / 'context'
        parts.mkdir()
        for name, text in SCRIPTS.items():
            (parts / name).write_text(text)
        path.write_text(CONTEXT.replace(
            'PROJECT', made.keystone.project('atlas')))
        yield made


@pytest.fixture
def show(world, tmp_path, monkeypatch):
    """Return what runs the command as a user."""
    write_clouds(tmp_path / 'clouds.yaml', world)
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE', str(tmp_path / 'clouds.yaml'))

    def show(user, *arguments):
        ran = OpenStack(world.site, '--os-cloud', user)(
            'server context show -f json', *arguments)
        assert SECRET not in ran.out + ran.err
        assert 'Traceback' not in ran.err
        return ran

    return show


def names(parts):
    return [part['name'] for part in parts]


def test_what_a_server_gets(world, show):
    base = world.base(os.urandom(100))
    server = world.server(base)
    ran = show('admin', server)
    shown = ran.json
    assert (ran.status, ran.err) == (0, '')
    assert (shown['server_id'], shown['image_id'], shown['vo'],
            shown['host'], shown['project_id']) == (
        server, base, 'vo.example.org', 'compute1',
        world.keystone.project('atlas'))
    assert names(shown['prolog']) == ['vo.sh']
    assert shown['epilog'][0]['text'] == '#!/bin/sh\necho (hidden)\n'
    assert names(shown['files']) == ['atlas']
    assert shown['variables']['HEPIX_SERVER_UUID'] == server
    assert shown['variables']['HEPIX_SERVER_NAME'] == 'server'
    assert shown['variables']['HEPIX_SECRET_TOKEN'] == '(hidden)'

    # Administrators name servers of other projects as well.
    assert show('admin', 'server').json['server_id'] == server
    # By its name, as one whom Nova tells less.
    ran = show('alice', 'server')
    assert ran.status == 0
    assert (ran.json['server_id'], ran.json['host'], ran.json['epilog']) == (
        server, '', [])
    assert 'Nova tells an administrator only' in ran.err
    other = world.server(base)
    ran = show('alice', 'server')
    assert (ran.status, ran.out) == (1, '')
    assert ran.err.startswith('2 servers are called server: ')
    for each in (server, other):
        world.nova.forget(each)


def test_what_servers_of_an_image_get(world, show):
    base = world.base(os.urandom(100))
    shown = show('admin', '--image', base).json
    assert (shown['image_id'], shown['vo']) == (base, 'vo.example.org')
    assert names(shown['prolog']) == ['vo.sh']
    shown = show('admin', '--image', base, '--vo', 'other').json
    assert (shown['image_id'], shown['prolog']) == (base, [])


def test_projects_by_name(world, show):
    assert names(show('admin', '--project', 'atlas').json['files']) == [
        'atlas']
    ran = show('admin', '--project', 'Default:cms')
    assert (ran.json['project_id'], ran.json['files']) == (
        world.keystone.project('cms'), [])
    ran = show('admin', '--project', 'nobody')
    assert (ran.status, ran.err.count('\n')) == (1, 1)
    assert 'There is no project nobody' in ran.err


@pytest.mark.parametrize('user', ['admin', 'alice'])
@pytest.mark.parametrize(('arguments', 'why'), [
    (['missing'], 'There is no server missing that you may see.'),
    (['6a0a4b7c-51d5-4a55-8f6e-3d0f0c1e9b42'], 'There is no server'),
    (['--image', 'missing'], 'There is no image missing')])
def test_what_is_not_there(show, user, arguments, why):
    ran = show(user, *arguments)
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert ran.err.startswith(why)
