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

"""What the plugin refuses to start with, and what it does not take away."""

import pytest

from tests.functional.devstack.files import values
from tests.functional.devstack.functions import Functions


@pytest.mark.parametrize('setting, remedy', [
    ('HEPIX_VM_ENFORCEMENT=off', 'enforcing, permissive or disabled'),
    ('HEPIX_VM_DERIVED_IMAGES=yes', 'refuse, inherit or allow'),
    ('HEPIX_VM_VOLUMES=', 'refuse, inherit or allow'),
    ('HEPIX_VM_VENDORDATA_PORT=http', 'a number'),
    ('HEPIX_VM_SYNC_INTERVAL=0', 'a number'),
    ('HEPIX_VM_CONF_DIR=etc/hepix-vm', 'a whole path'),
    ('HEPIX_VM_CONF_DIR=/etc', 'a folder for that alone'),
    ('HEPIX_VM_STATE_DIR="/var/lib/hepix vm"', 'without blanks'),
    ('HEPIX_VM_CA_DIR="/var/ca|x"', 'without blanks'),
    ('HEPIX_VM_TRUST_ANCHORS="/etc/\\"x"', 'without blanks'),
    ('PYTHON3_VERSION=3.9', 'needs Python 3.11'),
    ('USE_VENV=True', 'one Python environment')])
def test_a_setting_that_cannot_work(
        functions: Functions, setting: str, remedy: str) -> None:
    said = functions.die(f'{setting}\ncheck_hepix_vm')
    assert remedy in said
    assert setting.partition('=')[0] in said


def test_the_settings_that_are_there(functions: Functions) -> None:
    functions.run('PYTHON3_VERSION=3.11\ncheck_hepix_vm')


@pytest.mark.parametrize('name', ['hepix-vm.conf', 'vendordata.conf'])
def test_settings_of_others_stay(functions: Functions, name: str) -> None:
    path = functions.write(f'hepix-vm/{name}', '[hepix_vm]\n')
    said = functions.die('check_hepix_vm')
    assert f'{path} was not written by this plugin' in said
    functions.run('cleanup_hepix_vm_vendordata\n_cleanup_hepix_vm_settings')
    assert path.read_text() == '[hepix_vm]\n'


@pytest.mark.parametrize('name, known', [
    ('STATE', 'lists'), ('CA', 'anchors')])
def test_a_folder_of_others_is_not_taken(
        functions: Functions, name: str, known: str,
        ) -> None:
    folder = functions.machine.folder / f'of-others-{name}'
    script = f'HEPIX_VM_{name}_DIR={folder}\ncheck_hepix_vm'
    functions.run(script)
    folder.mkdir()
    functions.run(script)
    (folder / 'mine').write_text('x')
    assert f'HEPIX_VM_{name}_DIR is {folder}' in functions.die(script)
    functions.run(f'HEPIX_VM_{name}_DIR={folder}\n'
                  'cleanup_hepix_vm_site\n'
                  '_cleanup_hepix_vm_state')
    assert (folder / 'mine').exists()
    (folder / known).mkdir()
    functions.run(script)


def test_clean_keeps_the_certificates_of_others(functions: Functions) -> None:
    functions.run('sudo install -d "$HEPIX_VM_CONF_DIR"\n'
                  'mkdir -p "$HEPIX_VM_DATA_DIR"\n_configure_hepix_vm_trust')
    anchors = functions.etc / 'hepix-vm/certificates'
    assert len(list(anchors.iterdir())) == 3
    theirs = functions.write('hepix-vm/certificates/01234567.0', 'theirs')
    functions.run('cleanup_hepix_vm_site')
    assert list(anchors.iterdir()) == [theirs]
    assert not (functions.machine.data / 'hepix-vm').exists()


def test_a_user_that_was_there_stays(functions: Functions) -> None:
    users = functions.write('passwd', 'hepix-vm:x:9:9:Somebody:/:/bin/sh\n')
    functions.run('_install_hepix_vm_user\n_cleanup_hepix_vm_user')
    assert users.read_text() == 'hepix-vm:x:9:9:Somebody:/:/bin/sh\n'


def test_settings_of_a_host_without_the_plugin_stay(
        functions: Functions) -> None:
    # As where the package is installed, and the plugin never ran.
    written = {functions.write(f'hepix-vm/{name}', 'theirs') for name in (
        'hepix-vm.conf', 'policy.yaml', 'property-protections.conf',
        'certificates/01234567.0')}
    functions.run('run_phase clean')
    assert {path for path in written if path.exists()} == written


@pytest.mark.parametrize('disabled', ['', 'disable_service hepix-vm\n'])
def test_unstack_and_clean_when_it_was_taken_away(
        functions: Functions, disabled: str) -> None:
    unit = functions.write(
        'systemd/system/devstack@hepix-sync.service', '[Service]\n')
    policy = functions.write('glance/policy.d/hepix-vm.yaml', '{}\n')
    functions.run(f'{disabled}run_phase unstack\nrun_phase clean')
    assert not unit.exists()
    assert not policy.exists()


def test_what_was_taken_away_is_not_installed(functions: Functions) -> None:
    functions.run('disable_service hepix-vm\nfor phase in pre-install install '
                  'post-config extra test-config; do\n'
                  'run_phase stack "$phase"\ndone')
    assert functions.machine.recorded('installed') == []
    assert list(functions.etc.rglob('*hepix*')) == []


@pytest.mark.parametrize('option, value', [
    ('enforcement', 'permissive'), ('trust_anchors', '/srv'),
    ('state_dir', '/srv'), ('require_trait', 'false')])
def test_local_conf_does_not_contradict_the_plugin(
        functions: Functions, option: str, value: str) -> None:
    # It stands in for DevStack's, which reads [[hepix-vm|...]].
    script = (
        'sudo install -d "$HEPIX_VM_CONF_DIR"\nmerge_config_group() {\n'
        f'iniset "$HEPIX_VM_CONF" hepix_vm {option} {value}\n'
        'iniset "$HEPIX_VM_CONF" hepix_vm boot_cache 5\n}\n')
    said = functions.die(f'{script}configure_hepix_vm_conf')
    assert f'HEPIX_VM_{option.upper()} in its localrc' in said
    assert list((functions.machine.folder / 'tmp').iterdir()) == []
    script = script.replace(f'{option} {value}', 'ledger_owner x')
    functions.run(f'{script}configure_hepix_vm_conf')
    assert values(functions.machine.conf / 'hepix-vm.conf', 'hepix_vm',
                  'boot_cache') == ['5']


def test_the_mark_is_the_first_line(functions: Functions) -> None:
    for text, rc in (('$HEPIX_VM_MARK\n', 'ours'),
                     ('x\n$HEPIX_VM_MARK\n', 'theirs')):
        path = functions.etc / 'hepix-vm/policy.yaml'
        said = functions.run(
            f'sudo install -d "$HEPIX_VM_CONF_DIR"\nprintf "%s" "{text}" '
            f'> {path}\nif hepix_vm_is_own {path}; then echo ours; '
            'else echo theirs; fi')
        assert said.split()[-1] == rc
