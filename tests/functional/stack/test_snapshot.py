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

"""Images made from servers, by Nova with its own service token."""

from collections.abc import Callable
from collections.abc import Iterator
import json
from typing import Any

from openstack.compute.v2.server import Server
import pytest

from tests.testbed.client import replace
from tests.testbed.stack import Stack
from tests.testbed.user import User


@pytest.fixture(scope='module')
def base(alice: User, disk: Callable[[], bytes]) -> str:
    """An endorsed image."""
    return alice.endorsed(disk())


@pytest.fixture(scope='module')
def server(alice: User, base: str) -> Iterator[Server]:
    """A server that runs it."""
    made = alice.boot(base)
    yield made
    alice.delete(made)


def records(stack: Stack, image: str) -> list[dict[str, Any]]:
    """What glance-api journalled of an image."""
    return [record for record in map(
        json.loads, stack.site.journal.read_text().splitlines())
        if record['image'] == image]


def snapshot(alice: User, server: Server, **metadata: str) -> str:
    """Ask for a snapshot; return the id of its image when Nova is done."""
    answer = alice.action(server, createImage={
        'name': 'snapshot', 'metadata': metadata})
    assert answer.status_code == 202, answer.text
    alice.settled(server)
    return str(answer.headers['Location'].split('/')[-1])


def test_refused(alice: User, server: Server) -> None:
    for body in ({'createImage': {'name': 'refused'}}, {'shelve': None},
                 {'createBackup': {'name': 'refused', 'rotation': 1,
                                   'backup_type': 'daily'}}):
        answer = alice.action(server, **body)
        assert answer.status_code == 403, answer.text
        assert '[derived-refused]' in answer.json()['forbidden']['message']
    assert [*alice.sdk.image.images(name='refused')] == []
    # It was not stopped for nothing.
    seen = alice.sdk.compute.get_server(server.id)
    assert (seen.status, seen.task_state) == ('ACTIVE', None)


@pytest.mark.parametrize('rule', ['inherit', 'allow'])
def test_let_in(stack: Stack, alice: User, base: str, server: Server,
                rule: str) -> None:
    stack.site.write_policy(derived_images=rule)
    image = snapshot(alice, server, base_image_ref=server.id)
    shown = alice.glance.image(image)
    assert (shown['status'], shown['hepix_state']) == ('active', 'derived')
    assert shown['hepix_sha512'] == shown['os_hash_value']
    last = records(stack, image)[-1]
    assert (last['allowed'], last['endorsed'], last['exemption']) == (
        True, False, 'derived')
    assert last.get('base') == (base if rule == 'inherit' else None)
    if rule == 'inherit':
        of_base = alice.glance.image(base)
        assert shown['hepix_expires'] == of_base['hepix_expires']
        again = alice.boot(image)
        # It is not what the endorser saw, so the site does not name him.
        assert 'endorsed for' not in alice.console(again)
        alice.delete(again)
    assert alice.glance.delete(image).status_code == 204


def test_of_a_base_that_is_revoked(
        stack: Stack, alice: User, admin: User, base: str,
        server: Server) -> None:
    """The last of this module: nothing is made of the base afterwards."""
    stack.site.write_policy(derived_images='inherit')
    before = snapshot(alice, server)
    revoked = admin.run('image endorsement revoke', base,
                        '--reason', 'CVE-2026-0005')
    assert revoked.status == 0, revoked.err
    after = snapshot(alice, server)
    assert alice.glance.call('GET', f'/v2/images/{after}').status_code == 404
    assert records(stack, after)[-1]['reasons'][0]['code'] == (
        'image-revoked')
    # The one that was there falls as soon as it is judged again.
    alice.glance.patch(before, *replace(name='renamed'))
    shown = alice.glance.image(before)
    assert (shown['status'], shown['hepix_state']) == (
        'deactivated', 'revoked')
