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

"""The journal, and who holds it up."""

import fcntl
import json
import time

from hepix_vm.journal import Journal


def test_records_are_lines(tmp_path):
    journal = Journal(str(tmp_path), 'service')
    for number in range(2):
        journal.record({'number': number})
    with open(journal.path) as file:
        found = [json.loads(line) for line in file]
    assert [record['number'] for record in found] == [0, 1]
    assert {record['service'] for record in found} == {'service'}


def test_who_holds_its_lock_holds_up_nobody_for_long(tmp_path, caplog):
    journal = Journal(str(tmp_path), 'service')
    journal.record({})
    with open(journal.path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        begin = time.monotonic()
        journal.record({'lost': True})
        assert time.monotonic() - begin < 20
    assert 'cannot be written' in caplog.text
    journal.record({'lost': False})
    with open(journal.path) as file:
        assert [json.loads(line).get('lost') for line in file] == [
            None, False]
