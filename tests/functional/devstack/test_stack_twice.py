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

# Of DevStack itself.
_RANDOM = {'cinder/cinder.conf'}


def test_a_second_run_changes_nothing(restacked):
    machine = restacked.machine
    first = tree(snapshot(machine, 'test-config', 1))
    second = tree(snapshot(machine, 'test-config', 2))
    assert set(first) == set(second)
    differing = {name for name in first if first[name] != second[name]}
    # The list of what is revoked is made anew.
    assert {name for name in differing - _RANDOM
            if not name.endswith('.r0')} == set()
    ours = {name for name in first if name.startswith('hepix-vm/')}
    assert ours
    for name in ours - differing:
        assert (snapshot(machine, 'test-config', 1) / name).read_bytes() == (
            snapshot(machine, 'test-config', 2) / name).read_bytes()


def test_a_second_run_keeps_the_endorser_and_the_samples(restacked):
    machine = restacked.machine
    issued = list((machine.data / 'hepix-vm/ca/issued').iterdir())
    assert len(issued) == 1
    assert image(restacked, 'hepix-vm-sample')['status'] == 'active'
