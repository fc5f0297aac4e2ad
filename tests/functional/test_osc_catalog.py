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

"""``openstack image catalog`` where it asks a cloud, or a web server."""

import dataclasses

import pytest

from tests.functional.following import ACCOUNT
from tests.testbed.openstack import OpenStack
from tests.testbed.publishing import declared
from tests.testbed.publishing import LIST
from tests.testbed.publishing import Publisher


@pytest.fixture
def openstack(lists):
    """The program with an account, where hepix-vm.conf has none."""
    lists.site.write_credentials({})
    return OpenStack.at(lists.cloud.glance.url, lists.site, ACCOUNT)


def test_a_sync_brings_images_in_by_the_account_of_the_user(
        lists, openstack):
    image = lists.image(title='First')
    image_list = lists.accept(image, title='Of Atlas')
    ran = openstack('image catalog sync --no-fetch --dry-run -f json',
                    'Of Atlas')
    step, *_ = ran.json
    assert (ran.status, step['Action'], step['In']) == (0, 'bring', 2000)
    assert (step['List'], step['List ID'], step['Endorsed Image ID']) == (
        'Of Atlas', image_list.identifier, image.identifier)
    assert step['Glance ID'] == ''
    assert '2.0 KiB in' in ran.err
    assert lists.images() == []
    table = openstack('image catalog sync --no-fetch --dry-run').out
    assert '2.0 KiB' in table
    ran = openstack('image catalog sync --no-fetch -f json')
    assert 'total: 1 image came in' in ran.err
    there = lists.of(image)
    assert there['status'] == 'active'
    # What was done is shown as what would be done is.
    assert (ran.status, ran.json[0]) == (
        0, {**step, 'Glance ID': there['id']})
    ran = openstack('image catalog sync --no-fetch --dry-run -f json')
    assert (ran.json, ran.err) == ([], 'Nothing to do.\n')


def test_a_sync_says_what_became_of_the_lists(lists, openstack, tmp_path):
    image_list = lists.site.image_list(title='Of Atlas')
    path = tmp_path / 'list.smime'
    path.write_bytes(lists.site.sign(image_list, lists.site.alice))
    lists.block(image_list.identifier, url=path.as_uri(),
                internal_addresses=None)
    ran = openstack('image catalog sync -f json', image_list.identifier)
    assert (ran.status, ran.json) == (0, [])
    assert f'{image_list.identifier} accepted: version 1, 0 images' in ran.err
    path.write_bytes(lists.site.sign(
        dataclasses.replace(image_list, version='2'), lists.site.bob))
    ran = openstack('image catalog sync -f json')
    assert (ran.status, ran.json) == (1, [])
    assert f'{image_list.identifier} refused: [endorser-not-' in ran.err


def test_what_is_not_followed_is_not_synced(lists, openstack):
    image_list = lists.accept()
    ran = openstack('image catalog sync', 'Of nobody')
    assert (ran.status, ran.out) == (1, '')
    assert ran.err.startswith('No list Of nobody is known here.')
    lists.block(image_list.identifier, url=None, projects=None, share=None,
                internal_addresses=None)
    ran = openstack('image catalog sync', image_list.identifier)
    assert (ran.status, ran.err.count('\n')) == (1, 1)
    assert 'is followed' in ran.err


def test_a_user_syncs_nothing(lists):
    lists.accept(lists.image())
    openstack = OpenStack.at(
        lists.cloud.glance.url, lists.site, 'alice:atlas:member')
    ran = openstack('image catalog sync --no-fetch -f json')
    assert (ran.status, ran.json) == (1, [])
    assert 'openstack image catalog sync: ' in ran.err
    assert 'Traceback' not in ran.err


def test_a_list_is_published_and_verified_at_its_address(
        follower, list_server, tmp_path):
    """Who publishes asks no cloud; who verifies has no account."""
    publisher = Publisher(follower.site, tmp_path / 'alice')
    publisher.write(declared(b'data'))
    openstack = OpenStack(follower.site)
    arguments = ['--output', str(publisher.output), *publisher.signer,
                 str(publisher.file)]
    ran = openstack('image catalog publish -f json --dry-run', *arguments)
    assert (ran.status, ran.json['published'], ran.json['kept']) == (
        0, False, '')
    assert not publisher.output.exists()
    ran = openstack('image catalog publish -f json', *arguments)
    assert (ran.status, ran.out) == (1, '')
    assert ran.err.endswith('Give --yes.\n')
    ran = openstack('image catalog publish -f json --yes', *arguments)
    published = ran.json
    assert (ran.status, published['published'], published['id'],
            published['version'], published['image_count'],
            published['place']
            ) == (0, True, LIST, '1', 1, str(publisher.output))
    assert published['changes'][0].startswith(f'list {LIST} version none ->')

    list_server.serve('/images', publisher.output.read_bytes())
    follower.site.write_subscriptions([follower.block(LIST, '/images')])
    url = list_server.url('/images')
    ran = openstack('image catalog verify -f json', url)
    assert (ran.status, ran.json['id'], ran.json['reasons']) == (0, LIST, [])
    follower.site.write_subscriptions([follower.block(LIST, '/other')])
    ran = openstack('image catalog verify', url)
    assert (ran.status, ran.out) == (1, '')
    assert 'its certificate is not accepted' in ran.err
    ran = openstack('image catalog verify -f json', url, '--tls-ca',
                    follower.bundle)
    assert ran.status == 0


def test_a_refusal_of_what_is_published_is_one_line(follower, tmp_path):
    publisher = Publisher(follower.site, tmp_path / 'alice')
    publisher.write(declared(b'data'))
    publisher.output.parent.mkdir(exist_ok=True)
    publisher.output.write_text('no list')
    ran = OpenStack(follower.site)(
        'image catalog publish --yes --output', str(publisher.output),
        *publisher.signer, str(publisher.file))
    assert (ran.status, ran.out, ran.err.count('\n')) == (1, '', 1)
    assert ran.err.startswith('[unsigned] What is there is no image list')
    assert publisher.output.read_text() == 'no list'
