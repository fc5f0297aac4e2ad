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

"""What a plain user tries, to run what may not run."""

from collections.abc import Callable
from collections.abc import Iterator
import hashlib
import os
import pathlib

import openstack.exceptions
import pytest

from tests.testbed.client import add
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.client import wait
from tests.testbed.stack import Stack
from tests.testbed.user import refused
from tests.testbed.user import User


@pytest.fixture(scope='module')
def data(disk: Callable[[], bytes]) -> bytes:
    """Bytes that boot."""
    return disk()


@pytest.fixture(scope='module')
def mine(alice: User, data: bytes) -> str:
    """An endorsed image of Alice, in use."""
    return alice.endorsed(data)


@pytest.fixture(scope='module')
def theirs(alice: User, bob: User, data: bytes) -> str:
    """A copy of Bob, endorsed as well, shared with Alice's project."""
    return shared(bob, alice, data)


def shared(owner: User, user: User, data: bytes) -> str:
    """Bring in an endorsed image that another project may use."""
    image = owner.endorsed(data)
    project = user.sdk.current_project_id
    answer = owner.glance.call('POST', f'/v2/images/{image}/members',
                               json={'member': project})
    assert answer.status_code == 200, answer.text
    answer = user.glance.call('PUT', f'/v2/images/{image}/members/{project}',
                              json={'status': 'accepted'})
    assert answer.status_code == 200, answer.text
    return image


@pytest.fixture(scope='module')
def revoked(admin: User, mine: str, theirs: str) -> Iterator[None]:
    """The bytes are revoked, by the name of Alice's image."""
    done = admin.run('image endorsement revoke', mine,
                     '--reason', 'CVE-2026-0004')
    assert done.status == 0, done.err
    yield


@pytest.mark.parametrize(('name', 'value'), [
    ('hepix_state', 'endorsed'), ('hepix_expires', '2999-01-01T00:00:00Z'),
    ('hepix_sha512', '0' * 128), ('hepix_ledger', '{}'),
    ('img_config_drive', 'optional'), ('kernel_id', 'X'),
    ('ramdisk_id', 'X'), ('os_command_line', 'init=/bin/sh'),
    ('block_device_mapping', '[]'), ('bdm_v2', 'true'), ('mappings', '[]'),
    ('trait:CUSTOM_HEPIX_ENDORSED', 'required')])
def test_protected_properties_are_not_written(
        alice: User, mine: str, name: str, value: str) -> None:
    before = alice.glance.image(mine)
    change = replace if name in before else add
    answer = alice.glance.patch(mine, *change(**{name: value}))
    assert answer.status_code == 403, answer.text
    assert alice.glance.image(mine) == before
    made = alice.glance.try_create(**{name: value})
    assert made.status_code == 403, made.text


def test_no_bytes_come_from_a_location(
        alice: User, data: bytes, tmp_path: pathlib.Path,
        stack: Stack) -> None:
    path = tmp_path / 'image.raw'
    path.write_bytes(data)
    image = alice.glance.create(
        hepix_endorsement=stack.site.endorse(data))
    url = path.as_uri()
    old = alice.glance.patch(image, {
        'op': 'add', 'path': '/locations/-',
        'value': {'url': url, 'metadata': {}}})
    assert old.status_code == 403, old.text
    new = alice.glance.call(
        'POST', f'/v2/images/{image}/locations', json={
            'url': url, 'validation_data': {
                'os_hash_algo': 'sha512',
                'os_hash_value': hashlib.sha512(data).hexdigest()}})
    assert new.status_code == 403, new.text
    assert alice.glance.status(image) == 'queued'


def test_no_kernel_is_dragged_in(
        stack: Stack, alice: User, mine: str) -> None:
    kernel = alice.glance.create(
        name='kernel', disk_format='aki', container_format='aki')
    answer = alice.glance.put(kernel, b'not a kernel')
    assert answer.status_code == 422
    assert '[not-endorsed]' in message(answer)
    answer = alice.glance.patch(mine, *add(kernel_id=kernel))
    assert answer.status_code == 403
    # Neither by the disk that is to be made of it.
    data = os.urandom(1000)
    answer = alice.glance.try_create(
        hepix_endorsement=stack.site.endorse(data), kernel_id=kernel)
    assert answer.status_code == 403


def test_what_is_revoked_is_not_activated_again(
        revoked: None, alice: User, mine: str) -> None:
    assert alice.glance.reactivate(mine).status_code == 403
    shown = alice.glance.image(mine)
    assert (shown['status'], shown['hepix_state']) == (
        'deactivated', 'revoked')


def test_no_copy_of_another_project_boots(
        revoked: None, alice: User, bob: User, mine: str,
        theirs: str) -> None:
    for user, image in ((alice, mine), (alice, theirs), (bob, theirs)):
        refused(user.try_begin(image))
    # One that is not shared is none to her.
    private = bob.endorsed(os.urandom(1000))
    with pytest.raises(openstack.exceptions.BadRequestException,
                       match='Can not find requested image'):
        alice.begin(private)


def test_no_copy_boots_that_glance_still_says_is_active(
        stack: Stack, alice: User, bob: User) -> None:
    data = os.urandom(1000)
    copy = shared(bob, alice, data)
    stack.site.write_policy(blocked=[{
        'sha512': hashlib.sha512(data).hexdigest(),
        'reason': 'CVE-2026-0005'}])

    def tried(user: User) -> str:
        """Return what Glance says of it after a refusal."""
        stack.glance.query("UPDATE images SET status = 'active' "
                           'WHERE id = ?', (copy,))
        refused(user.try_begin(copy), 'image-blocked')
        return user.glance.status(copy)
    for user in (alice, bob):
        # What hears of uploads may come late, and take it out of use.
        wait(lambda user=user: tried(user), 'active'.__eq__)
