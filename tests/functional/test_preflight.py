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


"""A Glance whose settings leave the gate open does not start."""

import itertools
import json
import os
import re
import subprocess

import pytest

from hepix_vm.cmd.upgrade_check import AS_ROOT
from hepix_vm import protections
from tests.functional.conftest import start
from tests.functional.test_routes import put
from tests.testbed.client import add
from tests.testbed.client import Identity
from tests.testbed.config import SERVERS
from tests.testbed import glance as testbed_glance
from tests.testbed import site as testbed_site

DATA = os.urandom(1000)
EARLIER = '[{}]\ncreate = @\nread = @\nupdate = @\ndelete = @\n'


def _written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def _policy(folder, rule):
    lines = testbed_site.POLICY.read_text().splitlines()
    return {'policy': _written(folder, 'policy.glance', '\n'.join(
        line for line in lines if not line.startswith(f'"{rule}"')))}


def _protections(folder, text):
    return {'property_protections': _written(
        folder, 'protections.conf',
        text + testbed_site.PROPERTY_PROTECTIONS.read_text())}


def _no_plugin(folder):
    """A package that offers the name of the plugin, and is broken."""
    info = folder / 'packages' / 'other-1.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: other\nVersion: 1\n')
    (info / 'entry_points.txt').write_text(
        '[glance.image_import.plugins]\nhepix_trust = nowhere:get_flow\n')
    return {'environment': {'PYTHONPATH': str(folder / 'packages')}}


def _option(**options):
    return {'extra': {'DEFAULT': options}}


# What is wrong, and what the log says about it.
FAILURES = {
    'plugin-missing': (
        lambda folder: {'import_plugins': ('no_op',)},
        '[image_import_opts] image_import_plugins is [no_op]',
        'Set image_import_plugins = [hepix_trust,no_op].'),
    'plugin-not-first': (
        lambda folder: {'import_plugins': ('no_op', 'hepix_trust')},
        'Set image_import_plugins = [hepix_trust,no_op].'),
    'plugin-does-not-load': (
        _no_plugin, "No module named 'nowhere'", 'Install hepix-vm anew'),
    'no-protections': (
        lambda folder: {'property_protections': None},
        '[DEFAULT] property_protection_file is not set',
        'Set property_protection_file = '),
    'open-protections': (
        lambda folder: _protections(folder, EARLIER.format('state')),
        'protections.conf', 'write hepix_state.',
        'hepix-vm-status property-protections merge'),
    'add-location': (
        lambda folder: _policy(folder, 'add_image_location'),
        'policy.glance', 'Set "add_image_location": "'),
    'tasks': (
        lambda folder: _policy(folder, 'tasks_api_access'),
        'policy.glance', 'Set "tasks_api_access": "!".'),
    'reactivate': (
        lambda folder: _policy(folder, 'reactivate'),
        'policy.glance', 'Set "reactivate": "'),
    'undefined-rule': (
        lambda folder: _policy(folder, 'hepix_operator'),
        'policy.glance', 'Set "reactivate": "'),
    'locations': (
        lambda folder: _option(show_multiple_locations='true'),
        'Set show_multiple_locations = false.'),
    'glance-download': (
        lambda folder: _option(enabled_import_methods='[glance-download]'),
        '[glance_download_properties] extra_properties',
        'Set extra_properties = ['),
    'filter-not-last': (
        lambda folder: {'filters': ('hepix_trust', 'cors')},
        'paste.ini', 'Put hepix_trust last before rootapp'),
}


def log_of(folder):
    return (folder / '0' / 'glance' / 'glance.log').read_text()


# Each failure with one server, and all at once with both.
@pytest.mark.parametrize('name, server', list(zip(
    FAILURES, itertools.cycle(SERVERS), strict=False)))
def test_it_does_not_start(make, tmp_path, server, name):
    options, *words = FAILURES[name]
    with pytest.raises(RuntimeError, match='ended with status'):
        make(server=server, **options(tmp_path))
    log = log_of(tmp_path)
    assert 'glance-api does not start, since its settings leave' in log
    # The log has it in a line of its own as well.
    line, = [line for line in log.splitlines()
             if ' CRITICAL hepix_vm.glance_hooks.preflight ' in line]
    for word in words:
        assert word in line
    message = line.partition('] ')[2].partition(': ')[2]
    assert f'1. {message}\n' in log


@pytest.mark.parametrize('server', SERVERS)
def test_everything_is_said_at_once(make, server, tmp_path):
    with pytest.raises(RuntimeError, match='ended with status'):
        make(server=server, import_plugins=(), policy=None,
             property_protections=None)
    for number in range(1, 6):
        assert re.search(rf'^(.* )?{number}\. \S', log_of(tmp_path),
                         re.MULTILINE)


@pytest.fixture(scope='module', params=SERVERS)
def shipped(request, tmp_path_factory):
    """A Glance with the shipped files."""
    yield from start(tmp_path_factory.mktemp(request.param),
                     server=request.param)


def test_the_shipped_files_give_no_finding(shipped):
    text = shipped.glance.log_text()
    assert 'hepix_vm.glance_hooks' not in text
    image_id = shipped.client.create(
        hepix_endorsement=shipped.site.endorse(DATA))
    assert put(shipped, image_id, DATA) == ''
    assert 'glance-api does not start' not in text


@pytest.mark.parametrize('server', SERVERS)
def test_permissive_starts_and_logs(make, server):
    cloud = make(server=server, settings={'enforcement': 'permissive'},
                 import_plugins=(), property_protections=None, policy=None)
    warnings = [line for line in cloud.glance.log_text().splitlines()
                if ' WARNING hepix_vm.glance_hooks.preflight ' in line]
    for word in ('Set image_import_plugins = [hepix_trust].',
                 'Set property_protection_file = ',
                 'Set "tasks_api_access": "!".'):
        assert any(word in line for line in warnings)
    image_id = cloud.client.create()
    assert put(cloud, image_id, DATA) == ''


def test_permissive_with_a_rule_that_enforces_does_not_start(tmp_path):
    cloud = start(tmp_path, settings={'enforcement': 'permissive'})
    first = next(cloud)
    first.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'enforcing'}])
    settings = first.glance.folder / 'etc' / 'glance-api.conf'
    settings.write_text(settings.read_text().replace(
        '[hepix_trust]', '[no_op]'))
    with pytest.raises(RuntimeError, match='image_import_plugins is'):
        first.glance.restart()
    next(cloud, None)


def test_operators_beside_admin(make, tmp_path):
    """The same role in settings, protections, policy and guards."""
    role = 'Image_Operator'
    policy = testbed_site.POLICY.read_text().replace(
        '"rule:context_is_admin"\n',
        f'"rule:context_is_admin or role:{role}"\n')
    merged = protections.merge('', protections.writers(role)).text
    cloud = make(
        settings={'operator_role': role},
        policy=_written(tmp_path, 'policy.glance', policy),
        property_protections=_written(tmp_path, 'merged.conf', merged))
    assert 'hepix_vm.glance_hooks.preflight' not in cloud.glance.log_text()
    operator = cloud.client.as_(Identity(
        user='eve', roles=('member', 'reader', role)))
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    assert put(cloud, image_id, DATA) == ''
    assert cloud.client.deactivate(image_id).status_code == 204
    for who, patched, reactivated in ((cloud.client, 403, 403),
                                      (operator, 200, 204)):
        assert who.patch(image_id, *add(hepix_reason='x')).status_code == (
            patched)
        assert who.reactivate(image_id).status_code == reactivated
    assert cloud.client.status(image_id) == 'active'


def upgrade_check(cloud, *arguments):
    """Run the command on the files of a Glance."""
    environment = os.environ | {
        'HEPIX_VM_CONFIG': str(cloud.site.config),
        'PYTHONPATH': str(testbed_glance.SERVER)}
    environment['XDG_CACHE_HOME'] = str(cloud.glance.folder / 'home')
    return subprocess.run(
        [testbed_glance.program('hepix-vm-status'), 'upgrade', 'check',
         '--glance-config',
         str(cloud.glance.folder / 'etc' / 'glance-api.conf'), *arguments],
        env=environment, capture_output=True, text=True, timeout=120)


def results(done):
    """Return the rows that are not ok."""
    return {row['Check']: (row['Result'], row['Details'])
            for row in json.loads(done.stdout) if row['Result'] != 'ok'}


def test_upgrade_check(make):
    """The same checks, on the files of Glances that run."""
    good = make()
    # As for Glance's user; root may write it all the same.
    (good.site.state / 'lists').chmod(0o550)
    done = upgrade_check(good, '-f', 'json')
    # Who asks as root is told so, and nothing else.
    err = AS_ROOT if os.geteuid() == 0 else ''
    assert (done.returncode, done.stderr, results(done)) == (0, err, {})
    settings = good.glance.folder / 'etc' / 'glance-api.conf'
    text = settings.read_text()
    settings.write_text(text.replace('driver = hepix_trust', ''))
    done = upgrade_check(good, '-f', 'json')
    assert (done.returncode, done.stderr) == (1, err)
    assert results(done)['Sentinel'][0] == 'warning'
    paste = good.glance.folder / 'etc' / 'paste.ini'
    paste.write_text(paste.read_text().replace(' hepix_trust ', ' '))
    done = upgrade_check(good, '-f', 'json')
    assert done.returncode == 2
    result, details = results(done)['Filter in the pipeline']
    assert (result, 'hepix_trust is missing' in details) == ('failure', True)
    table = upgrade_check(good).stdout
    for word in ('| Check ', '| Result ', '| Details ', '| failure ',
                 str(paste)):
        assert word in table


def test_upgrade_check_without_a_configuration(cloud):
    done = upgrade_check(cloud, '--glance-config', '/nowhere/glance.conf')
    assert done.returncode == 2
    assert done.stdout == ''
    line, = done.stderr.splitlines()
    assert line.startswith('hepix-vm-status: The configuration of Glance '
                           'cannot be read: ')
