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

"""An image that is revoked while servers run it."""

from collections.abc import Callable
from collections.abc import Iterator
import json

from openstack.compute.v2.server import Server
import pytest

from tests.testbed.client import wait
from tests.testbed.stack import Stack
from tests.testbed.user import refused
from tests.testbed.user import User

REASON = 'CVE-2026-0003'


@pytest.fixture(scope='module')
def image(alice: User, disk: Callable[[], bytes]) -> str:
    """An endorsed image, to be revoked."""
    return alice.endorsed(disk())


@pytest.fixture(scope='module')
def other(alice: User, disk: Callable[[], bytes]) -> str:
    """Another one; what Glance looks at after an upload it has seen."""
    return alice.endorsed(disk())


@pytest.fixture(scope='module')
def server(alice: User, admin: User, image: str,
           other: str) -> Iterator[Server]:
    """A server that runs it, and does so until the end."""
    made = alice.boot(image)
    yield made
    # It may be locked, and not for her to delete.
    admin.action(made, unlock=None)
    alice.delete(made)


@pytest.fixture(scope='module')
def shelved(stack: Stack, alice: User, admin: User,
            image: str) -> Iterator[Server]:
    """A server that ran it, and is shelved."""
    stack.site.write_policy(derived_images='inherit')
    made = alice.boot(image)
    assert alice.action(made, shelve=None).status_code == 202
    wait(lambda: alice.sdk.compute.get_server(made.id).status,
         lambda status: status == 'SHELVED_OFFLOADED')
    stack.site.write_policy()
    yield made
    admin.action(made, unlock=None)
    alice.delete(made)


@pytest.fixture(scope='module')
def said(admin: User, image: str, server: Server,
         shelved: Server) -> str:
    """What the operator reads who revokes it."""
    ran = admin.run('image endorsement revoke', image, '--reason', REASON)
    assert ran.status == 0, ran.err
    return ran.out + ran.err


def refused_hosts(stack: Stack) -> list[tuple[str, str, str]]:
    """Return for what nova-scheduler found no host because of us."""
    journal = stack.site.state / 'journal' / 'nova-scheduler.jsonl'
    records = (map(json.loads, journal.read_text().splitlines())
               if journal.exists() else ())
    return [(record['server'], record['action'],
             record['reasons'][0]['code'])
            for record in records if not record['allowed']]


def said_of_migrating(admin: User, server: Server) -> str:
    """Return what Nova tells its administrator of a migration."""
    actions = f'/servers/{server.id}/os-instance-actions'
    asked = next(
        action['request_id'] for action in admin.sdk.compute.get(
            actions).json()['instanceActions']
        if action['action'] == 'migrate')
    ended = admin.sdk.compute.get(f'{actions}/{asked}').json()
    return json.dumps(ended)


def test_who_revokes_reads_which_servers_run_it(
        said: str, alice: User, server: Server) -> None:
    assert f'The server {server.id} ({server.name})' in said
    listed = alice.run('server endorsement list', '--state', 'revoked',
                       '-c', 'ID', '-f', 'value')
    assert server.id in listed.out.split()


def test_no_server_is_made_of_it(said: str, alice: User,
                                 image: str) -> None:
    answer = alice.try_begin(image)
    refused(answer)
    assert REASON in answer.json()['forbidden']['message']
    done = alice.run('server create', 'none', '--image', image, '--flavor',
                     'small', '--nic', 'none')
    assert done.status == 1
    assert '[image-revoked]' in done.err and REASON in done.err
    assert 'Traceback' not in done.err


def test_no_volume_of_it_boots(said: str, stack: Stack, alice: User,
                               image: str) -> None:
    made_now = {'boot_index': 0, 'uuid': image, 'source_type': 'image',
                'destination_type': 'volume', 'volume_size': 1}
    refused(alice.try_begin(None, block_device_mapping_v2=[made_now]))
    there = {'boot_index': 0, 'source_type': 'volume',
             'destination_type': 'volume',
             'uuid': stack.cinder.volume('atlas', {'image_id': image})}
    # Before anything else: who wrote what Cinder says of it?
    refused(alice.try_begin(None, block_device_mapping_v2=[there]),
            'volume-refused')
    stack.site.write_policy(volumes='inherit')
    refused(alice.try_begin(None, block_device_mapping_v2=[there]))


@pytest.mark.parametrize('body', [
    {'rebuild': {'imageRef': 'IMAGE'}}, {'rescue': {}},
    {'rescue': {'rescue_image_ref': 'IMAGE'}}], ids=json.dumps)
def test_a_running_server_gets_no_more_of_it(
        said: str, alice: User, image: str, server: Server,
        body: dict[str, dict[str, str]]) -> None:
    (name, options), = body.items()
    refused(alice.action(server, **{name: dict.fromkeys(options, image)}))
    assert alice.settled(server).status == 'ACTIVE'


def test_what_was_shelved_stays_so(said: str, alice: User,
                                   shelved: Server) -> None:
    refused(alice.action(shelved, unshelve=None))
    assert alice.settled(shelved).status == 'SHELVED_OFFLOADED'


def test_a_running_server_may_go_on(
        said: str, stack: Stack, alice: User, admin: User,
        server: Server) -> None:
    """Resized and moved, unless the site wants it otherwise."""
    bigger = admin.sdk.compute.create_flavor(
        name='bigger', ram=320, vcpus=1, disk=1)
    stack.configure(enforce_on='create,rebuild,unshelve,resize')
    stack.compute.configure({}, stack.compute.scheduler)
    try:
        asked = alice.action(server, resize={'flavorRef': bigger.id})
        assert asked.status_code == 202, asked.text
        wait(lambda: refused_hosts(stack), lambda found: found == [
            (server.id, 'resize', 'image-revoked')])
        assert alice.settled(server).status == 'ACTIVE'
    finally:
        stack.configure()
        stack.compute.configure({}, stack.compute.scheduler)
    asked = alice.action(server, resize={'flavorRef': bigger.id})
    assert asked.status_code == 202, asked.text
    wait(lambda: alice.sdk.compute.get_server(server.id),
         lambda seen: seen.status == 'VERIFY_RESIZE')
    alice.sdk.compute.confirm_server_resize(server)
    wait(lambda: alice.sdk.compute.get_server(server.id),
         lambda seen: seen.status == 'ACTIVE')
    # There is no other host, which is all that is wrong with it: there is
    # no refusal of ours besides the one of above.
    asked = admin.action(server, migrate=None)
    assert asked.status_code == 202, asked.text
    assert alice.settled(server).status == 'ACTIVE'
    assert said_of_migrating(admin, server)
    assert 'hepix' not in said_of_migrating(admin, server)
    assert len(refused_hosts(stack)) == 1


def test_a_sweep_reports_a_server_and_stops_it(
        said: str, stack: Stack, alice: User, server: Server) -> None:
    told = stack.sync('--sweep')
    assert 'locked 0' in told, told
    journal = stack.site.state / 'journal' / 'hepix-vm-sync.jsonl'
    assert [record for record in map(
        json.loads, journal.read_text().splitlines())
        if record.get('server') == server.id]
    stack.site.write_policy(running_servers={'revoked': 'stop'})
    # The shelved one may not be had back by other ways either.
    assert 'locked 2, stopped 1' in stack.sync('--sweep')
    assert alice.settled(server).status == 'SHUTOFF'
    assert alice.action(server, **{'os-start': None}).status_code == 409


def test_a_block_counts_though_glance_says_active(
        stack: Stack, alice: User, other: str) -> None:
    """Nothing looked at the image since: as before a sweep."""
    shown = alice.glance.image(other)
    assert (shown['status'], shown['hepix_state']) == ('active', 'endorsed')
    stack.site.write_policy(blocked=[{
        'sha512': shown['os_hash_value'], 'reason': REASON}])
    refused(alice.try_begin(other), 'image-blocked')
    assert alice.glance.status(other) == 'active'
