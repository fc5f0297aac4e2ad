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

"""That each setting of the plugin reaches what it is for."""

import pytest

from tests.functional.devstack.files import values
from tests.functional.devstack.functions import Functions

_FOLDERS = 'sudo install -d "$HEPIX_VM_CONF_DIR"\n'


@pytest.mark.parametrize('mode', ['enforcing', 'permissive', 'disabled'])
def test_enforcement(functions: Functions, mode: str) -> None:
    functions.run(f'{_FOLDERS}HEPIX_VM_ENFORCEMENT={mode}\n'
                  'configure_hepix_vm_conf')
    assert values(functions.machine.conf / 'hepix-vm.conf', 'hepix_vm',
                  'enforcement') == [mode]


@pytest.mark.parametrize('derived, volumes', [
    ('refuse', 'allow'), ('inherit', 'refuse')])
def test_policy(functions: Functions, derived: str, volumes: str) -> None:
    said = functions.run(f'HEPIX_VM_DERIVED_IMAGES={derived}\n'
                         f'HEPIX_VM_VOLUMES={volumes}\n_hepix_vm_policy')
    assert f'derived_images: {derived}\nvolumes: {volumes}\n' in said
    assert 'Test Endorser' in said
    said = functions.run('HEPIX_VM_TRUST_ANCHORS=/srv/ca\n_hepix_vm_policy')
    assert 'endorsers' not in said


def test_seconds_between_two_runs(functions: Functions) -> None:
    said = functions.run('run_process() { echo "runs: $*"; }\n'
                         'HEPIX_VM_SYNC_INTERVAL=7\nstart_hepix_vm_sync')
    assert '/hepix-vm-sync 7 ' in said.partition('runs: hepix-sync ')[2]
    assert ' hepix-vm HEPIX_VM_CONFIG=' in said


@pytest.mark.parametrize('value', ['True', 'False'])
def test_images_of_devstack(functions: Functions, value: str) -> None:
    old = functions.machine.data / (
        'hepix-vm/state/lists/5c1f1d0e-3f0b-4f0a-9d0d-6d1f0a4c8e11.smime')
    old.parent.mkdir(parents=True)
    old.write_text('of the run before')
    said = functions.run(
        'IMAGE_URLS=https://images.example.org/x.img\n'
        'DATABASE_BACKENDS=sqlite\nHEPIX_VM_SAMPLES=False\n'
        f'HEPIX_VM_ENDORSE_IMAGE_URLS={value}\n'
        f'{_FOLDERS}_hepix_vm_endorse_urls() {{ echo endorses; }}\n'
        'configure_hepix_vm_images')
    assert ('endorses\n' in said) == (value == 'True')
    assert old.exists() == (value == 'True')
    assert ('Glance refuses them' in said) == (value == 'False')


def test_devstack_has_written_nova_conf_by_then(functions: Functions) -> None:
    said = functions.run('async_wait() { echo "waits: $*"; exit; }\n'
                         'configure_hepix_vm')
    assert 'waits: configure_neutron_nova' in said


def test_what_devstack_copied_is_cleaned(functions: Functions) -> None:
    # As it does for g-api-r, after the plugin.
    functions.write('glance/glance-api.conf', '[DEFAULT]\nsite = 1\n')
    functions.write('glance/glance-image-import.conf', '[x]\n')
    functions.run("""\
mkdir -p "$(dirname "$_HEPIX_VM_BEFORE")"
hepix_vm_inifile note "$_HEPIX_VM_BEFORE" "$GLANCE_API_CONF" \
    "$GLANCE_IMAGE_IMPORT_CONF"
_configure_hepix_vm_glance_plugins
_configure_hepix_vm_glance_policy
hepix_vm_inifile keep "$_HEPIX_VM_BEFORE"
remote=$(dirname "$(glance_remote_conf "$GLANCE_API_CONF")")
cp -r "$GLANCE_CONF_DIR" "$remote"
grep -q hepix_trust "$remote/glance-api.conf"
test -e "$remote/policy.d/hepix-vm.yaml"
cleanup_hepix_vm_glance
_cleanup_hepix_vm_settings
""")
    left = [path for path in functions.etc.rglob('*') if path.is_file()]
    assert len(left) == 4
    assert [path for path in left if 'hepix' in path.read_text()] == []
