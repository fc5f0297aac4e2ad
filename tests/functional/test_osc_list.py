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

"""``openstack image endorsement list``, over a real Glance."""

import datetime

import pytest

from tests.functional.ungated import BOB
from tests.testbed.client import ADMIN
from tests.testbed.openstack import OpenStack
from tests.testbed import pki

COMMAND = 'image endorsement list'
DAY = datetime.timedelta(days=1)


def at(delta):
    return (pki.utcnow() + delta).strftime('%Y-%m-%dT%H:%M:%SZ')


@pytest.fixture
def run(bare):
    return OpenStack.at(bare.glance.url, bare.site)


@pytest.fixture
def ids(bare):
    """Images of each state, and some that bear none."""
    root = bare.client.as_(ADMIN)
    public = {'visibility': 'public'}
    atlas = {'hepix_vo': 'atlas', 'hepix_endorser_dn': '/DC=x/CN=Alice'}
    return {name: root.create(name=name, **values) for name, values in {
        'soon': {**public, **atlas, 'hepix_state': 'endorsed',
                 'hepix_expires': at(5 * DAY)},
        'later': {**public, **atlas, 'hepix_state': 'endorsed',
                  'hepix_expires': at(50 * DAY)},
        'unswept': {**public, 'hepix_vo': 'cms', 'hepix_state': 'endorsed',
                    'hepix_expires': at(-DAY)},
        'expired': {**public, 'hepix_state': 'expired',
                    'hepix_expires': at(-DAY)},
        'ev\x1b[31mil': {**public, 'hepix_state': 'revoked',
                         'hepix_reason': 'image-revoked: a\nb',
                         'hepix_approved': 'true'},
        'coming': {**public, 'hepix_list_id': 'x'},
        'hidden': {**public, 'hepix_state': 'blocked', 'os_hidden': True},
        'private': {'visibility': 'private', 'hepix_state': 'adopted'},
        'plain': {**public, 'os_distro': 'debian'}}.items()}


def names(ran):
    assert ran.status == 0, ran.err
    return {row['Name'] for row in ran.json}


@pytest.mark.parametrize('given, found', [
    ([], {'soon', 'later', 'unswept', 'expired', 'ev [31mil', 'coming',
          'private'}),
    (['--state', 'endorsed'], {'soon', 'later'}),
    (['--state', 'expired', '--state', 'revoked'],
     {'unswept', 'expired', 'ev [31mil'}),
    (['--vo', 'atlas'], {'soon', 'later'}),
    (['--endorser', '/DC=x/CN=Alice', '--expiring-within', '14d'], {'soon'}),
    (['--endorser', '/DC=x/CN=Bob'], set()),
    (['--state', 'blocked', '--all-projects'], {'hidden'}),
    (['--state', 'blocked'], set())])
def test_what_is_listed(run, ids, given, found):
    assert names(run(COMMAND, *given, '-f', 'json')) == found


def test_all_columns(run, ids):
    row, = run(COMMAND, '--state', 'revoked', '--long', '-f', 'json').json
    assert row['ID'] == ids['ev\x1b[31mil']
    assert row['Reason'] == 'image-revoked: a b'
    assert (row['Visibility'], row['Status']) == ('public', 'queued')
    assert row['Project ID'] == 'admin'
    assert row['Endorsed Image ID'] == ''
    assert (row['Approved'], row['Shareable']) == (True, None)


def test_whoever_is_no_administrator_sees_what_glance_shows(bare, ids):
    bob = OpenStack.at(bare.glance.url, None, 'bob:cms:member,reader')
    assert 'private' not in names(bob(COMMAND, '-f', 'json'))
    refused = bob(COMMAND, '--all-projects')
    assert refused.status == 1
    assert refused.out == ''
    assert 'Use the account of an administrator' in (
        refused.err.splitlines()[-1])


def test_pages(bare, run, monkeypatch):
    monkeypatch.setattr('hepix_vm.exchange.catalogue.LIMIT', 2)
    bob = bare.client.as_(BOB)
    made = {bob.create(hepix_endorsement='x') for _ in range(5)}
    for image_id in made:
        bare.glance.query(
            "INSERT INTO image_properties (image_id, name, value, created_at,"
            " updated_at, deleted) VALUES (?, 'hepix_state', 'endorsed', "
            "'2026-01-01', '2026-01-01', 0)", (image_id,))
    rows = run(COMMAND, '--all-projects', '-f', 'json').json
    assert {row['ID'] for row in rows} == made


def test_wrong_words(run):
    assert run(COMMAND, '--state', 'fine').status == 2
    # Nobody takes another form of a name for an endorser without images.
    for name in ('CN=Alice,DC=x', 'Alice', ''):
        ran = run(COMMAND, '--endorser', name)
        assert (ran.status, ran.out) == (2, '')
        assert 'is no distinguished name' in ran.err
    assert 'is no point in time' in run(
        COMMAND, '--expiring-within', 'soon').err
