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

"""glance-api killed while bytes come in, and started again.

What was not verified never becomes active, and the ways out that the
administrator's guide names work.
"""

import os
import pathlib

import pytest

from tests.functional.conftest import Cloud
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import stage_and_import
from tests.testbed.client import LOCK
from tests.testbed.client import wait
from tests.testbed import images
from tests.testbed.site import file_entry

MIB = 1024 * 1024
DATA = os.urandom(300_000)
PART = 128 * 1024  # bytes


@pytest.fixture(scope='module')
def big(tmp_path_factory) -> pathlib.Path:
    """A file that takes its time."""
    return images.patterned_file(
        tmp_path_factory.mktemp('big') / 'image', 256 * MIB)


def endorsed(cloud: Cloud, path: pathlib.Path) -> str:
    image = file_entry(images.sha512(path), path.stat().st_size)
    return cloud.client.create(hepix_endorsement=cloud.site.encode(
        cloud.site.sign(cloud.site.image_list(image), cloud.site.alice)))


def stored(cloud: Cloud, image_id: str) -> dict[str, int]:
    """Return sizes in bytes of the files of an image, by their folder."""
    return {path.parent.name: path.stat().st_size
            for path in cloud.glance.stored_files()
            if image_id in path.name}


def crash(cloud: Cloud) -> None:
    cloud.glance.kill()
    cloud.glance.start()


@pytest.mark.parametrize('moment', ['judging', 'storing'])
def test_killed_in_mid_import(cloud, big, moment):
    image_id = endorsed(cloud, big)
    with big.open('rb') as file:
        assert cloud.client.stage(image_id, file).status_code == 204
    assert cloud.client.import_(image_id).status_code == 202
    if moment == 'storing':
        wait(lambda: stored(cloud, image_id), lambda sizes: 'cheap' in sizes)
    crash(cloud)
    image = cloud.client.image(image_id)
    assert image['status'] in ('uploading', 'importing')
    assert LOCK in image
    assert stored(cloud, image_id)['staging'] == 256 * MIB
    assert stored(cloud, image_id).get('cheap', 0) < 256 * MIB
    assert cloud.client.import_(image_id).status_code == 409
    if moment == 'storing':
        # Not even when Glance takes the lock for a dead one, after 60
        # minutes: it looks at the status first.
        cloud.glance.query(
            "UPDATE tasks SET updated_at = datetime('now', '-3 hours')")
        assert cloud.client.import_(image_id).status_code == 409
    assert cloud.client.put(image_id, DATA).status_code == 409
    assert cloud.client.status(image_id) == image['status']
    assert cloud.client.delete(image_id).status_code == 204
    # Glance cleans the staging of deleted images when it starts; what was
    # half written in the store is left to the administrator.
    cloud.glance.restart()
    wait(lambda: stored(cloud, image_id),
         lambda sizes: 'staging' not in sizes)
    for path in cloud.glance.stored_files():
        if image_id in path.name:
            path.unlink()


def test_killed_in_mid_put(cloud):
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    with cloud.client.half_upload(image_id, len(DATA), DATA[:PART]):
        wait(lambda: stored(cloud, image_id), lambda sizes: 'cheap' in sizes)
        crash(cloud)
    assert cloud.client.status(image_id) == 'saving'
    assert cloud.client.put(image_id, DATA).status_code == 409
    assert cloud.client.stage(image_id, DATA).status_code == 409
    assert cloud.client.import_(image_id).status_code == 409
    assert cloud.client.status(image_id) == 'saving'
    assert cloud.client.download(image_id).status_code != 200
    assert cloud.client.delete(image_id).status_code == 204


@pytest.mark.parametrize('place', ['inline', 'lists'])
def test_killed_in_mid_stage_then_imported(cloud, place):
    """Bare Glance makes the fragment active."""
    if place == 'lists':
        cloud.site.accept(cloud.site.image_list(
            file_entry('0' * 128, PART)))
    image_id = cloud.client.create(
        **{'hepix_endorsement': cloud.site.endorse(DATA)}
        if place == 'inline' else {})
    with cloud.client.half_upload(image_id, len(DATA), DATA[:PART],
                                  place='stage', chunked=True):
        wait(lambda: stored(cloud, image_id).get('staging'), bool)
        crash(cloud)
    assert cloud.client.status(image_id) == 'uploading'
    assert cloud.client.stage(image_id, DATA).status_code == 409
    task = cloud.client.import_and_wait(image_id)
    assert task['status'] == 'failure'
    assert 'Refused by the image trust policy' in task['message']
    if place == 'inline':
        assert '[size-mismatch]' in task['message']
    assert_untouched(cloud, image_id)
    if place == 'inline':
        assert stage_and_import(cloud, image_id, DATA) == ''
        assert cloud.client.download(image_id).content == DATA


def test_a_restart_leaves_what_was_decided(cloud):
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    assert cloud.client.put(image_id, DATA).status_code == 204
    before = cloud.client.image(image_id)
    crash(cloud)
    assert cloud.client.image(image_id) == before
    assert cloud.client.download(image_id).content == DATA
