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

"""Single functions of the plugin that start programs."""

import pytest

from tests.functional.devstack.functions import Functions

_RECORD = """\
cat > "$MACHINE/interpreter" << 'EOF'
#!/bin/bash
echo "run: $*"
exit "${STATUS:-0}"
EOF
chmod +x "$MACHINE/interpreter"
PYTHON=$MACHINE/interpreter
"""


@pytest.mark.parametrize('venv', ['True', 'False'])
def test_hosts_are_kept_by_the_python_of_devstack(
        functions: Functions, venv: str) -> None:
    # Without its environment there is none beside the programs.
    said = functions.run(
        f'GLOBAL_VENV={venv}\n{_RECORD}verify_hepix_vm_placement')
    assert 'devstack/tools/endorsed_hosts.py --os-cloud devstack-admin' in (
        said.partition('run: ')[2])


def test_stack_ends_where_hosts_are_not_kept(functions: Functions) -> None:
    said = functions.die(
        f'export STATUS=1\n{_RECORD}verify_hepix_vm_placement')
    assert 'Placement does not keep the hosts' in said


# A program of the package that says how it was called.
_PROGRAM = """\
GLOBAL_VENV=True
DEVSTACK_VENV=$MACHINE/programs
mkdir -p "$DEVSTACK_VENV/bin"
cat > "$DEVSTACK_VENV/bin/hepix-vm-status" << 'EOF'
#!/bin/bash
echo "run: $*"
exit "${STATUS:-0}"
EOF
chmod +x "$DEVSTACK_VENV/bin/hepix-vm-status"
sudo install -d "$HEPIX_VM_CONF_DIR"
sudo tee "$HEPIX_VM_CONF" < /dev/null
"""


def test_sync_is_looked_at_as_its_own_user(functions: Functions) -> None:
    said = functions.run(f'{_PROGRAM}verify_hepix_vm_sync')
    assert 'run: upgrade check sync' in said
    assert any('runuser -u hepix-vm -g ' in line and 'upgrade check' in line
               for line in functions.machine.recorded('sudo'))


def test_warnings_of_sync_do_not_end_stack(functions: Functions) -> None:
    functions.run(f'export STATUS=1\n{_PROGRAM}verify_hepix_vm_sync')


@pytest.mark.parametrize('before', ['export STATUS=2\n', (
    'runuser() { return 1; }\nsudo() { return 1; }\n')],
    ids=['fails', 'is-not-asked'])
def test_stack_ends_where_sync_cannot_work(
        functions: Functions, before: str) -> None:
    functions.die(f'{_PROGRAM}{before}verify_hepix_vm_sync')


@pytest.mark.parametrize('service, part', [
    ('n-api', 'nova-api'), ('n-api-meta', 'nova-api-metadata'),
    ('n-sch', 'nova-scheduler'), ('n-cpu', 'nova-compute')])
def test_each_part_of_nova_is_looked_at(
        functions: Functions, service: str, part: str) -> None:
    script = f'{_PROGRAM}ENABLED_SERVICES=hepix-vm,{service}\n'
    said = functions.run(f'{script}verify_hepix_vm_nova')
    checked = [line.split()[-3] for line in said.splitlines()
               if line.startswith('run: upgrade check')]
    assert checked == [part]
    if part != 'nova-compute':
        functions.die(f'export STATUS=2\n{script}verify_hepix_vm_nova')


@pytest.mark.parametrize('mode', ['enforcing', 'permissive', 'disabled'])
def test_the_end_says_what_the_gate_does(
        functions: Functions, mode: str) -> None:
    said = functions.run(
        f'HEPIX_VM_ENFORCEMENT={mode}\nverify_hepix_vm_images')
    assert ('only endorsed images come' in said) == (mode == 'enforcing')
    assert ('no image and no server is refused' in said) == (
        mode != 'enforcing')


def test_a_list_without_its_image_is_not_signed(functions: Functions) -> None:
    # The bytes of the image cannot be read.
    finished = functions.try_run("""\
qemu-img() { mkdir -p "$HEPIX_VM_WWW_DIR/hepix-vm-listed.raw.new"; }
_hepix_vm_publish() { echo signed; }
_hepix_vm_publish_sample
""")
    assert finished.returncode != 0
    assert 'signed' not in finished.stdout


def test_apache_shows_the_folder_after_a_run_that_broke_off(
        functions: Functions) -> None:
    for _ in range(2):
        functions.run('mkdir -p "$HEPIX_VM_DATA_DIR"\n'
                      '_configure_hepix_vm_www')
    assert functions.machine.recorded('restarted') == ['apache', 'apache']


def test_the_authorities_are_yours(functions: Functions) -> None:
    said = functions.die("""\
IMAGE_URLS=https://images.example.org/one.qcow2
HEPIX_VM_TRUST_ANCHORS=/etc/grid-security/certificates
DATABASE_BACKENDS=sqlite
configure_hepix_vm_images
""")
    assert 'there is no test endorser' in said
    assert 'DOWNLOAD_DEFAULT_IMAGES=False' in said
