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
"""Lists that are followed into a real Glance with the gate in it."""

import dataclasses
import datetime
import uuid

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.following import check_said
from tests.functional.following import idle
from tests.functional.following import planned
from tests.functional.following import state
from tests.functional.following import VO
from tests.testbed.client import add
from tests.testbed.client import replace
from tests.testbed.pki import utcnow
from tests.testbed.site import entry


def test_first_sync(lists, run):
    first, second = lists.image(title='First'), lists.image(title='Second')
    image_list = lists.accept(first, second, block={'prefix': 'EGI '})
    ran = run('--no-fetch')
    assert 'total: 2 images came in (3.9 KiB)\n' in ran.out
    for listed in (first, second):
        image = lists.of(listed)
        assert image['status'] == 'active'
        assert image['hepix_state'] == 'endorsed'
        assert image['hepix_subscription'] == image_list.identifier
        assert image['hepix_image_id'] == listed.identifier
        assert image['hepix_uri'] == listed.uri
        assert image['os_hash_value'] == listed.sha512
        assert (image['visibility'], image['os_hidden'], image['owner']) == (
            'shared', False, 'service')
        assert image['name'] == f'EGI {listed.title}'
        assert lists.members(image) == {
            'atlas': 'accepted', 'cms': 'accepted'}
    assert lists.cloud.client.download(
        lists.of(first)['id']).status_code == 200
    assert lists.records() == []


def test_a_new_version_takes_the_place_of_the_old(lists, run):
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    before = lists.of(old)
    # What operators changed holds on.
    assert lists.admin.patch(before['id'], *replace(
        name='Ours', visibility='community', owner='atlas'),
        *add(description='kept')).status_code == 200
    new = lists.image(identifier=old.identifier, version='2.0')
    lists.next(image_list, new)
    steps = len(lists.journalled())
    ran = run('--no-fetch')
    after, parked = lists.of(new), lists.of(old)
    check_said(lists, ran, steps, before, after)
    assert (after['name'], after['visibility'], after['owner'],
            after['os_hidden'], after['status']) == (
        'Ours', 'community', 'atlas', False, 'active')
    assert (parked['status'], parked['hepix_state'], parked['os_hidden'],
            parked['visibility']) == (
        'deactivated', 'superseded', True, 'private')
    assert 'hepix_parked' in parked
    assert 'hepix_shared' not in parked
    record, = lists.records()
    assert (record.fact, record.value, record.image_list, record.version) == (
        Fact.SUPERSEDED, old.sha512, image_list.identifier, '2')
    before = state(lists)
    assert idle(run('--no-fetch'))
    assert state(lists) == before


def test_dropped_then_listed_again(lists, run):
    kept, dropped = lists.image(), lists.image()
    image_list = lists.accept(kept, dropped)
    run('--no-fetch')
    before = state(lists)
    second = lists.next(image_list, kept)
    run('--no-fetch')
    image = lists.of(dropped)
    assert (image['status'], image['hepix_state'], image['os_hidden']) == (
        'deactivated', 'revoked', True)
    assert 'image-revoked: ' in image['hepix_reason']
    record, = lists.records()
    assert (record.fact, record.value, record.version) == (
        Fact.REVOKED, dropped.sha512, '2')
    assert idle(run('--no-fetch'))
    third = lists.next(second, kept, dropped)
    run('--no-fetch')
    assert state(lists) == before
    # And dropped once more: the older record counts no longer.
    lists.next(third, kept)
    run('--no-fetch')
    assert lists.of(dropped)['hepix_state'] == 'revoked'
    assert {record.version for record in lists.records()} == {'2', '4'}


def test_what_an_operator_lifts_is_not_revoked_again(lists, run):
    kept, dropped = lists.image(), lists.image()
    image_list = lists.accept(kept, dropped)
    run('--no-fetch')
    lists.next(image_list, kept)
    run('--no-fetch')
    assert len(lists.records()) == 1
    run('lift', '--sha512', dropped.sha512, '--reason', 'a mistake')
    run('--no-fetch')
    assert len(lists.records()) == 1
    assert lists.of(dropped)['hepix_state'] != 'revoked'


def test_revoked_by_an_operator(lists, run):
    listed = lists.image()
    lists.accept(listed)
    run('--no-fetch')
    run('block', '--sha512', listed.sha512, '--reason', 'CVE-2026-0001')
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'deactivated'
    assert lists.of(listed)['hepix_state'] == 'blocked'
    run('lift', '--sha512', listed.sha512, '--reason', 'mended')
    run('--no-fetch')
    assert lists.of(listed)['status'] == 'active'


def test_expired_then_extended(lists, run):
    listed = lists.image()
    image_list = lists.accept(listed)
    run('--no-fetch')
    before = state(lists)
    now = utcnow().replace(microsecond=0)
    second = lists.next(image_list, listed,
                        expires=now - datetime.timedelta(minutes=1))
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['status'], image['hepix_state'], image['os_hidden']) == (
        'deactivated', 'expired', False)
    lists.next(second, listed)
    run('--no-fetch')
    assert state(lists) == before


def test_the_same_bytes_in_two_lists_are_stored_once(lists, run):
    first = lists.image()
    again = dataclasses.replace(first, identifier=str(uuid.uuid4()))
    one = lists.accept(first, block={'projects': {VO: 'atlas'}})
    two = lists.accept(again, block={'projects': {VO: 'cms'}})
    run('--no-fetch')
    image = lists.of(first)
    assert lists.members(image).keys() == {'atlas', 'cms'}
    # The first drops it: nothing is revoked, and its project goes.
    lists.next(one, lists.image())
    run('--no-fetch')
    image = lists.of(first)
    assert (image['status'], image['os_hidden']) == ('active', False)
    assert lists.members(image).keys() == {'cms'}
    assert lists.records() == []
    lists.block(two.identifier, share='public')
    run('--no-fetch')
    assert lists.of(first)['visibility'] == 'public'


def test_a_vo_that_is_not_mapped(lists, run):
    listed, other = lists.image(), lists.image()
    lists.accept(listed, vo='other.example.org', block={
        'projects': {'a.example.org': 'a', 'b.example.org': 'b'}})
    lists.accept(other)
    ran = run('--no-fetch', status=1)
    assert 'No project is named for the VO of the list' in ran.err
    assert 'subscriptions.yaml' in ran.err
    image = lists.of(listed)
    assert (image['visibility'], image['os_hidden']) == ('private', True)
    assert lists.of(other)['visibility'] == 'shared'


def test_what_is_selected_no_longer_is_parked_not_refused(lists, run):
    listed, other = lists.image(), lists.image()
    image_list = lists.accept(listed, other)
    run('--no-fetch')
    before = state(lists)
    lists.block(image_list.identifier, images=[other.identifier])
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['status'], image['hepix_state'], image['visibility'],
            image['os_hidden']) == ('active', 'endorsed', 'private', True)
    assert lists.records() == []
    lists.block(image_list.identifier)
    run('--no-fetch')
    assert state(lists) == before


def test_by_operator(lists, run):
    listed = lists.image()
    image_list = lists.accept(listed, block={'approve': 'by-operator'})
    waits = (
        f'waiting: image "{listed.title}" ({listed.identifier}) of the list '
        f'"{image_list.title}" ({image_list.identifier}) waits for approval; '
        f'approve it with hepix-vm-sync approve --image '
        f'{listed.identifier} --reason TEXT\n')
    plan = run('--no-fetch', '--dry-run')
    assert waits in plan.err
    assert 'An image waits for approval' not in plan.err
    ran = run('--no-fetch')
    assert waits in ran.out
    assert ran.out.endswith('total: 1 image came in (2.0 KiB), 1 image waits '
                            'for approval\n')
    assert 'WARNING: An image waits for approval: ' in ran.err
    again = run('--no-fetch')
    assert waits in again.out
    # Told once, said each time.
    assert again.err == ''
    image = lists.of(listed)
    assert (image['status'], image['visibility'], image['os_hidden'],
            image['hepix_approved']) == ('active', 'private', True, 'false')
    run('approve', '--image', listed.identifier, '--reason', 'looked at it')
    assert 'waiting: ' not in run('--no-fetch').out
    image = lists.of(listed)
    assert (image['visibility'], image['os_hidden'],
            image['hepix_approved']) == ('shared', False, 'true')
    run('lift', '--image', listed.identifier, '--reason', 'on second thought')
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['visibility'], image['os_hidden'],
            image['hepix_approved']) == ('private', True, 'false')


def test_the_old_version_waits_for_the_approval_of_the_new(lists, run):
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    new = lists.image(identifier=old.identifier)
    lists.next(image_list, new, block={'approve': 'by-operator'})
    run('approve', '--sha512', old.sha512, '--reason', 'was there before')
    run('--no-fetch')
    assert lists.of(new)['os_hidden'] is True
    # Neither the run nor the sweep takes it out of use.
    run('--sweep')
    image = lists.of(old)
    assert (image['status'], image['os_hidden'], image['visibility']) == (
        'active', False, 'shared')
    run('approve', '--sha512', new.sha512, '--reason', 'looked at it')
    run('--no-fetch')
    assert lists.of(new)['os_hidden'] is False
    assert lists.of(old)['hepix_state'] == 'superseded'


def test_what_users_brought_is_judged_and_not_touched(lists, run):
    listed, data = lists.image(), b'by a user'
    theirs = entry(data)
    image_list = lists.accept(listed, theirs, block={
        'images': [listed.identifier]})
    client = lists.cloud.client
    image_id = client.create(name='Mine')
    assert client.put(image_id, data).status_code == 204
    run('--no-fetch')
    before = lists.admin.image(image_id)
    assert before['hepix_list_id'] == image_list.identifier
    lists.next(image_list, listed)
    run('--no-fetch')
    image = lists.admin.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'revoked')
    for name in ('name', 'visibility', 'os_hidden', 'owner'):
        assert image[name] == before[name]


def test_a_list_that_is_not_here_decides_nothing(lists, run):
    listed = lists.image()
    image_list = lists.accept(listed)
    run('--no-fetch')
    before = state(lists)
    path = lists.site.state / 'lists' / f'{image_list.identifier}.smime'
    for content in (b'nonsense', None):
        if content:
            path.write_bytes(content)
        else:
            path.unlink()
        assert (f'The images of the list {image_list.identifier} are left as '
                'they are: no version of it is stored here.'
                ) in run('--no-fetch').err
        assert state(lists) == before
        assert lists.records() == []


def test_a_version_that_another_controller_left_behind(lists, run):
    """Its mark in the ledger says that there is a newer one."""
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    before = state(lists)
    lists.cloud.record(Fact.ACCEPTED, Blockable.LIST, image_list.identifier,
                       version='7')
    # Same version, other images: acted upon, it would revoke the old one.
    lists.accept(lists.image(), identifier=image_list.identifier)
    assert 'another controller has a newer version' in run('--no-fetch').err
    assert state(lists) == before
    assert lists.records() == []


def test_a_stale_list_is_no_empty_one(lists, run):
    listed = lists.image()
    image_list = lists.accept(listed)
    run('--no-fetch')
    before = state(lists)
    now = utcnow().replace(microsecond=0)
    lists.site.write_anchors(
        this_update=now - datetime.timedelta(days=40),
        next_update=now - datetime.timedelta(days=30))
    run('--no-fetch')
    assert state(lists) == before
    # What is new is not brought in by a list that is late for so long.
    lists.next(image_list, listed, lists.image())
    assert '[crl-expired]' in run('--no-fetch', status=1).err
    assert state(lists) == before


def test_a_list_that_is_followed_no_longer(lists, run):
    listed = lists.image()
    image_list = lists.accept(listed)
    run('--no-fetch')
    del lists.blocks[image_list.identifier]
    lists.write()
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['status'], image['os_hidden'], image['visibility']) == (
        'deactivated', True, 'private')


def test_one_list_only(lists, run):
    first, second = lists.image(), lists.image()
    lists.accept(first)
    image_list = lists.accept(second)
    run('--no-fetch', '--list', image_list.identifier.upper())
    assert len(lists.images()) == 1
    assert lists.of(second)['status'] == 'active'
    ran = run('--no-fetch', '--list', str(uuid.uuid4()), status=3)
    assert 'is followed' in ran.err


def test_a_dry_run_changes_nothing(lists, run):
    old = lists.image()
    image_list = lists.accept(old)
    run('--no-fetch')
    before = state(lists), len(lists.records())
    new = lists.image(identifier=old.identifier)
    lists.next(image_list, new)
    rows = planned(run('--no-fetch', '--dry-run', '-f', 'json'))
    assert [row['action'] for row in rows] == [
        'bring', 'replace', 'record', 'judge', 'park']
    assert (rows[0]['bytes_in'], rows[0]['image']) == (
        2000, old.identifier)
    ran = run('--no-fetch', '--dry-run')
    assert '5 steps, 2.0 KiB in, 0 B out' in ran.out
    assert '| Action' in ran.out
    assert (state(lists), len(lists.records())) == before
