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

"""What journals say of an image."""

import json

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.exchange import history


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / 'journal'
    folder.mkdir()
    return folder / 'x.jsonl'


def read(tmp_path, *names):
    return [str(each) for each in history.of_journals(str(tmp_path), names)]


def test_entries_of_an_image(tmp_path, journal):
    journal.write_text('\n'.join([
        json.dumps({'time': '2026-01-01T00:00:00Z', 'service': 'glance-api',
                    'host': 'c1', 'event': 'verdict', 'image': 'a',
                    'allowed': False, 'route': 'upload',
                    'reasons': [{'code': 'not-endorsed'}, 'x']}),
        json.dumps({'image': 'b'}), '{"image": "a", "eve', '["a"]',
        json.dumps({'time': '2026-01-02T00:00:00Z', 'event': 'block',
                    'sha512': 'd', 'author': 'ops\x1b[m',
                    'reason': 'CVE\n1'}), '']))
    assert read(tmp_path, 'a', 'd', '') == [
        '2026-01-01T00:00:00Z verdict refused upload (glance-api on c1): '
        'not-endorsed', '2026-01-02T00:00:00Z block by ops [m: CVE 1']
    assert read(tmp_path, 'aa') == []


def test_a_machine_without_journals(tmp_path):
    assert read(tmp_path, 'a') == []


def test_a_journal_that_cannot_be_read(tmp_path, journal):
    journal.mkdir()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, 'a')
    assert 'The journal cannot be read: Is a directory.' in (
        caught.value.message)
