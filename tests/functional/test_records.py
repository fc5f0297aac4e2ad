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

"""What operators write into the ledger, and take back."""

import dataclasses
import json
import os
import uuid

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import start
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed.site import entry


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    """A cloud that has an account for the commands."""
    for cloud in start(tmp_path_factory.mktemp('swept')):
        cloud.site.write_account(cloud.glance.url)
        yield cloud


def run(cloud, *arguments, status=0):
    done = cloud.command('hepix-vm-sync', *arguments)
    assert done.returncode == status, done.stderr
    assert 'Traceback' not in done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.mark.parametrize('kind, value', [
    ('--sha512', lambda data, image_id: entry(data).sha512.upper()),
    ('--glance-image', lambda data, image_id: image_id)])
def test_blocking_and_lifting(swept, kind, value):
    data = os.urandom(100)
    image_id = swept.endorsed(data)
    named = (kind, value(data, image_id))
    run(swept, 'block', *named, '--reason', 'CVE-2026-0002', '--author',
        'ops@example.org')
    # The sentinel may have been there before.
    run(swept, '--sweep')
    image = swept.client.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')
    assert 'ops@example.org blocked' in image['hepix_reason']
    assert 'no longer blocked (CVE-2026-0002)' in run(
        swept, 'lift', *named, '--reason', 'mended')
    assert f'{image_id} was reactivated' in run(swept, '--sweep')
    assert 'hepix_reason' not in swept.client.image(image_id)
    assert 'Nothing is said of' in run(
        swept, 'lift', *named, '--reason', 'mended', status=1)


def test_an_image_that_is_refused_for_more_than_one_record(swept):
    """Whoever judges it says the same, in the same words."""
    data = os.urandom(100)
    image = entry(data)
    image_list = swept.site.image_list(image)
    swept.site.accept(image_list)
    image_id = swept.client.create()
    assert swept.client.put(image_id, data).status_code == 204
    named = [('--sha512', image.sha512), ('--image', image.identifier),
             ('--list', image_list.identifier), ('--glance-image', image_id)]
    for each in named:
        run(swept, 'block', *each, '--reason', f'for {each[0]}')
    for fact in (Fact.SUPERSEDED, Fact.REVOKED):
        swept.record(fact, Blockable.SHA512, image.sha512,
                     image_list=image_list.identifier, version='2')
    run(swept, '--sweep')
    shown = swept.client.image(image_id)
    assert (shown['status'], shown['hepix_state']) == (
        'deactivated', 'revoked')
    codes = [part.partition(':')[0]
             for part in shown['hepix_reason'].split('; ')]
    # The worst comes first.
    assert codes[:5] == ['image-revoked'] + ['image-blocked'] * 4
    assert {'image-superseded', 'image-revoked'} <= set(codes)
    assert image_id not in run(swept, '--sweep')
    for each in named:
        run(swept, 'lift', *each, '--reason', 'mended')


@pytest.mark.parametrize('arguments, what', [
    (('--sha512', 'abc', '--reason', 'x'), '128 hexadecimal digits'),
    (('--image', 'x', '--reason', 'x'), 'UUID'),
    (('--list', 'x', '--reason', 'x'), 'UUID'),
    (('--list', 'x', '--reason', ' '), 'may be empty'),
    (('--list', 'x'), '--reason'), (('--reason', 'x'), 'is required')])
def test_what_cannot_be_blocked(swept, arguments, what):
    assert what in run(swept, 'block', *arguments, status=3)


def test_an_account_that_may_not(swept):
    image_id = swept.endorsed(os.urandom(100))
    swept.site.write_account(swept.glance.url, 'sync:service:member,reader')
    try:
        for verb in ('block', 'lift'):
            assert 'Glance answers 403' in run(
                swept, verb, '--glance-image', image_id, '--reason', 'x',
                status=2)
    finally:
        swept.site.write_account(swept.glance.url)


def test_blocks_are_told_once_and_are_in_the_journal(swept):
    image_id = swept.endorsed(os.urandom(100))
    named = ('--glance-image', image_id)
    for said in ('blocked; the next sweep', 'blocked already'):
        assert f'{image_id} {said}' in run(
            swept, 'block', *named, '--reason', 'why', '--author', 'eve')
    run(swept, 'lift', *named, '--reason', 'mended', '--author', 'bob')
    journal = swept.site.journal.with_name('hepix-vm-sync.jsonl')
    found = [record for record in map(
        json.loads, journal.read_text().splitlines())
        if record.get('glance_image') == image_id]
    assert [(record['event'], record['reason'], record['author'])
            for record in found] == [
        ('block', 'why', 'eve'), ('lift', 'mended', 'bob')]


def listed(cloud, *options):
    done = cloud.command('hepix-vm-status', 'ledger', '-f', 'json', *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_ledger_is_shown(swept):
    image_id = swept.endorsed(os.urandom(100))
    named = ('--glance-image', image_id)
    run(swept, 'block', *named, '--reason', 'why', '--author', 'eve')
    row, = (row for row in listed(swept) if row['Names'] == image_id)
    assert (row['Fact'], row['Kind'], row['Reason'], row['Author']) == (
        'blocked', 'glance_image', 'why', 'eve')
    assert listed(swept)[0]['Fact'] == 'installed'
    run(swept, 'lift', *named, '--reason', 'mended', '--author', 'bob')
    assert image_id not in {row['Names'] for row in listed(swept)}
    row, = (row for row in listed(swept, '--lifted')
            if row['Names'] == image_id)
    assert row['Lifted'] == 'bob: mended'
    swept.site.write_account(swept.glance.url, 'sync:service:member,reader')
    done = swept.command('hepix-vm-status', 'ledger')
    swept.site.write_account(swept.glance.url)
    assert (done.returncode, done.stdout) == (2, '')
    assert 'Glance answers 403' in done.stderr


def test_who_holds_an_image_is_not_taken_back(swept):
    """Whoever lifts a block does not give an image to another list."""
    image, holder = str(uuid.uuid4()), str(uuid.uuid4())
    swept.record(Fact.HELD, Blockable.IMAGE, image, image_list=holder)
    named = ('--image', image, '--reason', 'mended')
    run(swept, 'block', *named)
    assert 'no longer blocked' in run(swept, 'lift', *named)
    assert [row['Fact'] for row in listed(swept)
            if row['Names'] == image] == ['held']
    assert 'can be taken back' in run(swept, 'lift', *named, status=1)


def test_an_adoption_is_taken_back(swept):
    image_id = swept.endorsed(os.urandom(100))
    swept.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, image_id)
    assert f'{image_id} no longer adopted' in run(
        swept, 'lift', '--glance-image', image_id, '--reason', 'over')
    assert not [row for row in listed(swept) if row['Names'] == image_id]


def test_the_sweep_writes_down_which_versions_were_accepted(swept):
    """So that no controller acts on an older one from then on."""
    data, site = os.urandom(100), swept.site
    second = dataclasses.replace(
        site.image_list(entry(data)), version='2')
    first = dataclasses.replace(second, version='1')
    site.accept(second)

    def marks():
        return [row['Version'] for row in listed(swept)
                if (row['Fact'], row['Names']) == (
                    'accepted', second.identifier)]

    run(swept, '--sweep', '--dry-run')
    assert marks() == []
    for _ in range(2):
        run(swept, '--sweep')
        assert marks() == ['2']
    site.accept(first)
    run(swept, '--sweep')
    response = swept.client.put(swept.client.create(), data)
    assert response.status_code == 422
    assert '[list-rollback]' in response.text
    # A list that nobody may rely upon leaves no mark.
    site.accept(dataclasses.replace(second, version='3'))
    site.write_anchors(revoked=[site.alice])
    run(swept, '--sweep')
    assert '3' not in {row['Version'] for row in listed(swept)}
    site.write_anchors()
    site.write_subscriptions([])


@pytest.mark.parametrize('verb, shown', [
    ('approve', 'hepix_approved'), ('share', 'hepix_shareable')])
def test_an_operator_approves_and_shares(swept, verb, shown):
    data, site = os.urandom(100), swept.site
    image_list = site.image_list(entry(data))
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])
    image_id = swept.client.create()
    assert swept.client.put(image_id, data).status_code == 204
    said = ('--image', image_list.images[0].identifier, '--reason', 'good')
    assert swept.client.image(image_id)[shown] == 'false'
    assert 'the next sweep marks' in run(swept, verb, *said)
    assert 'already' in run(swept, verb, *said)
    run(swept, '--sweep')
    assert swept.client.image(image_id)[shown] == 'true'
    fact = {'approve': 'approved', 'share': 'shareable'}[verb]
    assert [row['Fact'] for row in listed(swept)
            if row['Names'] == said[1]] == [fact]
    assert f'no longer {fact} (good)' in run(swept, 'lift', *said)
    run(swept, '--sweep')
    assert swept.client.image(image_id)[shown] == 'false'
    site.write_subscriptions([])


@pytest.mark.parametrize('verb', ['approve', 'share'])
def test_only_images_are_approved_and_shared(swept, verb):
    said = run(swept, verb, '--endorser', '/CN=x', '--reason', 'x', status=3)
    assert '--sha512' in said
    assert 'required' in said
