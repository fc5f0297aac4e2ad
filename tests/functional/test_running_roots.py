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

"""Servers that hide what they run, and images that an operator took away."""

import os
import uuid

import pytest

from tests.functional.sweeping import controlled
from tests.functional.sweeping import tally
from tests.functional import world as worlds
from tests.testbed.cinder import FakeCinder


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from worlds.run(tmp_path_factory.mktemp('world'))


@pytest.fixture
def site(world, capsys, tmp_path, monkeypatch):
    yield from controlled(world, capsys, tmp_path, monkeypatch)


def rooted(site, named, booted):
    """Return a server with an image, and the volume of another it boots."""
    volume = str(uuid.uuid4())
    return site.server(named, root={
        'image_id': booted, 'destination_type': 'volume',
        'volume_id': volume}), volume


def test_a_server_is_found_by_the_volume_that_it_boots(world, site):
    """Nova shows the image that its user named, and boots the other."""
    data = os.urandom(100)
    bad, good = world.base(data), world.base(os.urandom(100))
    server, root = rooted(site, good, bad)
    assert site.show(server)['image']['id'] == good
    other, disk = rooted(site, good, bad)
    with FakeCinder({root: bad, disk: bad}, {
            root: (server, '/dev/vda'), disk: (other, '/dev/vdb')}) as cinder:
        site.configure(block_storage_endpoint=cinder.url)
        world.revoke(data)
        done = site.sweep()
    assert done.tally == tally(1)
    assert site.did() == [(server, 'seen')]
    assert site.journal()[0]['image'] == bad


def test_it_is_found_by_the_image_that_was_named_too(world, site):
    data = os.urandom(100)
    bad, good = world.base(data), world.base(os.urandom(100))
    server, root = rooted(site, bad, good)
    with FakeCinder({root: good}, {root: (server, '/dev/vda')}) as cinder:
        site.configure(block_storage_endpoint=cinder.url)
        world.revoke(data)
        assert site.sweep().tally == tally(1)
    assert site.journal()[0]['image'] == bad


def test_what_an_operator_deactivated_first_is_looked_after(world, site):
    data = os.urandom(100)
    image, other = world.base(data), world.base(os.urandom(100))
    server = site.server(image)
    site.server(other)
    for each in (image, other):
        assert world.admin.deactivate(each).status_code == 204
    before = world.admin.image(image)
    # That alone is no reason: it may be mended.
    assert site.sweep().tally == tally(0)
    world.revoke(data)
    world.site.write_policy(running_servers={'revoked': 'stop'})
    assert f'{server} would be locked and stopped' in (
        site.sweep('--dry-run').out)
    done = site.sweep()
    assert done.tally.startswith('servers 1, locked 1, ')
    assert f'{image} was ' not in done.out
    assert f'The image {image} is revoked' in (
        site.show(server)['locked_reason'])
    # What he did stays as it is.
    assert world.admin.image(image) == before
