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

"""Adopting images, over a Glance that has no gate yet."""

import datetime
import functools
import io
import json
import os

import pytest

from hepix_vm.cmd import sync
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional import ungated
from tests.functional.ungated import kept
from tests.functional.ungated import upload
from tests.testbed.client import ADMIN
from tests.testbed.site import entry


@pytest.fixture
def audit(capsys):
    return functools.partial(ungated.run_audit, capsys)


@pytest.fixture
def everything(bare):
    return ungated.make_everything(bare)


@pytest.fixture
def adopt(capsys):
    def adopt(*arguments, reason='in use since 2019', author='ops'):
        code = sync.main(['adopt', '--reason', reason, '--author', author,
                          *arguments])
        said = capsys.readouterr()
        assert 's3cret' not in said.out + said.err
        assert 'Traceback' not in said.err
        return code, said.out.splitlines(), said.err
    return adopt


def test_adopted_images_stay(bare, adopt, audit):
    data = os.urandom(100)
    image_id = upload(bare.client, data, name='Octavia')
    code, out, _ = adopt(image_id)
    assert (code, out) == (0, [f'{image_id} adopted without end (Octavia)'])
    record, = kept(bare)
    assert (record.fact, record.kind, record.value, record.sha512) == (
        Fact.ADOPTED, Blockable.GLANCE_IMAGE, image_id, entry(data).sha512)
    assert (record.reason, record.author, record.until) == (
        'in use since 2019', 'ops', None)
    code, out, _ = adopt(image_id)
    assert (code, out) == (0, [f'{image_id} adopted already (Octavia)'])
    assert kept(bare) == [record]
    _, rows, _ = audit()
    assert (rows[image_id]['State'], rows[image_id]['Enforcing']) == (
        'adopted', 'keep')
    assert sync.main(['--sweep']) == 0
    image = bare.client.image(image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'adopted')
    entries = [json.loads(line) for line in (
        bare.site.state / 'journal' / 'hepix-vm-sync.jsonl'
        ).read_text().splitlines()]
    assert [(each['event'], each['image']) for each in entries] == [
        ('adoption', image_id), ('verdict', image_id)]
    assert entries[0]['author'] == 'ops'


def test_adoption_holds_for_these_bytes_only(bare, adopt, audit):
    image_id = upload(bare.client, b'whatever')
    adopt(image_id)
    bare.glance.query('UPDATE images SET os_hash_value = ? WHERE id = ?',
                      ('0' * 128, image_id))
    _, rows, _ = audit()
    assert rows[image_id]['State'] == 'unknown'


def test_adoption_until_a_day(bare, adopt, audit):
    image_id = upload(bare.client, b'whatever')
    assert adopt('--until', '2099-03-31', image_id)[0] == 0
    record, = kept(bare)
    assert record.until == datetime.datetime(
        2099, 4, 1, tzinfo=datetime.UTC)
    # Another word takes the place of the first.
    assert adopt('--until', '2098-03-31T12:00:00Z', image_id)[0] == 0
    first, second = sorted(kept(bare), key=lambda record: record.lifted)
    assert (first.until.year, first.lifted) == (2098, '')
    assert (second.until.year, second.lifted) == (
        2099, 'ops: in use since 2019')
    for date in ('2020-01-01', 'tomorrow'):
        code, out, err = adopt('--until', date, image_id)
        assert (code, out) == (3, [])
        assert err.startswith('hepix-vm-sync: --until: ')
    assert len(kept(bare)) == 2


def test_what_is_not_adopted(bare, everything, adopt):
    before = kept(bare)
    names = ('expired', 'revoked', 'blocked', 'refused', 'endorsed')
    code, out, _ = adopt(*(everything[name] for name in names))
    assert code == 1
    for line, name in zip(out, names, strict=True):
        assert line.startswith(f'{everything[name]} refused: it is {name} ')
    missing = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
    queued = bare.client.create()
    taken = upload(bare.client, b'taken')
    assert bare.client.as_(ADMIN).deactivate(taken).status_code == 204
    code, out, _ = adopt(missing, queued, taken)
    assert code == 1
    assert [line.partition(' refused: ')[2] for line in out] == [
        'there is no such image', 'it is queued, and not by hepix-vm (image)',
        'it is deactivated, and not by hepix-vm (image)']
    assert kept(bare) == before


def test_what_we_took_out_of_use_can_be_adopted(bare, adopt):
    image_id = upload(bare.client, b'whatever')
    assert sync.main(['--sweep']) == 0
    assert bare.client.as_(ADMIN).status(image_id) == 'deactivated'
    assert adopt(image_id)[0] == 0
    assert sync.main(['--sweep']) == 0
    assert bare.client.as_(ADMIN).status(image_id) == 'active'


def test_adopting_all_unknown(bare, everything, adopt):
    before = kept(bare)
    unknown = {everything['unknown'], everything['other']}
    code, out, _ = adopt('--all-unknown', '--dry-run')
    assert code == 0
    assert {line.partition(' would be adopted')[0] for line in out} == (
        unknown)
    assert kept(bare) == before
    code, out, _ = adopt('--all-unknown')
    assert (code, len(out)) == (0, 2)
    assert {record.value for record in kept(bare)
            if record not in before} == unknown
    assert adopt('--all-unknown')[:2] == (0, [])


def test_a_reason_is_needed(bare, adopt):
    image_id = upload(bare.client, b'whatever')
    for words, status in (({'reason': ' '}, 3), ({'author': ' '}, 3),
                          ({'author': 'a\nb'}, 2)):
        code, out, err = adopt(image_id, **words)
        assert (code, out) == (status, [])
        assert err.startswith('hepix-vm-sync: ')
    assert kept(bare) == []


def test_the_audit_adopts_after_a_question(bare, everything, audit,
                                           monkeypatch):
    before = kept(bare)
    words = ('--adopt', '--reason', 'in use', '--author', 'ops')
    monkeypatch.setattr('sys.stdin', io.StringIO('\n'))
    code, rows, err = audit(*words)
    assert (code, rows) == (2, {})
    assert '2 images would be adopted by ops without end: in use\n' in err
    assert f'{everything["unknown"]} atlas unknown\n' in err
    assert 'Nothing was adopted.' in err
    assert kept(bare) == before
    monkeypatch.setattr('sys.stdin', io.StringIO('y\n'))
    code, rows, err = audit(*words)
    assert code == 0
    assert len(kept(bare)) == len(before) + 2
    for name in ('unknown', 'other'):
        assert rows[everything[name]]['State'] == 'adopted'
    assert '3 adopted' in err
    code, _, err = audit('--adopt')
    assert (code, '--reason' in err) == (2, True)


def test_the_audit_adopts_for_scripts(bare, audit, monkeypatch):
    image_id = upload(bare.client, b'whatever')
    monkeypatch.setattr('sys.stdin', io.StringIO(''))
    code, rows, err = audit('--adopt', '--reason', 'x', '--yes',
                            '--until', '2099-01-01')
    assert (code, rows[image_id]['State']) == (0, 'adopted')
    assert 'until 2099-01-02T00:00:00Z: x' in err
    assert len(kept(bare)) == 1
