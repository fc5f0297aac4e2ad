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

"""What nova-scheduler refuses by itself, where nova-api asks nobody.

Its filter sees Nova's own requests here; elsewhere nova-api refuses first.
"""

from collections.abc import Iterator

from openstack.compute.v2.server import Server
import pytest

from tests.testbed.client import wait
from tests.testbed.stack import Stack
from tests.testbed.user import User


@pytest.fixture(scope='module', autouse=True)
def unguarded(stack: Stack) -> Iterator[None]:
    """The paste file of nova-api is as Nova has it."""
    api = stack.compute.api
    api.unguard()
    try:
        stack.compute.configure({}, api)
        yield
    finally:
        api.guard(stack.site.config)
        stack.compute.configure({}, api)


@pytest.fixture(scope='module')
def server(alice: User, image: str, other: str) -> Iterator[Server]:
    """A server that runs the first one."""
    made = alice.boot(image)
    yield made
    alice.delete(made)


def block(stack: Stack, alice: User, image: str) -> None:
    """Block the bytes of an image, which Glance still says is active."""
    stack.site.write_policy(derived_images='inherit', blocked=[{
        'sha512': alice.glance.image(image)['os_hash_value'],
        'reason': 'CVE-2026-0006'}])


def refusals(stack: Stack, server: Server) -> list[tuple[str, str]]:
    """Return what nova-scheduler refused; nova-api refused nothing."""
    assert stack.refusals('nova-api', server.id) == []
    return stack.refusals('nova-scheduler', server.id)


def test_a_new_server(stack: Stack, alice: User, image: str,
                      server: Server) -> None:
    block(stack, alice, image)
    made = alice.settled(alice.begin(image))
    assert made.status == 'ERROR'
    assert 'No valid host was found' in made.fault['message']
    assert refusals(stack, made) == [('create', 'image-blocked')]
    alice.delete(made)


def test_a_rebuild(stack: Stack, alice: User, admin: User, other: str,
                   server: Server) -> None:
    block(stack, alice, other)
    answer = alice.action(server, rebuild={'imageRef': other})
    assert answer.status_code == 202, answer.text
    assert alice.settled(server).status == 'ERROR'
    assert refusals(stack, server) == [('rebuild', 'image-blocked')]
    # Its guest runs as before.
    answer = admin.action(server, **{'os-resetState': {'state': 'active'}})
    assert answer.status_code == 202, answer.text


def test_an_unshelve(stack: Stack, alice: User, image: str,
                     server: Server) -> None:
    stack.site.write_policy(derived_images='inherit')
    assert alice.action(server, shelve=None).status_code == 202
    wait(lambda: alice.sdk.compute.get_server(server.id).status,
         'SHELVED_OFFLOADED'.__eq__)
    before = refusals(stack, server)
    block(stack, alice, image)
    assert alice.action(server, unshelve=None).status_code == 202
    assert alice.settled(server).status == 'SHELVED_OFFLOADED'
    # Of its own image, and of that from which it was made.
    assert refusals(stack, server) == [
        *before, *2 * [('unshelve', 'image-blocked')]]
