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

"""What the plugin leaves of stack.sh."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from tests.functional.devstack.conftest import Stacked
from tests.functional.devstack.files import parsed
from tests.functional.devstack.files import tree
from tests.functional.devstack.files import values
from tests.functional.devstack.files import words
from tests.functional.devstack.machine import Machine
from tests.testbed import service

_UNITS = {'devstack@hepix-sync', 'devstack@hepix-vendordata'}


def snapshot(machine: Machine, name: str, run: int = 1) -> pathlib.Path:
    """What /etc was after a phase of a run of stack.sh."""
    return machine.record / f'stack-{run}' / name


def test_nothing_is_written_before_install(stacked):
    before = snapshot(stacked.machine, 'before')
    assert not list(before.rglob('*hepix*'))


def test_install_brings_files_and_changes_no_settings(stacked):
    machine = stacked.machine
    before = tree(snapshot(machine, 'before'))
    after = tree(snapshot(machine, 'install'))
    assert {name: after[name] for name in before} == before
    added = set(after) - set(before)
    assert {name for name in added if 'metadefs' in name} == {
        f'glance/metadefs/{path.name}' for path in (
            machine.folder / 'dest/hepix-vm/etc/hepix_vm/metadefs'
        ).iterdir()}
    assert f'pip install -e {machine.folder}/dest/hepix-vm' in (
        machine.recorded('installed'))


def test_post_config_writes_settings_and_starts_nothing(stacked):
    etc = snapshot(stacked.machine, 'post-config')
    assert (etc / 'hepix-vm/hepix-vm.conf').exists()
    assert not list((etc / 'systemd/system').glob('*.service'))


def test_units_run(stacked):
    units = stacked.machine.units
    assert _UNITS <= units.enabled
    for name in _UNITS:
        assert units.active(name), units.log(name)
    sync = units.service('devstack@hepix-sync')
    assert sync['User'] == 'hepix-vm'


def test_owners(stacked):
    machine = stacked.machine
    owners = dict(reversed(line.split(' ', 1)) for line in
                  machine.recorded('owners') if ':' in line.split()[0])
    group = subprocess.run(['id', '-gn'], capture_output=True, text=True,
                           check=True).stdout.strip()
    assert owners[str(machine.conf / 'hepix-vm.conf')] == f'root:{group}'
    for name, mode in (('', 0o750), ('lists', 0o750), ('previous', 0o750),
                       ('fetched', 0o750), ('journal', 0o3770)):
        path = machine.data / 'hepix-vm/state' / name
        assert path.stat().st_mode & 0o7777 == mode, path
        assert owners[str(path)] == f'hepix-vm:{group}'
    assert machine.conf.stat().st_mode & 0o777 == 0o750
    for path in (machine.conf / 'hepix-vm.conf',
                 machine.conf / 'vendordata.conf'):
        assert path.stat().st_mode & 0o777 == 0o640
    for path in (machine.data / 'hepix-vm/ca').glob('*.key'):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize('name', ['hepix-vm', 'hepix-vendordata'])
def test_accounts_are_administrators_and_services(stacked, name):
    answer = service.call(
        'POST', f'{stacked.keystone.url}/v3/auth/tokens', json={
            'auth': {'identity': {'methods': ['password'], 'password': {
                'user': {'name': name, 'domain': {'id': 'default'},
                         'password': 'secret'}}},
                'scope': {'project': {
                    'name': 'service', 'domain': {'id': 'default'}}}}})
    assert answer.status_code == 201, answer.text
    roles = {role['name'] for role in answer.json()['token']['roles']}
    assert {'admin', 'service'} <= roles


def test_glance_is_told_all(stacked):
    etc = stacked.machine.root / 'etc/glance'
    assert words(etc / 'glance-image-import.conf', 'image_import_opts',
                 'image_import_plugins')[0] == 'hepix_trust'
    assert values(etc / 'glance-api.conf', 'oslo_messaging_notifications',
                  'driver') == ['messagingv2', 'hepix_trust']
    assert values(etc / 'glance-uwsgi.ini', 'uwsgi', 'need-app') == ['true']
    paste = parsed(etc / 'glance-api-paste.ini')
    ends = [value.split()[-2:] for _, value in paste['composite:api']
            if value.endswith('rootapp')]
    assert ends
    assert all(end == ['hepix_trust', 'rootapp'] for end in ends)


def test_metadefs_are_loaded(stacked):
    namespaces = stacked.client('admin', 'admin').call(
        'GET', '/v2/metadefs/namespaces?limit=200').json()['namespaces']
    ours = {json.loads(path.read_text())['namespace'] for path in (
        stacked.machine.folder / 'dest/hepix-vm/etc/hepix_vm/metadefs'
    ).iterdir()}
    assert ours <= {each['namespace'] for each in namespaces}


@pytest.mark.parametrize('service_name, option', [
    ('glance', '--glance-config'), ('nova-api', '--nova-config'),
    ('nova-scheduler', '--nova-config'), ('nova-compute', '--nova-config'),
    ('cinder', '--cinder-config')])
def test_upgrade_check_is_content(stacked, service_name, option):
    machine = stacked.machine
    etc = machine.root / 'etc'
    files = {'glance': ['glance/glance-image-import.conf',
                        'glance/glance-api.conf'],
             'nova-compute': ['nova/nova-cpu.conf'],
             'cinder': ['cinder/cinder.conf']}.get(
                 service_name, ['nova/nova.conf'])
    finished = _status(machine, 'upgrade', 'check', service_name, *(
        f'{option}={etc / name}' for name in files), '-f', 'json')
    rows = json.loads(finished.stdout)
    assert rows
    assert [row for row in rows if row['Result'] != 'ok'] == []


def _status(machine: Machine,
            *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine.venv / 'bin/hepix-vm-status', *arguments],
        capture_output=True, text=True, timeout=120, env={
            **machine.environment,
            'HEPIX_VM_CONFIG': str(machine.conf / 'hepix-vm.conf'),
            'HEPIX_VM_CONTEXT_CACHE': str(
                machine.data / 'hepix-vm/state/context/context.json')})


_PIPELINES = """
import gc, sys
from hepix_vm.nova_ctx import boot_filter
from nova import config
from paste import deploy
config.parse_args(['nova-api', '--config-file', sys.argv[2]])
deploy.loadapp('config:' + sys.argv[1], name='osapi_compute')
print(sum(isinstance(each, boot_filter.BootFilter)
          for each in gc.get_objects()))
"""


def test_nova_loads_the_filter_in_both_pipelines(stacked):
    etc = stacked.machine.root / 'etc/nova'
    finished = subprocess.run(
        [sys.executable, '-c', _PIPELINES, etc / 'api-paste.ini',
         etc / 'nova.conf'], capture_output=True, text=True, timeout=120,
        env={**stacked.machine.environment, 'HEPIX_VM_CONFIG': str(
            stacked.machine.conf / 'hepix-vm.conf')})
    assert finished.stdout.split()[-1:] == ['2'], finished.stderr


def image(stacked: Stacked, name: str) -> dict[str, Any]:
    """Return the one image of a name."""
    found: list[dict[str, Any]] = stacked.client('admin', 'admin').call(
        'GET', f'/v2/images?name={name}').json()['images']
    assert len(found) == 1
    return found[0]


def test_vendordata_answers_nova(stacked):
    machine = stacked.machine
    url = f'http://127.0.0.1:{machine.vendordata_port}'
    assert service.call('GET', url).status_code == 200
    nova = machine.root / 'etc/nova/nova.conf'
    assert f'hepix_vm@{url}/hepix_vm' in words(
        nova, 'api', 'vendordata_dynamic_targets')
    assert values(nova, 'vendordata_dynamic_auth', 'username') == ['nova']
    sample = image(stacked, 'hepix-vm-sample')
    question = {'instance-id': sample['id'], 'project-id': sample['owner'],
                'image-id': sample['id'], 'hostname': 'vm', 'metadata': {},
                'user-data': None, 'boot-roles': ''}
    answer = service.call(
        'POST', f'{url}/hepix_vm',
        stacked.keystone.token('nova', 'service'), question)
    assert answer.status_code == 200, answer.text
    assert answer.json()['image']['vo'] == sample['hepix_vo'] != ''
    refused = service.call(
        'POST', f'{url}/hepix_vm',
        stacked.keystone.token('demo', 'demo'), question)
    assert refused.status_code == 403


def test_samples_are_let_in(stacked):
    sample = image(stacked, 'hepix-vm-sample')
    assert sample['status'] == 'active'
    assert sample['hepix_state'] == 'endorsed'
    assert sample['visibility'] == 'public'


def test_what_devstack_loads_itself_is_let_in(stacked):
    loaded = image(stacked, 'loaded')
    assert loaded['status'] == 'active'
    assert loaded['hepix_state'] == 'endorsed'
    data = b''.join(stacked.client('demo', 'demo').download(
        loaded['id']).iter_content(1 << 20))
    assert data == stacked.image.read_bytes()


def test_the_user_is_told_how_to_try_it(stacked):
    said = stacked.said['stacked']
    assert 'image endorsement' in said
    assert 'exercise.sh' in said
