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

"""Nova asks the running service, and a drive is made of the answers."""

from collections.abc import Iterator
import io
import json
import pathlib
import subprocess
from typing import Any
import uuid

import pycdlib
import pytest
import yaml

from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.testbed.client import Client
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed import serving
from tests.testbed.vendordata import Metadata
from tests.testbed.vendordata import PASTE
from tests.testbed.vendordata import Vendordata

DATA = b'an image of the VO'
SECRET = 'hunter2'

SCRIPTS = {
    'all.sh': '#!/bin/sh\necho "for all at $HEPIX_SITE_SQUID"\n',
    'vo.sh': '#!/bin/sh\necho "for $HEPIX_IMAGE_VO, $HEPIX_SERVER_UUID"\n',
    'host.sh': '#!/bin/sh\necho here\n',
    'secret.sh': '#!/bin/sh\necho "$HEPIX_SECRET_PASSWORD"\n'}


class World:
    """Keystone, Glance, the service, and Nova."""

    def __init__(self, keystone: Keystone, cloud: Cloud, nova: Metadata,
                 stranger: Metadata, folder: pathlib.Path) -> None:
        self.keystone = keystone
        self.cloud = cloud
        self.nova = nova
        self.stranger = stranger
        self.folder = folder
        self.site = cloud.site
        self.alice = Client(cloud.glance.url, Token(  # type: ignore[arg-type]
            keystone.token('alice', 'atlas')))
        self.admin = Client(cloud.glance.url, Token(  # type: ignore[arg-type]
            keystone.token('admin', 'admin')))
        self.image = self.alice.create(
            hepix_endorsement=self.site.endorse(DATA))
        assert self.alice.put(self.image, DATA).status_code == 204

    def server(self, **values: Any) -> dict[str, Any]:
        """Return a server that Nova has."""
        return {'uuid': str(uuid.uuid4()), 'project_id': 'p',
                'image_ref': self.image, 'hostname': 'worker',
                'metadata': {'user': 'wrote this'},
                'user_data': '#cloud-config\npassword: letmein\n', **values}

    def drive(self, service: str, fatal: bool = False,
              **values: Any) -> tuple[Any, dict[str, bytes]]:
        """Make a config drive; return what was asked and what is on it."""
        folder = self.folder / str(uuid.uuid4())
        folder.mkdir()
        answers = self.nova.ask(
            'drive', targets(service), self.server(**values), fatal, folder)
        assert isinstance(answers, list), self.nova.log.read_text()
        return answers, files_of(folder / 'disk.config')


def targets(url: str) -> dict[str, str]:
    return {'hepix_vm': f'{url}/hepix_vm',
            'cloud-init': f'{url}/cloud-init'}


def files_of(path: pathlib.Path) -> dict[str, bytes]:
    """Return the files of a drive by their path."""
    drive = pycdlib.PyCdlib()
    drive.open(str(path))
    found = {}
    for folder, _, names in drive.walk(rr_path='/'):
        for name in names:
            where = f'{folder.rstrip("/")}/{name}'
            content = io.BytesIO()
            drive.get_file_from_iso_fp(content, rr_path=where)
            found[where.lstrip('/')] = content.getvalue()
    drive.close()
    return found


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Such a world."""
    folder = tmp_path_factory.mktemp('world')
    with Keystone(folder / 'keystone') as keystone:
        keystone.add_user('alice', 'atlas', 'member', 'reader')
        clouds = start(
            folder, authtoken=keystone.middleware('glance'),
            credentials=keystone.account('admin', 'admin'),
            settings={'vendordata_paste': str(PASTE),
                      'context_file': str(folder / 'context.yaml')})
        cloud = next(clouds)
        try:
            prepare(folder, keystone, cloud)
            config = cloud.site.config
            with Metadata(folder / 'nova', keystone.account(
                    'nova', 'service'), config) as nova, Metadata(
                    folder / 'stranger', keystone.account(
                        'alice', 'atlas'), config) as stranger:
                yield World(keystone, cloud, nova, stranger, folder)
        finally:
            next(clouds, None)


def prepare(folder: pathlib.Path, keystone: Keystone, cloud: Cloud) -> None:
    """Write the context and the settings of keystonemiddleware."""
    cloud.site.write_credentials({
        **keystone.account('admin', 'admin'),
        'image_endpoint': cloud.glance.url})
    with cloud.site.config.open('a') as config:
        config.write('[keystone_authtoken]\n' + ''.join(
            f'{name} = {value}\n' for name, value
            in keystone.middleware('glance').items()))
    scripts = folder / 'context'
    scripts.mkdir()
    for name, text in SCRIPTS.items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o755)
    write_context(folder)


def write_context(folder: pathlib.Path) -> None:
    (folder / 'context.yaml').write_text(yaml.safe_dump({
        'variables': {'squid': 'squid.example.org'},
        'secrets': {'password': SECRET},
        'rules': [
            {'match': {}, 'prolog': ['all.sh', 'secret.sh']},
            {'match': {'vo': 'vo.example.org'}, 'epilog': ['vo.sh']},
            {'match': {'availability_zone': 'nova'},
             'prolog': ['host.sh']}]}))


@pytest.fixture(scope='module', params=['gunicorn', 'uwsgi'])
def service(request: pytest.FixtureRequest, world: World,
            ) -> Iterator[Vendordata]:
    """The service under each server."""
    with Vendordata(world.folder / request.param, world.site.config,
                    request.param) as running:
        yield running


def run(script: str, *arguments: str) -> str:
    """Run a script as a guest does."""
    done = subprocess.run(['sh', '-s', *arguments], input=script, text=True,
                          capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


@pytest.mark.parametrize('fatal', [False, True])
def test_nova_is_told_of_the_image(world: World, service: Vendordata,
                                   fatal: bool) -> None:
    server = world.server()
    found = world.nova.ask('dynamic', targets(service.url), server, fatal)
    answer = found['hepix_vm']
    image = world.admin.image(world.image)
    assert answer['image'] == {
        'uuid': world.image, 'identifier': image['hepix_image_id'],
        'endorser': image['hepix_endorser_dn'], 'vo': 'vo.example.org'}
    assert run(answer['prolog']) == 'for all at squid.example.org\n'
    assert run(answer['epilog'], 'start') == (
        f'for vo.example.org, {server["uuid"]}\n')
    assert SECRET not in json.dumps(found)
    assert found['cloud-init'].startswith('Content-Type: multipart/mixed')
    log = service.log.read_text()
    assert server['uuid'] in log
    assert 'letmein' not in log and 'bGV0bWVpbg' not in log


def test_the_six_calls_get_one_answer(world: World, service: Vendordata,
                                      ) -> None:
    answers, files = world.drive(service.url)
    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)
    kept = [content for name, content in files.items()
            if name.endswith('vendor_data2.json')]
    assert len(kept) == 6 and len(set(kept)) == 1


def test_the_rules_of_the_vo_apply_to_the_drive(
        world: World, service: Vendordata) -> None:
    _, files = world.drive(service.url, fatal=True)
    assert files['context/epilog.d/vo.sh'] == SCRIPTS['vo.sh'].encode()
    variables = files['context/variables.sh'].decode()
    assert "export HEPIX_IMAGE_VO='vo.example.org'\n" in variables
    # Host and zone are known on the compute host only, and so are secrets.
    assert 'context/prolog.d/host.sh' in files
    assert f"export HEPIX_SECRET_PASSWORD='{SECRET}'\n" in variables
    vendor_data = files['openstack/latest/vendor_data2.json']
    assert SECRET.encode() not in vendor_data
    assert b'echo here' not in vendor_data


@pytest.mark.parametrize('image', ['', '11111111-1111-4111-8111-111111111111'])
def test_from_a_volume_or_an_image_that_is_gone(
        world: World, service: Vendordata, image: str) -> None:
    answers, files = world.drive(service.url, fatal=True, image_ref=image)
    assert set(answers[0]['hepix_vm']['image'].values()) == {''}
    assert 'context/epilog.d/vo.sh' not in files
    assert 'context/prolog.d/all.sh' in files


def test_an_image_that_nobody_endorses_any_more(
        world: World, service: Vendordata) -> None:
    image = world.alice.create(hepix_endorsement=world.site.endorse(b'2'))
    assert world.alice.put(image, b'2').status_code == 204
    # The gate sets right what comes through Glance, and looks again at
    # what just came.
    world.cloud.glance.stop()
    world.cloud.glance.query(
        "UPDATE image_properties SET value = 'expired' "
        "WHERE image_id = ? AND name = 'hepix_state'", (image,))
    world.cloud.glance.start()
    assert world.admin.image(image)['hepix_state'] == 'expired'
    answers, files = world.drive(service.url, fatal=True, image_ref=image)
    assert answers[0]['hepix_vm']['image'] == {
        'uuid': image, 'identifier': '', 'endorser': '', 'vo': ''}
    assert 'context/epilog.d/vo.sh' not in files


def nothing(world: World, url: str, error: str,
            nova: Metadata | None = None, **values: Any) -> None:
    """See that Nova gets nothing, and that it is an error where fatal."""
    nova = nova or world.nova
    server = world.server(**values)
    assert nova.ask('dynamic', targets(url), server) == {
        'hepix_vm': {}, 'cloud-init': {}}
    assert nova.ask('dynamic', targets(url), server, fatal=True) == error


def test_a_service_that_is_down(world: World) -> None:
    nothing(world, 'http://127.0.0.1:1', 'ConnectFailure')
    answers, files = world.drive('http://127.0.0.1:1')
    assert answers[0]['hepix_vm'] == {}
    assert 'context/prolog.d/all.sh' in files
    assert 'context/prolog.d/host.sh' in files
    assert 'context/epilog.d/vo.sh' not in files
    assert "export HEPIX_IMAGE_VO=''\n" in files[
        'context/variables.sh'].decode()


def test_who_has_none_of_the_roles(world: World, service: Vendordata,
                                   ) -> None:
    nothing(world, service.url, 'Forbidden', world.stranger)


def test_without_a_token(service: Vendordata) -> None:
    for token in ('', 'forged'):
        for target in ('hepix_vm', 'cloud-init', 'other'):
            answer = service.ask(target, token, {})
            assert answer.status_code == 401, answer.text


def test_bodies_of_any_shape(world: World, service: Vendordata) -> None:
    token = world.keystone.token('nova', 'service')
    for body in (None, [], {}, 'x', {'instance-id': ['x'] * 1000},
                 {'instance-id': 'x', 'project-id': 'y' * 300},
                 {'user-data': 'x' * 2_000_000}):
        answer = service.ask('hepix_vm', token, body)
        assert answer.status_code == 400, answer.text
        assert set(answer.json()['error']) == {'message', 'remedy'}


def test_files_that_are_broken(world: World, service: Vendordata) -> None:
    token = world.keystone.token('nova', 'service')
    context = world.folder / 'context.yaml'
    try:
        context.write_text('rules: 1\n')
        nothing(world, service.url, 'ServiceUnavailable')
        answer = service.ask('hepix_vm', token, {
            'instance-id': 'broken', 'project-id': 'p'})
        assert answer.status_code == 503
        assert f'{context}:1' in answer.json()['error']['message']
    finally:
        write_context(world.folder)
    found = world.nova.ask('dynamic', targets(service.url), world.server())
    assert found['hepix_vm']['prolog']


def test_a_glance_that_is_down(world: World, service: Vendordata) -> None:
    world.cloud.glance.stop()
    try:
        # One that was not asked for just before.
        nothing(world, service.url, 'ServiceUnavailable',
                image_ref=str(uuid.uuid4()))
        # Who boots from a volume does not need it.
        found = world.nova.ask('dynamic', targets(service.url),
                               world.server(image_ref=''))
        assert found['hepix_vm']['prolog']
    finally:
        world.cloud.glance.start()
    found = world.nova.ask('dynamic', targets(service.url), world.server())
    assert found['hepix_vm']['image']['vo'] == 'vo.example.org'


class _Nonsense(serving.Quiet):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', '9')
        self.end_headers()
        self.wfile.write(b'{no JSON}')


def test_something_else_that_answers(world: World) -> None:
    with serving.Served(serving.web(_Nonsense)) as served:
        nothing(world, f'http://127.0.0.1:{served.port}', 'JSONDecodeError')
