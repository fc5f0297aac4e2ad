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

"""Three controllers on one database, each with its own state."""

import contextlib
import dataclasses
import os

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.config import STORES
from tests.testbed.glance import Glance
from tests.testbed.site import entry
from tests.testbed.site import POLICY
from tests.testbed.site import PROPERTY_PROTECTIONS
from tests.testbed.site import Site

DATA = os.urandom(1000)


@pytest.fixture
def controllers(tmp_path):
    """Three clouds that share all but the state_dir."""
    site = Site(tmp_path / 'site')
    first = tmp_path / 'glance0'
    shared = {'database': {
        'connection': f'sqlite:///{first / "glance.sqlite"}?timeout=60'}}
    shared |= {store: {'filesystem_store_datadir': str(
        first / 'stores' / store)} for store in STORES}
    with contextlib.ExitStack() as running:
        clouds = []
        for number in range(3):
            state = tmp_path / f'state{number}'
            (state / 'lists').mkdir(parents=True)
            config = tmp_path / f'hepix-vm{number}.conf'
            config.write_text(site.config.read_text().replace(
                str(site.state), str(state)))
            glance = Glance(
                tmp_path / f'glance{number}', hepix_config=config,
                policy=POLICY, property_protections=PROPERTY_PROTECTIONS,
                extra=shared)
            running.enter_context(glance)
            own = Cloud(site, glance, None)
            own.lists = state / 'lists'
            clouds.append(own)
        yield clouds


def give(cloud, image_list):
    """Let one controller have a version of a subscribed list."""
    (cloud.lists / f'{image_list.identifier}.smime').write_bytes(
        cloud.site.sign(image_list, cloud.site.alice))


def subscribe(site, image_list):
    site.write_subscriptions([{
        'uuid': image_list.identifier,
        'endorsers': [{'dn': image_list.endorser.dn,
                       'ca': image_list.endorser.ca}]}])


def upload(cloud, data=DATA, **properties):
    image_id = cloud.client.create(**properties)
    return image_id, cloud.client.put(image_id, data)


def test_the_mark_of_the_ledger_decides(controllers):
    one, two, three = controllers
    kept, dropped = entry(os.urandom(10)), entry(DATA)
    first = one.site.image_list(kept, dropped)
    second = dataclasses.replace(first, version='2')
    third = dataclasses.replace(first, version='3', images=(kept,))
    subscribe(one.site, first)
    for cloud, image_list in zip(controllers, (first, second, third),
                                 strict=True):
        give(cloud, image_list)
    # While nobody knows of version 3, the older ones count.
    early, response = upload(one)
    assert response.status_code == 204
    one.record(Fact.ACCEPTED, Blockable.LIST, first.identifier, version='3')
    for cloud in controllers:
        for _ in range(2):
            _, response = upload(cloud)
            assert response.status_code == 422
            code = '[not-endorsed]' if cloud is three else '[list-rollback]'
            assert code in message(response)
    # The same list, carried along by the user.
    for version in (first, second):
        carried = dataclasses.replace(version, images=(dropped,))
        _, response = upload(two, hepix_endorsement=two.site.encode(
            two.site.sign(carried, two.site.alice)))
        assert response.status_code == 422
        assert '[list-rollback]' in message(response)
    # What came in before is for those to judge who have the new version.
    for cloud, status in ((two, 'active'), (three, 'deactivated'),
                          (two, 'deactivated')):
        assert cloud.client.patch(early, *replace(
            name='x')).status_code == 200
        assert one.client.status(early) == status
    for cloud in (one, two):
        give(cloud, third)
    _, response = upload(two)
    assert '[not-endorsed]' in message(response)


def test_a_block_counts_on_all_of_them_at_once(controllers):
    one, _, three = controllers
    image_id, response = upload(
        one, hepix_endorsement=one.site.endorse(DATA))
    assert response.status_code == 204
    one.block(DATA)
    for cloud in controllers:
        _, response = upload(
            cloud, hepix_endorsement=cloud.site.endorse(DATA))
        assert '[image-blocked]' in message(response)
    assert three.client.patch(image_id, *replace(
        name='x')).status_code == 200
    assert one.client.status(image_id) == 'deactivated'
