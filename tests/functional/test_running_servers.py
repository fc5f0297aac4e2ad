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

"""What becomes of servers whose image may not be used any more."""

import datetime
import os

import pytest

from tests.functional.sweeping import controlled
from tests.functional.sweeping import mailed
from tests.functional.sweeping import project_of
from tests.functional.sweeping import tally
from tests.functional.sweeping import users
from tests.functional import world as worlds
from tests.testbed.cinder import FakeCinder
from tests.testbed.clouds import write_clouds
from tests.testbed.mail import mail_server
from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import entry

# Alice, who is an endorser too, and has another address as such.
OWNER = 'alice@cloud.example.org'
TOO_LATE = 'image trust policy of this cloud'


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    for world in worlds.run(tmp_path_factory.mktemp('world')):
        keystone = world.keystone
        user = users(world)['alice']
        keystone._call('PATCH', f'/users/{user}', {
            'user': {'email': OWNER}})
        yield world


@pytest.fixture
def site(world, capsys, tmp_path, monkeypatch):
    yield from controlled(world, capsys, tmp_path, monkeypatch)


def test_servers_are_reported_once(world, site):
    data = os.urandom(100)
    image, good = world.base(data), world.base(os.urandom(100))
    mine, others = site.server(image), site.server(image, 'bob', 'cms')
    kernel, _ = site.server(good, kernel=image), site.server(good)
    world.revoke(data)
    done = site.sweep('--dry-run')
    assert done.tally == tally(3)
    assert f'{mine} would be reported: its image {image} is revoked' in (
        done.out)
    assert site.did() == []
    done = site.sweep()
    assert done.tally == tally(3)
    assert f'{mine} was reported: its image {image} is revoked' in done.out
    assert site.sweep().tally == done.tally
    assert sorted(site.did()) == sorted(
        (server, 'seen') for server in (mine, others, kernel))
    record = next(each for each in site.journal() if each['server'] == mine)
    assert (record['image'], record['state'], record['project'],
            record['user'], record['status'], record['reasons'][0]['code']
            ) == (image, 'revoked', project_of(world, 'atlas'),
                  users(world)['alice'], 'ACTIVE', 'image-revoked')
    assert not site.show(mine)['locked']


def test_operators_and_owners_are_mailed_once(world, site):
    data = os.urandom(100)
    image = world.base(data)
    mine, others = site.server(image), site.server(image, 'bob', 'cms')
    world.revoke(data)
    with mail_server() as mail:
        mailed(site, mail)
        for _ in range(2):
            site.sweep()
    # The revocation goes to the endorser.
    texts = {item.recipients[0]: item.message.get_content()
             for item in mail.received}
    assert sorted(item.recipients[0] for item in mail.received) == [
        OWNER, 'alice@example.org', 'ops@example.org']
    operators = texts['ops@example.org']
    assert operators.count('A server runs an image out of use.') == 2
    assert operators.count('has no mail address in Keystone') == 1
    told = texts[OWNER]
    assert told.count('A server runs an image') == 1
    assert mine in told
    assert others not in told
    assert 'Save what you need' in told


def test_servers_that_run_from_volumes(world, site):
    data = os.urandom(100)
    image, good = world.base(data), world.base(os.urandom(100))
    servers = [site.server('') for _ in range(3)]
    disks = [site.show(server)['os-extended-volumes:volumes_attached'][0]['id']
             for server in servers]
    with FakeCinder(dict(zip(disks, (image, image, good), strict=True))) as (
            cinder):
        site.configure(block_storage_endpoint=cinder.url)
        world.revoke(data)
        assert site.sweep().tally == tally(2)
    assert {server for server, _ in site.did()} == {*servers[:2]}


def test_a_lock_is_nobody_elses_to_lift(world, site):
    data = os.urandom(100)
    image = world.base(data)
    plain, own, held = (site.server(image) for _ in range(3))
    assert site.act(own, {'lock': None}).status_code == 202
    assert site.act(held, {'lock': None}, 'admin', 'admin').status_code == (
        202)
    world.site.write_policy(
        running_servers={'blocked': 'lock'},
        blocked=[{'sha512': entry(data).sha512, 'reason': 'CVE-2026-0001'}])
    assert site.sweep().tally == tally(3, locked=2)
    for server in (plain, own):
        shown = site.show(server)
        assert TOO_LATE in shown['locked_reason']
        assert f'{image} is blocked' in shown['locked_reason']
        assert shown['status'] == 'ACTIVE'
        # Whose it is may not take it off, nor do anything with it.
        assert site.act(server, {'unlock': None}).status_code == 403
        assert site.act(server, {'os-stop': None}).status_code == 409
    assert site.show(held)['locked_reason'] is None
    assert sorted(site.did()) == sorted([
        (plain, 'locked'), (own, 'locked'), (held, 'seen')])
    assert site.sweep().tally == tally(3)
    assert len(site.journal()) == 3
    # An operator's word holds until the next sweep.
    assert site.act(plain, {'unlock': None}, 'admin', 'admin'
                    ).status_code == 202
    assert site.sweep().tally == tally(3, locked=1)
    # Nothing is unlocked when the image may be used again.
    world.site.write_policy()
    assert site.sweep().tally == tally(0)
    assert site.show(plain)['locked']


def test_a_server_is_stopped_and_stays_so(world, site):
    data = os.urandom(100)
    image = world.base(data)
    active, paused, off, building = (site.server(image) for _ in range(4))
    for server, state in ((paused, 'paused'), (off, 'stopped'),
                          (building, 'building')):
        site.become(server, state)
    world.site.write_policy(running_servers={'revoked': 'stop'})
    world.revoke(data)
    done = site.sweep()
    assert done.tally == tally(4, locked=3, stopping=1)
    assert f'{active} was locked and told to stop: ' in done.out
    assert f'{off} was locked: ' in done.out
    assert f'{building} cannot be locked or stopped as it should' in done.out
    assert site.show(active)['OS-EXT-STS:task_state'] == 'powering-off'
    assert {server for server in site.servers
            if site.show(server)['locked']} == {active, paused, off}
    # What Nova is busy with it refuses to do twice.
    done = site.sweep()
    assert done.tally == tally(4, unstopped=1)
    assert f'{active} cannot be locked or stopped as it should' in done.out
    site.become(active, 'stopped')
    assert f'{active} was stopped: ' in site.sweep().out
    assert active not in site.sweep().out
    assert site.act(active, {'os-start': None}).status_code == 409
    site.become(building, 'active')
    assert site.sweep().tally == tally(4, locked=1, stopping=1)
    assert site.actions(active) == [
        'locked', 'stopping', 'unstopped', 'stopped']
    assert site.actions(building) == ['seen', 'locked', 'stopping']


def test_operators_are_told_of_what_nova_does_not_stop(world, site):
    data = os.urandom(100)
    image = world.base(data)
    rescued, resized = site.server(image), site.server(image)
    site.become(rescued, 'rescued')
    site.become(resized, 'resized')
    world.site.write_policy(running_servers='stop')
    world.revoke(data)
    with mail_server() as mail:
        mailed(site, mail)
        for locked in (2, 0):
            assert site.sweep().tally == tally(2, locked, unstopped=2)
    text, = (item.message.get_content() for item in mail.received
             if item.recipients == ['ops@example.org'])
    assert text.count('A server cannot be stopped, and runs on.') == 2
    assert 'in project ' + project_of(world, 'atlas') + ', RESCUE' in text
    assert all(site.actions(server) == ['locked', 'unstopped']
               for server in site.servers)
    # When an operator has ended it the next sweep stops it.
    site.become(resized, 'active')
    assert site.sweep().tally == tally(2, stopping=1, unstopped=1)


def test_another_controller_does_nothing_twice(world, site):
    data = os.urandom(100)
    image = world.base(data)
    server = site.server(image)
    world.site.write_policy(running_servers='lock')
    world.revoke(data)
    with mail_server() as mail:
        mailed(site, mail)
        assert site.sweep().tally == tally(1, locked=1)
        count = len(mail.received)
        site.configure('another')
        done = site.sweep()
        assert done.tally == tally(1)
        assert len(mail.received) == count
    assert site.did() == [(server, 'seen')]
    subjects = [item.message['Subject'] for item in mail.received
                if item.recipients == [OWNER]]
    assert [subject.rpartition(': ')[2] for subject in subjects] == [
        'A server was locked for its image']


def test_an_image_that_no_sweep_marked_yet_and_its_override(world, site):
    data = os.urandom(100)
    expired = entry(data, expires=(pki.utcnow() - datetime.timedelta(
        minutes=5)).replace(microsecond=0))
    text = world.site.encode(world.site.sign(
        world.site.image_list(expired), world.site.alice))
    overrides = [{'image': expired.identifier, 'until': '2999-01-01',
                  'reason': 'r', 'author': 'ops@example.org'}]
    world.site.write_policy(overrides=overrides)
    image = world.alice.create(hepix_endorsement=text)
    assert world.alice.put(image, data).status_code == 204
    server = site.server(image)
    assert site.sweep().tally == tally(0)
    world.site.write_policy(running_servers={'expired': 'lock'})
    done = site.sweep()
    assert done.tally == tally(1, locked=1)
    # By this sweep, or by what heard of the upload just now.
    assert world.alice.status(image) == 'deactivated'
    assert f'{image} is expired' in site.show(server)['locked_reason']
    world.site.write_policy(
        overrides=overrides,
        running_servers={'expired': 'lock', 'revoked': 'stop'})
    assert site.sweep().tally == tally(0)
    # It excuses nothing but that.
    world.revoke(data)
    assert site.sweep().tally == tally(1, stopping=1)


def test_what_was_made_of_a_server_falls_with_its_base(world, site):
    data = os.urandom(100)
    base = world.base(data)
    world.site.write_policy(derived_images='inherit')
    first = site.server(base)
    snapshot = world.snapshot(first, os.urandom(50).hex().encode())
    second = site.server(snapshot)
    world.revoke(data)
    world.site.write_policy(derived_images='inherit', running_servers='lock')
    assert site.sweep().tally == tally(2, locked=2)
    assert snapshot in site.show(second)['locked_reason']


def test_without_nova_images_are_settled_all_the_same(world, site):
    data = os.urandom(100)
    image = world.base(data)
    site.server(image)
    site.server('')
    world.revoke(data)
    site.configure(compute_endpoint='http://127.0.0.1:1/v2.1')
    done = site.sweep(status=2)
    assert done.tally == 'servers unknown'
    assert 'Nova does not say which servers there are' in done.err
    assert world.admin.image(image)['status'] == 'deactivated'
    site.configure(compute_endpoint='')
    done = site.sweep()
    assert done.tally == 'servers unknown'
    assert 'There is no Nova here' in done.out
    site.configure()
    with world.nova.failing('services'):
        assert 'A cell of Nova does not answer' in site.sweep(status=2).err
    # Cinder is not there, or does not answer: all others are found.
    done = site.sweep()
    assert done.tally == tally(1)
    assert 'There is no Cinder here' in done.out
    site.configure(block_storage_endpoint='http://127.0.0.1:1/v3')
    done = site.sweep(status=2)
    assert done.tally == tally(1)
    assert 'Cinder cannot be asked' in done.err


def test_an_operator_reads_what_the_next_sweep_does(
        world, site, tmp_path, monkeypatch):
    write_clouds(tmp_path / 'clouds.yaml', world)
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE', str(tmp_path / 'clouds.yaml'))
    image = world.base(os.urandom(100))
    site.server(image)
    site.server(image, 'bob', 'cms')
    world.site.write_policy(running_servers={'blocked': 'stop'})
    ran = OpenStack(world.site, '--os-cloud', 'admin')(
        'image endorsement set', image, '--block', '--reason', 'x')
    assert ran.status == 0
    assert (f'2 servers run the image {image}. The next sweep does with them '
            f'what running_servers of policy.yaml says: stop.') in ran.err
