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

import pytest

from hepix_vm import paths
from hepix_vm.trust.ledger import Fact
from tests.functional.conftest import start
from tests.functional.following import Lists
from tests.functional.following import runner
from tests.functional.following import state
from tests.testbed.client import add
from tests.testbed.client import replace


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from start(tmp_path_factory.mktemp('follow'))


@pytest.fixture
def lists(world, monkeypatch):
    monkeypatch.setenv(paths.ENVIRONMENT, str(world.site.config))
    lists = Lists(world)
    yield lists
    lists.forget()


@pytest.fixture
def run(capsys):
    return runner(capsys)


def test_first_sync(lists, run):
    first, second = lists.image(title='First'), lists.image(title='Second')
    image_list = lists.accept(first, second, block={'prefix': 'EGI '})
    ran = run('--no-fetch')
    assert 'bring 2, share 2, refused 0, failed 0' in ran.out
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
    ran = run('--no-fetch')
    after, parked = lists.of(new), lists.of(old)
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
    assert f'{after["id"]} takes the place of {before["id"]}' in ran.out
    before = state(lists)
    assert run('--no-fetch').out == 'refused 0, failed 0\n'
    assert state(lists) == before
