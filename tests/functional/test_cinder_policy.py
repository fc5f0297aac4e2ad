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

"""Who may say of which image a volume was made, in a real Cinder."""

from collections.abc import Iterator
import json
import pathlib
import subprocess
from typing import Any
import uuid

import pytest

from tests.testbed.cinder_api import CinderApi
from tests.testbed.glance import program
from tests.testbed.keystone import Keystone
from tests.testbed import service
from tests.testbed import site

IMAGE = str(uuid.uuid4())
SET = {'os-set_image_metadata': {'metadata': {'image_id': IMAGE}}}
UNSET = {'os-unset_image_metadata': {'key': 'image_id'}}
BOOTABLE = {'os-set_bootable': {'bootable': True}}


@pytest.fixture(scope='module')
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    with Keystone(tmp_path_factory.mktemp('identity') / 'k') as keystone:
        keystone.project('atlas')
        keystone.add_user('alice', 'atlas', 'member')
        yield keystone


def _act(cinder: CinderApi, token: str, volume: str, body: Any) -> int:
    return service.call('POST', f'{cinder.url}/v3/volumes/{volume}/action',
                        token, body).status_code


def _image_of(cinder: CinderApi, token: str, volume: str) -> str | None:
    answer = service.call('GET', f'{cinder.url}/v3/volumes/{volume}', token)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()['volume'].get(
        'volume_image_metadata', {})
    return found.get('image_id')


def _checked(cinder: CinderApi) -> tuple[int, set[str]]:
    """Return what upgrade check says: its status, and what is not ok."""
    finished = subprocess.run(
        [program('hepix-vm-status'), 'upgrade', 'check', 'cinder',
         '--cinder-config', str(cinder.conf), '-f', 'json'],
        capture_output=True, text=True, timeout=120)
    return finished.returncode, {
        row['Check'] for row in json.loads(finished.stdout)
        if row['Result'] != 'ok'}


def test_by_default_members_say_it(
        tmp_path: pathlib.Path, keystone: Keystone) -> None:
    """What the shipped rules are for; without need they can go."""
    with CinderApi(tmp_path / 'cinder', keystone) as cinder:
        alice = keystone.token('alice', 'atlas')
        volume = cinder.volume('atlas')
        assert [_act(cinder, alice, volume, body)
                for body in (SET, BOOTABLE)] == [200, 200]
        assert _image_of(cinder, alice, volume) == IMAGE
        assert _act(cinder, alice, volume, UNSET) == 200
        assert _image_of(cinder, alice, volume) is None
        assert _checked(cinder) == (2, {
            'Image of a volume', 'Volumes that can be booted',
            'Properties of images of volumes'})


def test_with_the_shipped_rules_only_administrators_do(
        tmp_path: pathlib.Path, keystone: Keystone) -> None:
    with CinderApi(tmp_path / 'cinder', keystone,
                   site.CINDER_POLICY) as cinder:
        alice = keystone.token('alice', 'atlas')
        volume = cinder.volume('atlas', {'image_id': IMAGE})
        assert [_act(cinder, alice, volume, body)
                for body in (SET, UNSET, BOOTABLE)] == [403, 403, 403]
        assert _image_of(cinder, alice, volume) == IMAGE
        admin = keystone.token('admin', 'admin')
        assert [_act(cinder, admin, volume, body)
                for body in (SET, UNSET, BOOTABLE)] == [200, 200, 200]
        assert _checked(cinder) == (1, {'Properties of images of volumes'})
