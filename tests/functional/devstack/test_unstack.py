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

"""What unstack.sh and clean.sh leave: nothing of the plugin."""

import pytest

from tests.functional.devstack.files import parsed
from tests.functional.devstack.test_stack import snapshot

SETTINGS = ['glance/glance-api.conf', 'glance/glance-api-paste.ini',
            'glance/glance-image-import.conf', 'glance/glance-uwsgi.ini',
            'nova/nova.conf', 'nova/api-paste.ini', 'nova/nova-api-uwsgi.ini',
            'cinder/cinder.conf']


def _ours(folder):
    return sorted(str(path.relative_to(folder))
                  for path in folder.rglob('*') if 'hepix' in path.name)


def test_unstack_stops_what_runs_and_removes_its_units(unstacked):
    units = unstacked.machine.units
    assert [name for name in units.running if 'hepix' in name] == []
    assert [name for name in units.enabled if 'hepix' in name] == []
    assert list((unstacked.machine.root / 'etc/systemd/system').glob(
        '*hepix*.service')) == []


def test_unstack_keeps_what_the_next_run_needs(unstacked):
    assert (unstacked.machine.data / 'hepix-vm/ca/endorser.pem').exists()
    assert (unstacked.machine.conf / 'policy.yaml').exists()


@pytest.mark.parametrize('name', SETTINGS)
def test_clean_gives_settings_back(cleaned, name):
    machine = cleaned.machine
    before = parsed(snapshot(machine, 'before') / name)
    # DevStack's own; it is made anew in each run.
    after = parsed(machine.root / 'etc' / name)
    for sections in (before, after):
        sections.pop('key_manager', None)
    assert after == before


def test_clean_gives_the_copy_of_nova_compute_back(cleaned):
    machine = cleaned.machine
    copy = parsed(machine.root / 'etc/nova/nova-cpu.conf')
    assert copy == parsed(snapshot(machine, 'before') / 'nova/nova.conf')


def test_clean_leaves_no_file(cleaned):
    machine = cleaned.machine
    assert _ours(machine.root) == []
    assert _ours(machine.data) == []
    # Some files do not bear the name.
    before = {path.relative_to(snapshot(machine, 'before')) for path in
              snapshot(machine, 'before').rglob('*') if path.is_file()}
    after = {path.relative_to(machine.root / 'etc') for path in
             (machine.root / 'etc').rglob('*') if path.is_file()}
    assert {str(path) for path in after - before} <= {
        # DevStack's own, which it makes later.
        'nova/nova-cpu.conf', 'openstack/clouds.yaml', 'passwd',
        'systemd/system/devstack@g-api.service'}


def test_clean_leaves_no_word_in_any_file(cleaned):
    etc = cleaned.machine.root / 'etc'
    assert [str(path) for path in etc.rglob('*') if path.is_file()
            and b'hepix' in path.read_bytes().replace(
                bytes(cleaned.machine.folder), b'')] == []


def test_clean_removes_user_and_package(cleaned):
    machine = cleaned.machine
    assert 'hepix-vm' not in (machine.root / 'etc/passwd').read_text()
    assert f'pip uninstall hepix-vm {machine.venv}' in (
        machine.recorded('installed'))
