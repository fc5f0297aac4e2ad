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

"""What is done with servers whose image may not be used any more."""

import dataclasses

import pytest

from hepix_vm.trust.running import Due
from hepix_vm.trust.running import due
from hepix_vm.trust.running import measure
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust.standing import State

REPORT, LOCK, STOP = Measure


def test_every_end_has_a_measure_of_its_own():
    ends = [field.name for field in dataclasses.fields(RunningServers)]
    assert set(ends) == set(State) - {
        State.ENDORSED, State.DERIVED, State.ADOPTED}
    for state in State:
        found = measure(RunningServers(**{state: STOP})
                        if state in ends else RunningServers(), state)
        assert found is (STOP if state in ends else None)
        assert measure(RunningServers(), state) is (
            REPORT if state in ends else None)
    assert measure(RunningServers(), '') is None


def test_nothing_is_stopped_since_nothing_can_be_said():
    rules = RunningServers(**dict.fromkeys(
        ('expired', 'revoked', 'refused'), STOP))
    assert measure(rules, State.REFUSED, unsure=True) is REPORT
    # Why these are out of use is known, and holds.
    assert measure(rules, State.REVOKED, unsure=True) is STOP
    assert measure(rules, State.EXPIRED, unsure=True) is STOP


@pytest.mark.parametrize(('wanted', 'state', 'locked', 'what'), [
    (REPORT, 'active', False, Due()),
    (REPORT, 'building', False, Due()),
    (LOCK, 'active', False, Due(lock=True)),
    (LOCK, 'stopped', False, Due(lock=True)),
    (LOCK, 'active', True, Due()),
    (LOCK, 'building', False, Due(later=True)),
    (STOP, 'active', False, Due(lock=True, stop=True)),
    (STOP, 'active', True, Due(stop=True)),
    (STOP, 'building', False, Due(later=True)),
    # It does not run, and nobody may let it.
    (STOP, 'stopped', False, Due(lock=True)),
    (STOP, 'paused', False, Due(lock=True)),
    (STOP, 'suspended', True, Due()),
    (STOP, 'shelved_offloaded', True, Due()),
    # It may run, but Nova does not stop it.
    (STOP, 'rescued', False, Due(lock=True, held_up=True)),
    (STOP, 'resized', True, Due(held_up=True)),
    (STOP, 'error', False, Due(lock=True, stop=True))])
def test_what_is_due(wanted, state, locked, what):
    assert due(wanted, state, 1, locked) == what


@pytest.mark.parametrize('power', [0, 4, None])
def test_what_failed_and_does_not_run_is_not_stopped(power):
    assert due(STOP, 'error', power, True) == Due()
