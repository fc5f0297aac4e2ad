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
        '2026-01-01T00:00:00Z verdict refused upload glance_image a '
        '(glance-api on c1): not-endorsed',
        '2026-01-02T00:00:00Z block sha512 d by ops [m: CVE 1']
    assert read(tmp_path, 'aa') == []


@pytest.mark.parametrize('named, said', [
    ({'sha512': 'd' * 128}, f'sha512 {"d" * 16}...'),
    ({'image': 'd'}, 'image d'),
    ({'glance_image': 'd'}, 'glance_image d')])
def test_what_is_taken_back_is_named(tmp_path, journal, named, said):
    journal.write_text(json.dumps({
        'time': '2026-01-02T00:00:00Z', 'event': 'lift', 'fact': 'blocked',
        **named, 'author': 'ops', 'reason': 'mended'}))
    assert read(tmp_path, *named.values()) == [
        f'2026-01-02T00:00:00Z lift blocked {said} by ops: mended']


def test_each_thing_is_told_once_and_after_its_cause():
    def past(event, second=0, source='sync on c1', **more):
        return history.Past(f'2026-01-01T00:00:0{second}Z', source, event,
                            **more)
    blocked = past('blocked', 1, 'ledger', author='ops', reason='CVE')
    revoked = past('revoked', 1, 'ledger', author='ops', reason='CVE')
    upload = past('verdict allowed upload', 1)
    taken, back = (past(f'verdict {done} sweep', 1)
                   for done in ('deactivated', 'reactivated'))
    lift = past('lift blocked', 1, author='ops', reason='mended')
    others = past('block', 1, author='other', reason='CVE')
    first = past('verdict refused upload')
    double = past('block', 2, author='ops', reason='CVE')
    assert history.in_order(
        [blocked, revoked],
        [upload, double, taken, lift, others, back, first]) == [
            first, upload, blocked, revoked, lift, others, taken, back]
    # Who is shown no ledger is told what the journals say.
    assert history.in_order([], [double]) == [double]


def test_a_machine_without_journals(tmp_path):
    assert read(tmp_path, 'a') == []


def test_a_journal_that_cannot_be_read(tmp_path, journal):
    journal.mkdir()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, 'a')
    assert 'The journal cannot be read: Is a directory.' in (
        caught.value.message)
