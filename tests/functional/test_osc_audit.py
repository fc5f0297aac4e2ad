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

"""``openstack image endorsement audit``, over a Glance without a gate."""

import json

import pytest

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from tests.functional import ungated
from tests.functional.ungated import upload
from tests.testbed.client import ADMIN
from tests.testbed.openstack import OpenStack
from tests.testbed.site import ALICE

COMMAND = 'image endorsement audit'
EXPECTED = {
    'endorsed': ('endorsed', 'keep'), 'listed': ('endorsed', 'keep'),
    'adopted': ('adopted', 'keep'), 'unknown': ('unknown', 'deactivate'),
    'other': ('unknown', 'deactivate'), 'expired': ('expired', 'deactivate'),
    'revoked': ('revoked', 'deactivate'),
    'blocked': ('blocked', 'deactivate'),
    'refused': ('refused', 'deactivate')}


@pytest.fixture
def run(bare):
    def run(*arguments, site=bare.site, status=0, **more):
        ran = OpenStack.at(bare.glance.url, site, **more)(
            COMMAND, *arguments, '-f', 'json')
        assert ran.status == status, ran.err
        return ran
    return run


def test_what_a_cloud_would_look_like(bare, run):
    ids = ungated.make_everything(bare)
    before = bare.client.as_(ADMIN).call('GET', '/v2/images').json()
    ran = run('--all-projects')
    rows = {row['ID']: row for row in ran.json}
    assert {name: (rows[image_id]['State'], rows[image_id]['Action'])
            for name, image_id in ids.items()} == EXPECTED
    assert len(rows) == len(EXPECTED)
    row = rows[ids['refused']]
    assert row['Reasons'][0] == 'endorser-mismatch'
    assert (row['Name'], row['Status'], row['Project ID']) == (
        'refused', 'active', 'atlas')
    # There is no Nova, which is no reason to say nothing.
    assert row['Servers'] is None
    assert 'Nova does not say which servers there are' in ran.err
    assert ran.err.endswith(
        '9 images: 1 adopted, 1 blocked, 2 endorsed, 1 expired, 1 refused, '
        '1 revoked, 2 unknown. Enforcing deactivates 6, and reactivates '
        '0.\n')
    # Nothing was touched, nothing journalled.
    assert bare.client.as_(ADMIN).call('GET', '/v2/images').json() == before
    assert not list((bare.site.state).glob('journal/*'))


def test_from_where_the_site_has_no_files(bare, run):
    image_id = upload(bare.client, b'whatever')
    marked = upload(bare.client.as_(ADMIN), b'other',
                    hepix_state='endorsed')
    ran = run('--all-projects', site=None)
    assert {row['ID']: (row['State'], row['Action'], row['Reasons'])
            for row in ran.json} == {
        image_id: ('unknown', 'deactivate', ['not-endorsed']),
        marked: ('endorsed', '', [])}
    assert '/etc/hepix-vm/policy.yaml is not here' in ran.err
    # Nothing is promised where nothing was judged.
    assert ran.err.endswith('2 images: 1 endorsed, 1 unknown.\n')
    # Whoever has files of a site judges by them.
    data = b'third'
    third = upload(bare.client, data,
                   hepix_endorsement=bare.site.endorse(data))
    ran = run('--all-projects', '--policy',
              str(bare.site.folder / 'policy.yaml'), '--trust-anchors',
              str(bare.site.anchors), site=None)
    assert {row['ID']: (row['State'], row['Action'])
            for row in ran.json} == {
        image_id: ('unknown', 'deactivate'),
        marked: ('unknown', 'deactivate'), third: ('endorsed', 'keep')}
    assert 'is not here' not in ran.err
    assert 'Enforcing deactivates 2' in ran.err


def test_a_controller_without_trust_anchors(bare, run):
    """What cannot be judged is not shown as refused."""
    upload(bare.client, b'whatever')
    bare.site.write_config(trust_anchors=str(bare.site.folder / 'nothing'))
    ran = run('--all-projects', status=1)
    assert ran.out == ''
    assert 'There are no trust anchors' in ran.err


def test_who_may_not_ask(bare, run):
    upload(bare.client, b'whatever')
    ran = run('--all-projects', status=1, token='alice:atlas:member')
    assert ran.out == ''
    assert 'Use the account of an administrator' in ran.err
    # Nobody else was asked in vain.
    assert 'Nova' not in ran.err
    # Without Keystone one has no project.
    ran = run(status=1)
    assert 'Give --all-projects' in ran.err
    assert json.loads(run('--all-projects').out)


def test_what_an_image_would_bear(bare):
    """The verdict is shown where no gate ever wrote one."""
    data = b'whatever'
    image_id = upload(bare.client, data,
                      hepix_endorsement=bare.site.endorse(data))
    shown = OpenStack.at(bare.glance.url, bare.site)(
        'image endorsement show', image_id, '-f', 'json').json
    assert (shown['judged'], shown['state'], shown['endorser_dn']) == (
        'here', 'endorsed', ALICE)
    assert shown['list_id']


@pytest.mark.parametrize('laptop', [False, True])
def test_a_block_of_what_cannot_be_changed(bare, monkeypatch, laptop):
    """The other images are, and what was decided stands."""
    first, second = (upload(bare.client, b'same') for _ in range(2))
    deactivate = Catalogue.deactivate

    def fail(catalogue, image_id):
        if image_id == first:
            raise ServiceError('Glance is full.', 503, 'Look there.')
        deactivate(catalogue, image_id)
    monkeypatch.setattr(Catalogue, 'deactivate', fail)
    ran = OpenStack.at(bare.glance.url, None if laptop else bare.site)(
        'image endorsement set', first, '--block', '--reason', 'x',
        '-f', 'json')
    assert ran.status == 1
    assert {row['ID']: (row['Done'], row['Status']) for row in ran.json} == {
        first: ('failed', ''), second: ('deactivated', 'deactivated')}
    assert f'{first}: Glance is full. Look there.\n' in ran.err
    assert ungated.kept(bare)[0].fact == 'blocked'
