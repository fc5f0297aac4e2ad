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

"""What users may do with properties, and with routes that we close."""

import os
import pathlib

from glance import policies
import pytest
import yaml

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm import paths
from hepix_vm.properties import KEPT
from hepix_vm.properties import SUBSCRIPTION
from hepix_vm.protections import OPERATOR_RULE
from tests.functional.conftest import start
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import names
from tests.functional.test_routes import put
from tests.functional.test_routes import ROUTES
from tests.testbed import client as testbed_client
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import message
from tests.testbed.client import remove
from tests.testbed.client import replace
from tests.testbed.config import UNCHECKED
from tests.testbed import site as testbed_site
from tests.testbed.site import entry

DATA = os.urandom(100_000)
METADEFS = testbed_site.POLICY.parent / 'metadefs'

OURS = ['hepix_state', 'hepix_reason', 'hepix_image_id',
        'hepix_image_version', 'hepix_list_id', 'hepix_list_version',
        'hepix_endorser_dn', 'hepix_endorser_ca', 'hepix_endorsed_at',
        'hepix_expires', 'hepix_sha512', 'hepix_size', 'hepix_hypervisor',
        'hepix_uri', 'hepix_vo', 'hepix_production_date', 'hepix_approved',
        'hepix_shareable', 'hepix_altered', 'hepix_withdrawn',
        'hepix_subscription', 'hepix_shared', 'hepix_parked',
        'hepix_bringer', 'hepix_tried', 'hepix_untold',
        'hepix_endorsement_x',
        'hepix_unheard_of', 'trait:CUSTOM_HEPIX_ENDORSED']
BOOT = ['img_config_drive', 'kernel_id', 'ramdisk_id', 'os_command_line',
        'block_device_mapping', 'mappings', 'bdm_v2', 'root_device_name']
FREE = ['hw_disk_bus', 'os_distro', 'my_hepix_state', 'trait:CUSTOM_GPU',
        'kernel_id2', 'architecture']
PLAIN = ['kernel_id', 'ramdisk_id']  # whose values Glance wants as UUIDs
UUID = '3a1c4b0e-6b1e-4b0a-8f39-3c1a2b7d1f00'


def value_of(name):
    return UUID if name in PLAIN else 'x86_64'


@pytest.fixture(scope='module')
def active(cloud):
    """An endorsed image, with all properties that an admin can give it."""
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    assert put(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    missing = {name: value_of(name) for name in OURS + BOOT
               if name not in image}
    assert cloud.client.as_(ADMIN).patch(
        image_id, *add(**missing)).status_code == 200
    return image_id


@pytest.mark.parametrize('name', OURS + BOOT)
def test_a_member_cannot_touch_what_is_protected(cloud, active, name):
    properties = {name: value_of(name)}
    assert cloud.client.try_create(**properties).status_code == 403
    queued = cloud.client.create()
    assert cloud.client.patch(
        queued, *add(**properties)).status_code == 403
    before = cloud.client.image(active)
    for change in (add(**properties), replace(**properties), remove(name)):
        assert cloud.client.patch(active, *change).status_code == 403
    assert cloud.client.image(active) == before


def test_a_member_may_read_what_is_protected(cloud, active):
    image = cloud.client.image(active)
    # What no verdict writes was taken out again.
    missing = {name for name in OURS + BOOT if name not in image}
    assert missing == {
        'hepix_reason', 'hepix_production_date', 'hepix_withdrawn',
        'hepix_bringer', 'hepix_tried', 'hepix_untold',
        'hepix_endorsement_x',
        'hepix_unheard_of', 'trait:CUSTOM_HEPIX_ENDORSED'}


def test_an_endorsement_is_free_until_there_are_bytes(cloud):
    image_id = cloud.client.create(hepix_endorsement='x')
    for change in (replace(hepix_endorsement='y'),
                   remove('hepix_endorsement'),
                   add(hepix_endorsement='z')):
        assert cloud.client.patch(image_id, *change).status_code == 200


@pytest.mark.parametrize('name', [
    'Kernel_ID', 'OS_COMMAND_LINE', 'trait:custom_hepix_x',
    'HEPIX_ENDORSEMENT', 'Hepix_State', 'hepix_ledger'])
def test_letter_case_makes_no_difference(cloud, name):
    """It makes none in MySQL."""
    properties = {name: UUID}
    assert cloud.client.try_create(**properties).status_code == 403
    queued = cloud.client.create()
    assert cloud.client.patch(
        queued, *add(**properties)).status_code == 403
    assert name not in cloud.client.image(queued)


@pytest.mark.parametrize('name', FREE)
def test_all_others_are_free(cloud, active, name):
    image_id = cloud.client.create(**{name: 'x86_64'})
    for image in (image_id, active):
        for change in (add(**{name: 'x86_64'}), replace(**{name: 'i686'}),
                       remove(name)):
            assert cloud.client.patch(image, *change).status_code == 200
    assert name not in cloud.client.image(image_id)


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_a_too_long_endorsement(cloud, route):
    image_id = cloud.client.create(hepix_endorsement='A' * (48 * 1024 + 1))
    assert '[too-large]' in route(cloud, image_id, DATA)
    assert_untouched(cloud, image_id)


def test_the_longest_endorsement_is_read(cloud):
    text = cloud.site.endorse(DATA)
    # White space is tolerated, and counts.
    image_id = cloud.client.create(
        hepix_endorsement=text + '\n' * (48 * 1024 - len(text)))
    assert put(cloud, image_id, DATA) == ''


@pytest.fixture(scope='module')
def unprotected(tmp_path_factory):
    """A cloud without property protections."""
    yield from start(
        tmp_path_factory.mktemp('unprotected'), filters=UNCHECKED,
        extra={'DEFAULT': {'property_protection_file': ''}})


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_what_a_user_wrote_is_overwritten(unprotected, route):
    """Before the protections were on, say."""
    lies = {'hepix_state': 'adopted', 'hepix_sha512': 'f' * 128,
            'hepix_reason': 'trust me', 'hepix_unheard_of': '1',
            'hepix_vo': 'other', 'trait:CUSTOM_HEPIX_ENDORSED': 'required',
            'img_config_drive': 'optional'}
    # A record that we made would take the bytes of that digest only.
    kept = dict.fromkeys(set(KEPT) - {SUBSCRIPTION}, 'x')
    # Those who may write it anyway are believed as little.
    image_id = unprotected.client.as_(ADMIN).create(
        owner=unprotected.client.identity.project,
        hepix_endorsement=unprotected.site.endorse(DATA), **lies, **kept)
    assert route(unprotected, image_id, DATA) == ''
    image = unprotected.client.image(image_id)
    assert image['hepix_state'] == 'endorsed'
    assert image['hepix_sha512'] == entry(DATA).sha512
    assert image['hepix_vo'] == 'vo.example.org'
    assert image['img_config_drive'] == 'mandatory'
    for name in ('hepix_reason', 'hepix_unheard_of',
                 'trait:CUSTOM_HEPIX_ENDORSED'):
        assert name not in image
    assert image.items() >= kept.items()


def test_the_trait_where_the_site_wants_it(make):
    cloud = make(settings={'require_trait': 'true'})
    for route in ROUTES:
        image_id = cloud.client.create(
            hepix_endorsement=cloud.site.endorse(DATA))
        assert route(cloud, image_id, DATA) == ''
        image = cloud.client.image(image_id)
        assert image['trait:CUSTOM_HEPIX_ENDORSED'] == 'required'


def test_metadefs_are_loaded_and_shown(cloud):
    cloud.glance.manage('db', 'load_metadefs', '--path', str(METADEFS))
    path = '/v2/metadefs/namespaces/OS::HEPiX::Endorsement'
    response = cloud.client.call('GET', path)
    assert response.status_code == 200
    namespace = response.json()
    assert [kind['name'] for kind in
            namespace['resource_type_associations']] == ['OS::Glance::Image']
    documented = {name for name in OURS if name.startswith('hepix_')} - {
        'hepix_endorsement_x', 'hepix_unheard_of'} | {'hepix_endorsement'}
    assert set(namespace['properties']) == documented


def rules(path: pathlib.Path) -> dict[str, str]:
    return yaml.safe_load(path.read_text())


def test_the_policy_names_only_rules_that_glance_knows():
    known = {rule.name for rule in policies.list_rules()}
    assert set(rules(testbed_site.POLICY)) - known == {OPERATOR_RULE}


def test_locations_are_closed(make):
    """With a store of that kind, bare Glance would activate any URL."""
    stores = 'cheap:file,reliable:file,web:http'
    cloud = make(extra={'DEFAULT': {'enabled_backends': stores}})
    url = cloud.web.url('/elsewhere')
    cloud.web.contents['/elsewhere'] = DATA
    image_id = cloud.client.create()
    response = cloud.client.call(
        'POST', f'/v2/images/{image_id}/locations',
        json={'url': url, 'validation_data': {}})
    assert response.status_code == 403
    response = cloud.client.patch(image_id, {
        'op': 'add', 'path': '/locations/-',
        'value': {'url': url, 'metadata': {}}})
    assert response.status_code == 403
    assert_untouched(cloud, image_id)


@pytest.mark.parametrize('who', [testbed_client.Identity(), ADMIN])
def test_the_tasks_api_is_closed(cloud, active, who):
    someone = cloud.client.as_(who)
    response = someone.call('POST', '/v2/tasks', json={
        'type': 'import', 'input': {
            'import_from': cloud.web.url('/elsewhere'),
            'import_from_format': 'raw', 'image_properties': {
                'disk_format': 'raw', 'container_format': 'bare'}}})
    assert response.status_code == 403
    assert someone.call('GET', '/v2/tasks').status_code == 403


def test_the_owner_still_reads_the_tasks_of_an_image(cloud):
    cloud.web.contents['/tasks'] = DATA
    image_id = cloud.client.create()
    task = cloud.client.import_and_wait(
        image_id, uri=cloud.web.url('/tasks'))
    assert '[not-endorsed]' in task['message']
    stranger = testbed_client.Identity(user='mallory', project='cms')
    assert cloud.client.as_(stranger).call(
        'GET', f'/v2/images/{image_id}/tasks').status_code == 404


def test_the_owner_cannot_undo_a_deactivation(cloud, active):
    admin = cloud.client.as_(ADMIN)
    assert admin.deactivate(active).status_code == 204
    response = cloud.client.reactivate(active)
    assert response.status_code == 403, message(response)
    assert cloud.client.status(active) == 'deactivated'
    assert cloud.client.download(active).status_code == 403
    assert admin.reactivate(active).status_code == 204
    assert cloud.client.status(active) == 'active'


@pytest.mark.parametrize('who', [testbed_client.Identity(), ADMIN])
def test_lists_do_not_show_endorsements(cloud, active, who):
    """A page of a thousand would have tens of megabytes of them."""
    client = cloud.client.as_(who)
    # All of them: others are of the tests before.
    every = '/v2/images?limit=1000'
    images = [image for path in (every, '/v2/images?limit=1')
              for image in client.call('GET', path).json()['images']]
    assert active in {image['id'] for image in images}
    assert not [image for image in images if 'hepix_endorsement' in image]
    assert [image for image in images if 'hepix_list_id' in image]
    asked = client.call('GET', every, headers={
        'X-HEPiX-Endorsement': 'include'}).json()['images']
    found = {image['id']: image for image in asked}[active]
    assert found == client.image(active)
    assert 'hepix_endorsement' in found


def test_our_own_commands_see_endorsements_in_lists(cloud, active,
                                                    monkeypatch):
    cloud.site.write_account(cloud.glance.url)
    monkeypatch.setenv(paths.ENVIRONMENT, str(cloud.site.config))
    catalogue = Catalogue(credentials.adapter(
        config.load(), credentials.IMAGE))
    found = {image['id']: image for image in catalogue.images()}
    assert 'hepix_endorsement' in found[active]
