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

from collections.abc import Iterator
import contextlib
import json

from openstack.compute.v2.server import Server
import pytest

from tests.testbed.client import wait
from tests.testbed.compute import FakeHost
from tests.testbed.stack import Stack
from tests.testbed.user import refused
from tests.testbed.user import User

REASON = 'CVE-2026-0003'


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


@contextlib.contextmanager
def judging_moves(stack: Stack) -> Iterator[None]:
    """The site wants servers judged that move, too."""
    stack.configure(enforce_on='create,rebuild,unshelve,resize,migrate')
    stack.compute.configure({}, stack.compute.scheduler)
    try:
        yield
    finally:
        stack.configure()
        stack.compute.configure({}, stack.compute.scheduler)


def moved_to(admin: User, server: Server) -> list[str | None]:
    """Return the hosts that Nova found for a server, oldest move first."""
    return [move.dest_compute for move in sorted(
        admin.sdk.compute.migrations(instance_uuid=server.id),
        key=lambda move: move.id)]


def goes_on(user: User, server: Server, status: str) -> None:
    """See a server reach a status, and nothing be under way with it."""
    wait(lambda: user.sdk.compute.get_server(server.id),
         lambda seen: (seen.status, seen.task_state) == (status, None))


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


@pytest.fixture(scope='module')
def bigger(admin: User) -> str:
    """The id of another flavor."""
    return str(admin.sdk.compute.create_flavor(
        name='bigger', ram=320, vcpus=1, disk=1).id)


def test_a_running_server_may_be_moved(
        said: str, stack: Stack, admin: User, server: Server,
        bigger: str) -> None:
    """To another host, which is fake, unless the site wants it otherwise."""
    with FakeHost(stack.compute):
        with judging_moves(stack):
            for body in ({'resize': {'flavorRef': bigger}},
                         {'migrate': None}):
                answer = admin.action(server, **body)
                assert answer.status_code == 202, answer.text
                goes_on(admin, server, 'ACTIVE')
        refusals = [('resize', 'image-revoked'), ('migrate', 'image-revoked')]
        assert stack.refusals('nova-scheduler', server.id) == refusals
        assert moved_to(admin, server) == [None, None]

        answer = admin.action(server, migrate=None)
        assert answer.status_code == 202, answer.text
        goes_on(admin, server, 'VERIFY_RESIZE')
        assert moved_to(admin, server)[2:] == [FakeHost.NAME]
        assert stack.refusals('nova-scheduler', server.id) == refusals
        # No guest runs there.
        assert admin.action(server, revertResize=None).status_code == 202
        goes_on(admin, server, 'ACTIVE')


def test_a_running_server_may_be_resized(
        said: str, alice: User, server: Server, bigger: str) -> None:
    answer = alice.action(server, resize={'flavorRef': bigger})
    assert answer.status_code == 202, answer.text
    goes_on(alice, server, 'VERIFY_RESIZE')
    assert alice.action(server, confirmResize=None).status_code == 204
    goes_on(alice, server, 'ACTIVE')


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
    assert 'locked 2, stopping 1' in stack.sync('--sweep')
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
