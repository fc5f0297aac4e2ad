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

"""That stack.sh changes nothing the second time."""

from tests.functional.devstack.files import tree
from tests.functional.devstack.test_stack import image
from tests.functional.devstack.test_stack import snapshot

# DevStack's own: a line more in each run, or other samples in its comments.
_DEVSTACK = ('apache2/sites-available/cinder', 'apache2/sites-available/nova',
             'openstack/')


def test_a_second_run_changes_nothing(restacked):
    machine = restacked.machine
    first = tree(snapshot(machine, 'test-config', 1))
    second = tree(snapshot(machine, 'test-config', 2))
    assert set(first) == set(second)
    # DevStack makes another key each time.
    for each in (first, second):
        each['cinder/cinder.conf'].pop('key_manager', None)
    # The list of what is revoked is made anew.
    assert {name for name in first if first[name] != second[name]
            and not name.startswith(_DEVSTACK)
            and not name.endswith('.r0')} == set()


def test_a_second_run_writes_the_same_bytes_of_its_own(restacked):
    machine = restacked.machine
    first = snapshot(machine, 'test-config', 1) / 'hepix-vm'
    ours = [path.relative_to(first) for path in first.rglob('*')
            if path.is_file() and path.suffix != '.r0']
    assert len(ours) > 10
    second = snapshot(machine, 'test-config', 2) / 'hepix-vm'
    assert [path for path in ours if (first / path).read_bytes()
            != (second / path).read_bytes()] == []


def test_a_second_run_keeps_the_endorser_and_the_samples(restacked):
    machine = restacked.machine
    issued = list((machine.data / 'hepix-vm/ca/issued').iterdir())
    assert len(issued) == 1
    assert image(restacked, 'hepix-vm-sample')['status'] == 'active'
