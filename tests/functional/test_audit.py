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

"""The audit, over a Glance that has no gate yet."""

import csv
import datetime
import functools
import io
import json
import os
import subprocess

import pytest

from hepix_vm.cmd import status
from hepix_vm.cmd import sync
from hepix_vm.trust.ledger import Fact
from tests.functional import ungated
from tests.functional.ungated import ACCOUNT
from tests.functional.ungated import BOB
from tests.functional.ungated import upload
from tests.functional.ungated import write
from tests.testbed.client import ADMIN
from tests.testbed.glance import program
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry

DAY = datetime.timedelta(days=1)


def acts(row):
    return tuple(row[mode] for mode in ('Configured', 'Enforcing', 'Legacy',
                                        'Permissive'))


KEEP, DROP = 'keep', 'deactivate'


@pytest.fixture
def audit(capsys):
    return functools.partial(ungated.run_audit, capsys)


@pytest.fixture
def everything(bare):
    return ungated.make_everything(bare)


EXPECTED = {
    'endorsed': ('endorsed', '', KEEP, KEEP),
    'listed': ('endorsed', '', KEEP, KEEP),
    'adopted': ('adopted', 'not-endorsed', KEEP, KEEP),
    'unknown': ('unknown', 'not-endorsed', DROP, KEEP),
    'other': ('unknown', 'not-endorsed', DROP, KEEP),
    'expired': ('expired', 'list-expired', DROP, DROP),
    'revoked': ('revoked', 'image-revoked', DROP, DROP),
    'blocked': ('blocked', 'image-blocked', DROP, DROP),
    'refused': ('refused', 'endorser-mismatch', DROP, DROP),
}


def shown(row):
    return (row['State'], row['Reasons'].partition(',')[0],
            row['Enforcing'], row['Legacy'])


def test_every_state(bare, everything, audit):
    before = bare.client.as_(ADMIN).call('GET', '/v2/images').json()
    code, rows, err = audit()
    assert code == 0
    assert {name: shown(rows[image_id])
            for name, image_id in everything.items()} == EXPECTED
    assert len(rows) == len(EXPECTED)
    for name, image_id in everything.items():
        row = rows[image_id]
        assert (row['Name'], row['Owner'], row['Status'],
                row['Visibility']) == (name, 'atlas', 'active', 'shared')
        assert row['Configured'] == row['Enforcing']
        assert row['Permissive'] == KEEP
    image = bare.client.image(everything['endorsed'])
    assert rows[image['id']]['SHA-512'] == image['os_hash_value']
    assert rows[everything['other']]['SHA-512'] == '(sha256)'
    assert err == (
        '9 images: 1 adopted, 1 blocked, 2 endorsed, 1 expired, 1 refused, '
        '1 revoked, 2 unknown. As configured deactivates 6 and reactivates '
        '0. Enforcing deactivates 6 and reactivates 0. Enforcing that '
        'allows images older than the gate deactivates 4 and reactivates '
        '0.\n')
    # Nothing was touched, nothing journalled.
    assert bare.client.as_(ADMIN).call('GET', '/v2/images').json() == before
    assert not list((bare.site.state).glob('journal/*'))


def test_what_the_site_configured(bare, audit):
    image_id = upload(bare.client, b'whatever')
    other = upload(bare.client.as_(BOB), b'whatever')
    bare.site.write_policy(enforcement=[
        {'project': 'cms', 'mode': 'permissive'}])
    _, rows, _ = audit()
    # By id it may be cms as well; what is not known changes nothing.
    assert acts(rows[other]) == (KEEP, DROP, KEEP, KEEP)
    bare.site.write_policy(legacy='allow-until 2099-01-01')
    write(bare, Fact.INSTALLED, None, '', at=pki.utcnow() + DAY)
    _, rows, _ = audit()
    assert acts(rows[image_id]) == (KEEP, DROP, KEEP, KEEP)
    assert rows[image_id]['State'] == 'unknown'


def test_images_younger_than_the_gate_are_no_legacy(bare, audit):
    image_id = upload(bare.client, b'whatever')
    write(bare, Fact.INSTALLED, None, '', at=pki.utcnow() - DAY)
    _, rows, _ = audit()
    assert acts(rows[image_id]) == (DROP, DROP, DROP, KEEP)


def test_images_that_would_come_back(bare, audit, capsys):
    data = os.urandom(100)
    image_id = upload(bare.client, data)
    assert sync.main(['--sweep']) == 0
    bare.site.accept(bare.site.image_list(entry(data)))
    capsys.readouterr()
    _, rows, err = audit()
    assert acts(rows[image_id]) == ('reactivate',) * 4
    assert rows[image_id]['Status'] == 'deactivated'
    assert 'reactivates 1' in err


def test_all_projects_and_visibilities(bare, audit):
    bob = bare.client.as_(BOB)
    ids = {upload(bob, b'x', **values) for values in (
        {}, {'visibility': 'community'}, {'os_hidden': True},
        {'visibility': 'private', 'os_hidden': True})}
    _, rows, _ = audit()
    assert set(rows) == ids
    assert {row['Owner'] for row in rows.values()} == {'cms'}


def test_before_anything_was_decided(bare, audit):
    image_id = upload(bare.client, b'whatever')
    nothing = bare.site.folder / 'nothing'
    bare.site.write_config(**{name: str(nothing / name) for name in (
        'policy_file', 'subscriptions_file', 'trust_anchors', 'state_dir')})
    bare.site.write_account(bare.glance.url, ACCOUNT)
    code, rows, err = audit()
    assert code == 0
    assert shown(rows[image_id]) == ('unknown', 'not-endorsed', DROP, KEEP)
    assert 'policy_file does not exist: nobody is trusted yet' in err
    assert not nothing.exists()


def test_lists_given_by_file(bare, audit, tmp_path):
    site = bare.site
    data = [os.urandom(100) for _ in range(3)]
    ids = [upload(bare.client, each) for each in data]
    paths = []
    for each in data[:2]:
        paths.append(tmp_path / f'{len(paths)}.smime')
        paths[-1].write_bytes(site.sign(site.image_list(entry(each)),
                                        site.alice))
    _, rows, _ = audit('--list', str(paths[0]), '--list', str(paths[1]))
    assert [rows[image_id]['State'] for image_id in ids] == [
        'endorsed', 'endorsed', 'unknown']
    _, rows, _ = audit()
    assert rows[ids[0]]['State'] == 'unknown'


def test_lists_that_nobody_may_rely_upon(bare, audit, tmp_path):
    site = bare.site
    data = os.urandom(100)
    upload(bare.client, data)
    path = tmp_path / 'list.smime'

    def refused(message, *words):
        if message is not None:
            path.write_bytes(message)
        code, rows, err = audit('--list', str(path))
        assert (code, rows) == (2, {})
        line = err.splitlines()[-1]
        assert line.startswith('hepix-vm-status: ')
        for word in (str(path), *words):
            assert word in line

    refused(None, 'No such file')
    refused(b'nonsense')
    refused(site.sign(site.image_list(entry(data)), site.bob),
            'not an endorser that is pinned')
    good = site.sign(site.image_list(entry(data)), site.alice)
    refused(good[:-200])
    # A list that is subscribed needs the endorser who is pinned for it.
    image_list = site.image_list(entry(data), version='2')
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier,
        'endorsers': [{'dn': ALICE + 'x', 'ca': CA}]}])
    refused(site.sign(image_list, site.alice), 'not an endorser')
    # And it never becomes older.
    site.accept(image_list)
    refused(site.sign(site.image_list(
        entry(data), identifier=image_list.identifier), site.alice),
        'older than version 2')


def test_a_list_takes_the_place_of_the_accepted_one(bare, audit, tmp_path):
    site = bare.site
    old, new = os.urandom(100), os.urandom(100)
    ids = [upload(bare.client, data) for data in (old, new)]
    image_list = site.image_list(entry(old))
    site.accept(image_list)
    path = tmp_path / 'list.smime'
    path.write_bytes(site.sign(site.image_list(
        entry(new), identifier=image_list.identifier, version='2'),
        site.alice))
    _, rows, _ = audit('--list', str(path))
    assert [rows[image_id]['State'] for image_id in ids] == [
        'unknown', 'endorsed']


def test_table_and_csv(bare, capsys):
    image_id = upload(bare.client, b'whatever', name='ev\x1b[31mil\nname')
    assert status.main(['audit', '-f', 'csv']) == 0
    said = capsys.readouterr()
    row, = csv.DictReader(io.StringIO(said.out))
    assert row['ID'] == image_id
    assert row['Name'] == 'ev [31mil name'
    assert len(row['SHA-512']) == 128
    assert status.main(['audit', '-c', 'State', '-c', 'SHA-512']) == 0
    said = capsys.readouterr()
    assert f'| unknown | {row["SHA-512"][:12]}... |' in said.out


def test_an_account_that_is_no_administrator(bare, audit):
    upload(bare.client, b'whatever')
    bare.site.write_account(bare.glance.url, 'audit:s3cret:member,reader')
    code, rows, err = audit()
    assert (code, rows) == (2, {})
    assert 'role admin' in err


def test_the_installed_command(bare):
    upload(bare.client, b'whatever')
    done = subprocess.run(
        [program('hepix-vm-status'), 'audit', '-f', 'json'], text=True,
        capture_output=True, timeout=120)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 1
    assert done.stderr.startswith('1 images: 1 unknown. ')
