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
"""Lists that are followed with a real Keystone, and a Nova with servers."""

import pytest

from hepix_vm.exchange.execute import Executor
from tests.functional.following import followed
from tests.functional.following import idle
from tests.functional.following import killer
from tests.functional.following import Lists
from tests.functional.following import VO
from tests.functional import world as worlds
from tests.testbed.cinder import FakeCinder
from tests.testbed.client import add
from tests.testbed.client import replace
from tests.testbed import service

OLD = "UPDATE images SET created_at = datetime('now', '-100 days')"


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from worlds.run(tmp_path_factory.mktemp('world'))


class Known(Lists):
    """Lists of a site whose account and images Keystone knows."""

    def __init__(self, world):
        self.credentials = world.site.config.read_text()
        super().__init__(world.cloud)
        self.world = world
        world.site.config.write_text(
            f'{self.credentials}image_endpoint = {world.cloud.glance.url}\n')

    def forget(self):
        super().forget()
        self.site.config.write_text(self.credentials)

    @property
    def admin(self):
        return self.world.admin


@pytest.fixture
def lists(world, monkeypatch):
    yield from followed(Known(world), monkeypatch)


def test_projects_by_name_and_by_id(world, lists, run):
    first, second, third = (lists.image() for _ in range(3))
    atlas = world.keystone.project('atlas')
    cms = world.keystone.project('cms')
    lists.accept(first, block={'projects': {VO: ['atlas', cms]}})
    lists.accept(second, block={'projects': {VO: ['atlas', 'nobody']}})
    lists.accept(third, block={'projects': {VO: atlas}, 'share': 'private'})
    ran = run('--no-fetch', status=1)
    assert 'There is no project nobody to share it with' in ran.err
    assert lists.members(lists.of(first)) == {
        atlas: 'accepted', cms: 'accepted'}
    assert lists.members(lists.of(second)) == {atlas: 'accepted'}
    assert lists.of(third)['owner'] == atlas
    assert lists.of(first)['owner'] == world.keystone.project('admin')
    # Those for whom they are find them.
    found = world.alice.call('GET', '/v2/images').json()['images']
    assert {image['hepix_sha512'] for image in found} == {
        first.sha512, second.sha512, third.sha512}


def test_a_project_whose_name_several_domains_have(world, lists, run):
    other = world.keystone.project('lhcb', domain='other')
    world.keystone.project('lhcb')
    first, second = lists.image(), lists.image()
    lists.accept(first, block={'projects': {VO: 'Default:lhcb'}})
    image_list = lists.accept(second, block={'projects': {VO: 'other:lhcb'}})
    run('--no-fetch')
    assert list(lists.members(lists.of(first))) == [
        world.keystone.project('lhcb')]
    assert list(lists.members(lists.of(second))) == [other]
    lists.block(image_list.identifier, projects={VO: 'other:cms'})
    ran = run('--no-fetch', status=1)
    assert 'There is no project other:cms to share it with' in ran.err
    assert list(lists.members(lists.of(second))) == [other]


def test_versions_that_a_server_uses_are_kept(world, lists, run):
    versions = [lists.image(number) for number in (b'1', b'2', b'3', b'4')]
    image_list = lists.accept(versions[0], block={
        'projects': {VO: 'atlas'}})
    run('--no-fetch')
    for number, version in enumerate(versions[1:]):
        if number == 1:
            # From version 2, which is shown now.
            world.server(lists.of(versions[1])['id'])
        image_list = lists.next(image_list, lists.image(
            [b'2', b'3', b'4'][number], identifier=versions[0].identifier))
        run('--no-fetch')
    assert len(lists.images()) == 4
    lists.block(image_list.identifier, projects={VO: 'atlas'},
                superseded='delete')
    ran = run('--no-fetch')
    assert ran.out.count('\ndelete: ') + ran.out.startswith('delete: ') == 2
    assert '2 images left (2 B)' in ran.out
    assert [record['step'] for record in lists.journalled()[-2:]] == [
        'delete', 'delete']
    assert {image['hepix_sha512'] for image in lists.images()} == {
        versions[1].sha512, versions[3].sha512}
    assert 'delete' not in run('--no-fetch').out


def test_nothing_is_deleted_where_nova_does_not_answer(world, lists, run):
    old = lists.image()
    image_list = lists.accept(old, block={
        'projects': {VO: 'atlas'}, 'superseded': 'delete'})
    run('--no-fetch')
    lists.next(image_list, lists.image(identifier=old.identifier))
    run('--no-fetch')
    config = world.site.config.read_text()
    world.site.config.write_text(config.replace(
        f'{world.nova.url}/v2.1', 'http://127.0.0.1:1/v2.1'))
    try:
        ran = run('--no-fetch')
    finally:
        world.site.config.write_text(config)
    assert 'Nova does not say which images are in use' in ran.err
    world.server(lists.of(old)['id'])
    for table in ('instances', 'services'):
        with world.nova.failing(table):
            assert 'A cell of Nova does not answer' in run('--no-fetch').err
    assert len(lists.images()) == 2


def what(image):
    """Return what is the same of an image that was evicted and fetched."""
    return {name: sorted(value) if name == 'tags' else value
            for name, value in image.items()
            if name not in ('id', 'self', 'file', 'schema', 'created_at',
                            'updated_at')}


def test_evicted_and_fetched_again(world, lists, run):
    used, unused = lists.image(), lists.image(
        osversion='12', arch='x86_64')
    image_list = lists.accept(used, unused, block={
        'projects': {VO: 'atlas'}, 'evict_after': 30})
    run('--no-fetch')
    # What operators made of it holds on.
    image_id = lists.of(unused)['id']
    assert lists.admin.patch(
        image_id, *replace(name='Ours', min_disk=7, tags=['ours'],
                           os_version='12.5'),
        *add(hw_disk_bus='scsi')).status_code == 200
    assert lists.admin.call(
        'POST', f'/v2/images/{image_id}/members',
        json={'member': 'more'}).status_code == 200
    before, members = lists.of(unused), lists.members(lists.of(unused))
    lists.cloud.glance.query(OLD + " WHERE owner != 'hepix-vm'")
    world.server(lists.of(used)['id'])
    ran = run('--no-fetch')
    kept = lists.of(unused)
    assert f'{kept["id"]} stands for it; 2.0 KiB\n' in ran.out
    assert lists.journalled()[-1]['became'] == kept['id']
    assert (kept['status'], kept['size'], kept['name'], kept['visibility'],
            kept['os_hidden']) == (
        'queued', None, 'Ours', 'shared', False)
    assert kept['hepix_uri'] == unused.uri
    assert 'hepix_state' not in kept
    assert lists.members(kept) == members
    assert lists.of(used)['status'] == 'active'
    # A later run leaves it so, until somebody asks for it.
    assert idle(run('--no-fetch'))
    # Meanwhile it is changed, too.
    assert lists.admin.patch(kept['id'], *replace(
        protected=True, hw_disk_bus='virtio')).status_code == 200
    assert '1 image came in' in run('fetch', kept['id']).out
    image = lists.of(unused)
    assert what(image) == {
        **what(before), 'protected': True, 'hw_disk_bus': 'virtio'}
    assert lists.members(image) == members
    assert idle(run('--no-fetch'))
    ran = run('fetch', image_list.identifier, status=1)
    assert (f'refused: image {image_list.identifier}: [not-endorsed] No list '
            'that is followed has it') in ran.err
    assert lists.admin.patch(
        image['id'], *replace(protected=False)).status_code == 200


def test_the_next_version_of_what_was_evicted(lists, run):
    old = lists.image(osversion='12')
    image_list = lists.accept(old, block={
        'projects': {VO: 'atlas'}, 'evict_after': 30})
    run('--no-fetch')
    assert lists.admin.patch(lists.of(old)['id'], *replace(
        name='Ours')).status_code == 200
    lists.cloud.glance.query(OLD + " WHERE owner != 'hepix-vm'")
    run('--no-fetch')
    kept = lists.of(old)
    new = lists.image(identifier=old.identifier, osversion='13',
                      format='qcow2', version='2.0')
    lists.next(image_list, new)
    assert 'renew: ' in run('--no-fetch').out
    image, = lists.images()
    assert (image['id'], image['name'], image['hepix_sha512'],
            image['disk_format'], image['status']) == (
        kept['id'], 'Ours', new.sha512, 'qcow2', 'queued')
    assert idle(run('--no-fetch'))


@pytest.mark.parametrize('superseded', [False, True])
def test_what_glance_does_not_remove(lists, run, monkeypatch, superseded):
    listed = lists.image()
    block = {'projects': {VO: 'atlas'}}
    image_list = lists.accept(listed, block=block)
    run('--no-fetch')
    image_id = lists.of(listed)['id']
    if superseded:
        lists.next(image_list, lists.image(identifier=listed.identifier),
                   block={**block, 'superseded': 'delete'})
        run('--no-fetch')
    else:
        lists.block(image_list.identifier, **block, evict_after=30)
        lists.cloud.glance.query(OLD + " WHERE owner != 'hepix-vm'")

    def protect(name):
        if name in ('kept', 'before delete'):
            lists.admin.patch(image_id, *replace(protected=True))

    def release():
        lists.admin.patch(image_id, *replace(protected=False))

    found = []
    with monkeypatch.context() as patched:
        patched.setattr(Executor, 'checkpoint', staticmethod(protect))
        for _ in range(2):
            ran = run('--no-fetch')
            assert image_id in ran.err or listed.identifier in ran.err
            assert 'stays: Glance answers 403 to DELETE' in ran.err
            assert 'The next run tries again.' in ran.err
            assert ran.out.endswith('total: nothing to do\n')
            release()
            found.append({image['id'] for image in lists.images()})
    assert found[0] == found[1]
    assert len(found[0]) == 2
    # What stands for it shows itself when it does.
    if not superseded:
        kept, = found[0] - {image_id}
        assert lists.admin.image(kept)['os_hidden'] is True
    run('--no-fetch')
    image, = lists.images()
    assert image['id'] in found[0] - {image_id}
    assert image['os_hidden'] is False


def test_a_server_that_runs_from_a_volume_uses_an_image(world, lists, run):
    used, unused = lists.image(), lists.image()
    lists.accept(used, unused, block={
        'projects': {VO: 'atlas'}, 'evict_after': 30})
    run('--no-fetch')
    lists.cloud.glance.query(OLD + " WHERE owner != 'hepix-vm'")
    server = world.server('')
    found = service.call(
        'GET', f'{world.nova.url}/v2.1/servers/{server}',
        world.keystone.token('admin', 'admin')).json()['server']
    volume, = found['os-extended-volumes:volumes_attached']
    try:
        # There is no Cinder in the catalogue of Keystone.
        ran = run('--no-fetch')
        assert 'No image is deleted or evicted now. Cinder cannot be' in (
            ran.err)
        assert 'block_storage_endpoint' in ran.err
        assert 'evict' not in ran.out
        with FakeCinder({volume['id']: lists.of(used)['id']}) as cinder:
            config = world.site.config.read_text()
            world.site.config.write_text(
                f'{config}block_storage_endpoint = {cinder.url}\n')
            assert 'evict: ' in run('--no-fetch').out
    finally:
        world.nova.forget(server)
    assert lists.of(used)['status'] == 'active'
    assert lists.of(unused)['status'] == 'queued'


@pytest.fixture
def kill(lists, monkeypatch):
    return killer(monkeypatch)


def test_killed_while_evicting(lists, run, kill):
    listed = [lists.image() for _ in range(4)]
    lists.accept(*listed, block={
        'projects': {VO: 'atlas'}, 'evict_after': 30})
    run('--no-fetch')
    before = {image['hepix_sha512']: (image['name'], image['owner'],
                                      lists.members(image))
              for image in lists.images()}
    lists.cloud.glance.query(OLD + " WHERE owner != 'hepix-vm'")
    for name in ('before evict', 'kept', 'after evict'):
        kill(name)
    assert len(lists.images()) > len(
        [image for image in lists.images() if image['status'] == 'queued'])
    run('--no-fetch')
    assert {image['hepix_sha512']: (image['name'], image['owner'],
                                    lists.members(image))
            for image in lists.images()} == before
    assert {(image['status'], image['os_hidden'], 'hepix_parked' in image)
            for image in lists.images()} == {('queued', False, True)}
    assert len(lists.images()) == len(listed)
    assert idle(run('--no-fetch'))


def test_killed_while_deleting(lists, run, kill):
    versions = [lists.image()]
    image_list = lists.accept(versions[0], block={'projects': {VO: 'atlas'}})
    run('--no-fetch')
    for _ in range(3):
        versions.append(lists.image(identifier=versions[0].identifier))
        image_list = lists.next(image_list, versions[-1])
        run('--no-fetch')
    lists.block(image_list.identifier, projects={VO: 'atlas'},
                superseded='delete')
    kill('before delete')
    assert len(lists.images()) == len(versions)
    kill('after delete')
    assert len(lists.images()) == len(versions) - 1
    run('--no-fetch')
    image, = lists.images()
    assert image['hepix_sha512'] == versions[-1].sha512
    assert idle(run('--no-fetch'))


def test_killed_while_clearing_away(lists, run, kill):
    gone = [lists.image() for _ in range(3)]
    lists.cloud.web.contents.clear()
    image_list = lists.accept(*gone, block={'projects': {VO: 'atlas'}})
    run('--no-fetch', status=2)
    lists.next(image_list)
    kill('before discard')
    assert len(lists.images()) == len(gone)
    kill('after discard')
    assert len(lists.images()) == len(gone) - 1
    run('--no-fetch')
    assert lists.images() == []
    assert idle(run('--no-fetch'))


@pytest.mark.parametrize('block, visibility', [
    ({'projects': None, 'share': 'public'}, 'public'),
    ({'projects': {VO: ['atlas', 'cms']}, 'share': 'members'}, 'shared')])
def test_who_had_it_alone_does_not_own_what_is_for_all(
        world, lists, run, block, visibility):
    listed = lists.image()
    image_list = lists.accept(listed, block={
        'projects': {VO: 'atlas'}, 'share': 'private'})
    run('--no-fetch')
    assert lists.of(listed)['owner'] == world.keystone.project('atlas')
    lists.block(image_list.identifier, **block)
    run('--no-fetch')
    image = lists.of(listed)
    assert (image['visibility'], image['owner']) == (
        visibility, world.keystone.project('admin'))
    assert idle(run('--no-fetch'))


def test_a_project_that_is_not_found_takes_it_from_nobody(
        world, lists, run):
    listed = lists.image()
    image_list = lists.accept(listed, block={
        'projects': {VO: ['atlas', 'cms']}})
    run('--no-fetch')
    before = lists.members(lists.of(listed))
    assert len(before) == 2
    for projects in (['atlas', 'cmss'], ['atlass', 'cmss']):
        lists.block(image_list.identifier, projects={VO: projects})
        assert 'There is no project' in run('--no-fetch', status=1).err
        image = lists.of(listed)
        assert (image['os_hidden'], lists.members(image)) == (False, before)
    lists.block(image_list.identifier, projects={VO: 'atlas'})
    run('--no-fetch')
    assert len(lists.members(lists.of(listed))) == 1
