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

"""``openstack image endorsement set`` and ``revoke``, over a real Glance."""

import os
import uuid

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import start
from tests.testbed.client import ADMIN
from tests.testbed.client import Identity
from tests.testbed.openstack import OpenStack
from tests.testbed.openstack import OPERATOR
from tests.testbed.site import entry

SET, REVOKE = 'image endorsement set', 'image endorsement revoke'
BOB = Identity(user='bob', project='cms')
WHY = ('--reason', 'CVE-2026-0002', '-f', 'json')


@pytest.fixture(scope='module')
def gated(tmp_path_factory):
    """A cloud that has an account for the commands."""
    for cloud in start(tmp_path_factory.mktemp('gated')):
        cloud.site.write_account(cloud.glance.url)
        yield cloud


@pytest.fixture
def run(gated):
    """Return what runs a command on a controller, or on a laptop."""
    def run(command, *arguments, status=0, site=gated.site,
            token=OPERATOR):
        ran = OpenStack.at(gated.glance.url, site, token)(
            command, *arguments)
        assert ran.status == status, ran.err
        assert 's3cret' not in ran.out + ran.err
        assert 'Traceback' not in ran.err
        return ran
    return run


def sweep(cloud):
    done = cloud.command('hepix-vm-sync', '--sweep')
    assert done.returncode == 0, done.stderr
    return done


def copies(cloud, data):
    """Return the ids of images of two projects that have the same bytes."""
    first = cloud.endorsed(data)
    bob = cloud.client.as_(BOB)
    second = bob.create(hepix_endorsement=cloud.site.endorse(data))
    assert bob.put(second, data).status_code == 204
    return first, second


def shown(cloud, image_id):
    image = cloud.client.as_(ADMIN).image(image_id)
    return image['status'], image['hepix_state']


def rows(ran):
    return {row['ID']: row for row in ran.json}


def test_blocking_on_a_controller(gated, run):
    data = os.urandom(100)
    first, second = copies(gated, data)
    other = gated.endorsed(os.urandom(100))
    ran = run(SET, first, '--block', *WHY)
    found = rows(ran)
    assert set(found) == {first, second}
    for image_id in found:
        # The sentinel may have been there before.
        assert found[image_id]['Done'] in ('deactivated', 'unchanged')
        assert 'CVE-2026-0002' in found[image_id]['Reason']
        assert found[image_id]['Project ID'] == gated.client.as_(ADMIN).image(
            image_id)['owner']
        assert shown(gated, image_id) == ('deactivated', 'blocked')
    assert f'{entry(data).sha512} blocked\n' in ran.err
    # The endorser is told where this machine tells anybody.
    assert ran.err.count('WARNING: An image was blocked') == 2
    assert 'Nova does not say which servers there are' in ran.err
    assert '"event": "block"' in (
        gated.site.state / 'journal/hepix-vm-sync.jsonl').read_text()
    again = run(SET, first, '--block', *WHY)
    assert f'{entry(data).sha512} blocked already' in again.err
    assert {row['Done'] for row in again.json} == {'unchanged'}
    assert 'deactivated 0, reactivated 0, marked 0' in sweep(gated).stdout

    ran = run(SET, first, '--unblock', *WHY)
    assert 'no longer blocked (CVE-2026-0002)' in ran.err
    assert {row['Done'] for row in ran.json} == {'reactivated'}
    assert shown(gated, second) == ('active', 'endorsed')
    assert 'was not blocked' in run(SET, first, '--unblock', *WHY).err
    assert shown(gated, other) == ('active', 'endorsed')


@pytest.mark.parametrize('before', ['blocked', 'refused'])
def test_revoking_what_is_out_of_use(gated, run, before):
    image_id = gated.endorsed(os.urandom(100))
    if before == 'blocked':
        run(SET, image_id, '--block', *WHY)
    else:
        gated.site.write_policy(endorsers=[])
        sweep(gated)
    assert shown(gated, image_id) == ('deactivated', before)
    ran = run(REVOKE, image_id, *WHY)
    gated.site.write_policy()
    assert shown(gated, image_id) == ('deactivated', 'revoked')
    assert ran.err.count('WARNING: An image was revoked') == 1
    assert 'CVE-2026-0002' in rows(ran)[image_id]['Reason']
    again = run(REVOKE, image_id, *WHY)
    assert 'WARNING: An image was revoked' not in again.err
    assert sweep(gated).stderr == ''


def test_a_block_of_all_versions_is_taken_back_from_all(gated, run):
    """An operator may have named what all versions have in common."""
    image = str(uuid.uuid4())
    ids = []
    for _ in range(2):
        data, site = os.urandom(100), gated.site
        ids.append(gated.client.create(hepix_endorsement=site.encode(
            site.sign(site.image_list(entry(data, identifier=image)),
                      site.alice))))
        assert gated.client.put(ids[-1], data).status_code == 204
    gated.record(Fact.BLOCKED, Blockable.IMAGE, image)
    sweep(gated)
    assert {shown(gated, each) for each in ids} == {
        ('deactivated', 'blocked')}
    ran = run(SET, ids[0], '--unblock', *WHY)
    assert {row: each['Status'] for row, each in rows(ran).items()} == (
        dict.fromkeys(ids, 'active'))


@pytest.mark.parametrize('name', [
    'plain', 'in:a,b', 'in:', 'neq:foo', 'a"b', 'back\\slash', 'a,b',
    "it's", 'näh ☃'])
def test_images_by_their_names(gated, run, name):
    gated.client.create(name=f'{name}2')
    image_id = gated.client.create(name=name)
    assert run('image endorsement show', name, '-f', 'json').json[
        'id'] == image_id


@pytest.mark.parametrize('digest', ['', 'abc'])
def test_what_is_no_digest(gated, run, digest):
    ran = run(REVOKE, '--sha512', digest, *WHY, status=1)
    assert 'Give the 128 hexadecimal digits' in ran.err


def test_blocking_on_a_laptop(gated, run):
    first, second = copies(gated, os.urandom(100))
    ran = run(SET, first, '--block', *WHY, site=None)
    assert {row['Done'] for row in ran.json} <= {'deactivated', 'unchanged'}
    assert 'the next sweep there does the rest' in ran.err
    before = gated.client.image(first)
    assert (before['status'], before['hepix_state'], before['hepix_untold'],
            before['hepix_withdrawn']) == (
        'deactivated', 'blocked', 'true', 'true')
    again = run(SET, first, '--block', *WHY, site=None)
    assert {row['Done'] for row in again.json} == {'unchanged'}
    assert gated.client.image(first) == before
    # All that a sweep finds is that nobody was told.
    done = sweep(gated)
    assert done.stderr.count('An image was blocked') == 2
    assert 'deactivated 0, reactivated 0, marked 2' in done.stdout
    after = gated.client.image(first)
    assert {**before, 'updated_at': ''} == {
        **after, 'hepix_untold': 'true', 'updated_at': ''}
    assert 'marked 0' in sweep(gated).stdout

    ran = run(SET, second, '--unblock', *WHY, site=None)
    assert {row['Done'] for row in ran.json} == {'left to the next sweep'}
    assert shown(gated, first) == ('deactivated', 'blocked')
    sweep(gated)
    assert shown(gated, first) == shown(gated, second) == (
        'active', 'endorsed')


@pytest.mark.parametrize('laptop', [False, True])
def test_revoking_is_final(gated, run, laptop):
    data = os.urandom(100)
    image_id = gated.endorsed(data)
    site = None if laptop else gated.site
    ran = run(REVOKE, image_id, *WHY, site=site)
    assert rows(ran)[image_id]['State'] == 'revoked'
    assert 'revoked already' in run(REVOKE, image_id, *WHY, site=site).err
    ran = run(SET, image_id, '--unblock', *WHY)
    assert 'was not blocked' in ran.err
    assert shown(gated, image_id) == ('deactivated', 'revoked')
    # Whoever endorses it anew.
    again = gated.client.create(hepix_endorsement=gated.site.endorse(
        data, version='9'))
    assert 'image-revoked' in gated.client.put(again, data).text
    assert gated.command(
        'hepix-vm-sync', 'lift', '--sha512', entry(data).sha512, '--reason',
        'a mistake').returncode == 0
    sweep(gated)
    assert shown(gated, image_id) == ('active', 'endorsed')


def test_bytes_that_are_not_there(gated, run):
    data = os.urandom(100)
    ran = run(REVOKE, '--sha512', entry(data).sha512.upper(), *WHY)
    assert ran.json == []
    assert f'{entry(data).sha512} revoked\n' in ran.err
    image_id = gated.client.create(
        hepix_endorsement=gated.site.endorse(data))
    assert 'image-revoked' in gated.client.put(image_id, data).text
    assert 'Give the 128 hexadecimal digits' in run(
        REVOKE, '--sha512', 'abc', *WHY, status=1).err


def test_approving_and_sharing(gated, run):
    image_id = gated.endorsed(os.urandom(100))
    ran = run(SET, image_id, '--approve', '--share', *WHY)
    assert rows(ran)[image_id]['Done'] == 'marked'
    image = gated.client.image(image_id)
    assert image['hepix_shareable'] == 'true'
    ran = run(SET, image_id, '--approve', '--share', *WHY)
    assert ran.err.count(' already\n') == 2
    ran = run(SET, image_id, '--no-approve', '--no-share', *WHY)
    assert 'no longer approved' in ran.err
    assert 'no longer shareable' in ran.err
    assert gated.client.image(image_id)['hepix_shareable'] == 'false'
    # What was said of the endorsed image itself as well.
    assert gated.command(
        'hepix-vm-sync', 'approve', '--image', image['hepix_image_id'],
        '--reason', 'x').returncode == 0
    assert 'no longer approved' in run(
        SET, image_id, '--no-approve', *WHY).err


def test_an_image_without_a_digest_is_named_itself(gated, run):
    image_id = gated.endorsed(os.urandom(100))
    gated.glance.query(
        "UPDATE images SET os_hash_algo = 'sha256', os_hash_value = 'ab' "
        'WHERE id = ?', (image_id,))
    refused = run(SET, image_id, '--block', '--approve', *WHY, status=1)
    assert 'Glance knows no SHA-512' in refused.err
    # Nothing was done by halves.
    assert 'blocked' not in refused.err
    assert gated.client.status(image_id) == 'active'
    ran = run(SET, image_id, '--block', *WHY, site=None)
    assert f'{image_id} blocked\n' in ran.err
    assert shown(gated, image_id) == ('deactivated', 'blocked')
    gated.client.as_(ADMIN).delete(image_id)


@pytest.mark.parametrize(('arguments', 'status', 'words'), [
    (['--block', '--unblock', '--reason', 'x'], 2, 'not allowed with'),
    (['--reason', 'x'], 1, 'Nothing is to be set.'),
    (['--block'], 2, '--reason'),
    (['--block', '--reason', ' '], 1, '--reason may not be empty.')])
def test_wrong_words(gated, run, arguments, status, words):
    ran = run(SET, 'image', *arguments, status=status)
    assert words in ran.err.splitlines()[-1]


def test_what_cannot_be_decided(gated, run):
    queued = gated.client.create(name='queued')
    assert 'has no bytes' in run(SET, queued, '--block', *WHY, status=1).err
    assert 'There is no image nobody' in run(
        REVOKE, 'nobody', *WHY, status=1).err
    image_id = gated.endorsed(os.urandom(100))
    refused = run(SET, image_id, '--block', *WHY, status=1,
                  token='alice:atlas:member,reader')
    assert 'Use the account of an administrator' in refused.err
    assert shown(gated, image_id) == ('active', 'endorsed')
    # To him the ledger looks empty, which is not what it says.
    run(SET, image_id, '--unblock', *WHY, status=1,
        token='alice:atlas:member,reader')
