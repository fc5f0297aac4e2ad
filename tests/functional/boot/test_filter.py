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


"""What nova-api refuses to boot, with real Keystone, Glance, Nova, Cinder."""

import datetime
import json
import os
import uuid

import pytest

from tests.functional.boot.booting import change
from tests.functional.boot.booting import DISK
from tests.functional.boot.booting import FLAVOR
from tests.functional.boot.booting import KEPT
from tests.functional.boot.booting import refused
from tests.functional.boot.booting import taken
from tests.functional.boot.booting import until
from tests.testbed.clouds import write_clouds
from tests.testbed.openstack import OpenStack
from tests.testbed.site import entry

NONE = {'networks': 'none'}
FORMS = {
    'image': lambda ask, image: ask(image),
    'with its project': lambda ask, image: ask(
        image, path='/{project}/servers'),
    'alias': lambda ask, image: ask(image, path='/os-volumes_boot'),
    'alias with its project': lambda ask, image: ask(
        image, path='/{project}/os-volumes_boot'),
    'legacy': lambda ask, image: ask(image, base='/v2'),
    'legacy with its project': lambda ask, image: ask(
        image, base='/v2', path='/{project}/servers'),
    'newest': lambda ask, image: ask(image, version='latest', more=NONE),
    'another method': lambda ask, image: ask(
        image, method='PUT', path='/servers?_method=POST'),
    'volume of it': lambda ask, image: ask(
        devices=[{**DISK, 'uuid': image}]),
    'with a local disk': lambda ask, image: ask(image, devices=[
        {**DISK, 'uuid': image, 'destination_type': 'local'}]),
    'by another name': lambda ask, image: ask(
        devices=[{**DISK, 'uuid': image, 'image_id': image}]),
    'numbered by a text': lambda ask, image: ask(
        devices=[{**DISK, 'uuid': image, 'boot_index': '0'}]),
}


@pytest.mark.parametrize('form', FORMS)
def test_create(world, good, bad, form):
    def ask(*arguments, path='/servers', **how):
        return world.boot(*arguments, path=path.format(
            project=world.keystone.project('atlas')), **how)
    response = FORMS[form](ask, good)
    if form.startswith('alias'):
        # It came to Nova, which fails there by itself: volumes_boot.create
        # of 34.0 does not name the body to what validates it.
        assert (response.status_code, *response.json()) == (
            500, 'computeFault')
    else:
        taken(response)
    refused(FORMS[form](ask, bad), 'not-endorsed')


def test_a_second_disk_of_an_image(world, good, bad):
    more = {**DISK, 'boot_index': -1}
    taken(world.boot(good, devices=[
        {**DISK, 'destination_type': 'local', 'uuid': good},
        {**more, 'uuid': good}]))
    refused(world.boot(good, devices=[
        {**DISK, 'destination_type': 'local', 'uuid': good},
        {**more, 'uuid': bad}]), 'not-endorsed')


@pytest.mark.parametrize('how', [
    {}, {'version': '2.1'}, {'version': '2.37'}, {'version': 'latest'},
    {'base': '/v2'}, {'base': '/v2', 'version': 'latest'}])
def test_it_is_answered_as_nova_answers(world, good, bad, how):
    world.ask('POST', '/flavors', {'flavor': {
        'name': 'none', 'id': 'none', 'ram': 64, 'vcpus': 1, 'disk': 0}},
        user='admin')
    newer = how.get('version') in ('2.37', 'latest') and 'base' not in how
    more = NONE if newer else {}
    own = world.boot(good, more={**more, 'flavorRef': 'none'}, **how)
    assert own.status_code == 403
    assert 'zero disk' in own.text
    ours = world.boot(bad, more=more, **how)
    refused(ours, 'not-endorsed')

    def shape(response):
        return ({name: value for name, value in response.headers.items()
                 if name.lower() not in (
                     'content-length', 'date', 'x-openstack-request-id',
                     'x-compute-request-id')},
                {name: sorted(said) for name, said in
                 response.json().items()})
    assert shape(ours) == shape(own)
    assert ours.headers['X-OpenStack-Request-Id'].startswith('req-')


def test_a_version_that_there_is_not(world, bad):
    refused(world.boot(bad, version='2.9999'), 'not-endorsed')


@pytest.mark.parametrize('version', ['2.1', 'latest'])
def test_rebuild(world, good, bad, version):
    server = world.server(good)
    taken(world.act(server, 'rebuild', {'imageRef': good}, version=version))
    server = world.server(good)
    refused(world.act(server, 'rebuild', {'imageRef': bad}, version=version),
            'not-endorsed')
    # The same image again, which is endorsed no more.
    server = world.server(bad)
    refused(world.act(server, 'rebuild', {'imageRef': bad}, version=version),
            'not-endorsed')


@pytest.mark.parametrize('version', ['2.1', 'latest'])
def test_rescue(world, good, bad, version):
    def rescue(base, said=None, **more):
        return world.act(world.server(base, **more), 'rescue', said,
                         version=version)
    taken(rescue(good))
    taken(rescue(good, {'rescue_image_ref': good}))
    taken(rescue(bad, {'rescue_image_ref': good}))
    refused(rescue(good, {'rescue_image_ref': bad}), 'not-endorsed')
    refused(rescue(bad), 'not-endorsed')
    refused(rescue(bad, {}), 'not-endorsed')
    # What it was made of first, and then what it was rebuilt with.
    refused(rescue(good, more={'image_base_image_ref': bad}),
            'not-endorsed')
    refused(rescue(good, kernel=bad), 'not-endorsed', bad)
    refused(rescue(good, {'rescue_image_ref': good}, kernel=bad),
            'not-endorsed', bad)


def test_rescue_with_an_image_that_is_gone(world, good):
    gone = world.endorsed()
    server = world.server(gone)
    assert world.alice.delete(gone).status_code == 204
    refused(world.act(server, 'rescue'), 'not-endorsed',
            f'Glance has no image {gone}.')
    response = world.act(world.server(good), 'rescue',
                         {'rescue_image_ref': gone})
    assert response.status_code == 400
    assert response.json()['badRequest']['message'] == (
        f'Requested rescue image \'{gone}\' is not supported')


def test_unshelve(world, good, bad):
    def unshelve(base, shelved, **more):
        return world.act(world.server(
            base, vm_state='shelved_offloaded', more={
                'shelved_image_id': shelved} if shelved else {},
            **more), 'unshelve')
    gone = world.endorsed()
    server = world.server(gone, vm_state='shelved_offloaded', more={
        'shelved_image_id': good})
    assert world.alice.delete(gone).status_code == 204
    taken(world.act(server, 'unshelve'))
    taken(unshelve(good, good))
    refused(unshelve(good, bad), 'not-endorsed')
    refused(unshelve(bad, good), 'not-endorsed')
    refused(unshelve(good, good, kernel=bad), 'not-endorsed')


def test_images_of_servers(world, good):
    actions = {'shelve': None, 'createImage': {'name': 'x'},
               'createBackup': {'name': 'x', 'backup_type': 'daily',
                                'rotation': 1}}
    for action, said in actions.items():
        server = world.server(good)
        message = refused(world.act(server, action, said),
                          'derived-refused')
        assert message.endswith('images made from servers.')
        assert world.nova.query(
            'nova.sqlite', 'SELECT task_state FROM instances WHERE uuid = ?',
            (server,)) == [(None,)]
    # No bytes of theirs come to Glance.
    server = world.server('')
    assert 'derived-refused' not in world.act(server, 'shelve').text
    world.site.write_policy(derived_images='inherit')
    for action, said in actions.items():
        taken(world.act(world.server(good), action, said))
    # Another project's rule.
    world.site.write_policy(derived_images={'projects': {'cms': 'allow'}})
    refused(world.act(world.server(good), 'shelve'), 'derived-refused')
    world.site.write_policy(derived_images={'projects': {'atlas': 'allow'}})
    taken(world.act(world.server(good), 'shelve'))


def test_it_expired(world):
    image = change(world, world.endorsed(),
                   hepix_expires='2026-01-01T00:00:00Z')
    refused(world.boot(image), 'image-expired')
    identifier = world.admin.image(image)['hepix_image_id']
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    world.site.write_policy(overrides=[{
        'image': identifier, 'until': until.strftime('%Y-%m-%dT%H:%M:%SZ'),
        'reason': 'The endorser is on leave.', 'author': 'ops'}])
    taken(world.boot(image))
    entry = world.journal()[-1]
    assert (entry['image'], entry['allowed'], entry['action']) == (
        image, True, 'create')
    assert entry['override']['author'] == 'ops'


def test_it_is_revoked(world, good):
    data = os.urandom(64)
    image = world.base(data)
    taken(world.boot(image))
    world.revoke(data)
    response, passed = until(lambda: world.boot(image), 403)
    refused(response, 'image-revoked')
    assert passed < KEPT + 5
    for action, said in (
            ('rebuild', {'imageRef': image}),
            ('rescue', {'rescue_image_ref': image}), ('rescue', None)):
        refused(world.act(world.server(image), action, said),
                'image-revoked')
    # Of others nothing changed.
    taken(world.boot(good))


def test_it_is_revoked_by_the_command(world, tmp_path, monkeypatch):
    data = os.urandom(64)
    image = world.base(data)
    taken(world.boot(image))
    write_clouds(tmp_path / 'clouds.yaml', world)
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE', str(tmp_path / 'clouds.yaml'))
    ran = OpenStack(world.site, '--os-cloud', 'admin')(
        'image endorsement revoke', '--sha512', entry(data).sha512,
        '--reason', 'CVE-2026-0001')
    assert ran.status == 0, ran.err
    # Its own verdict, or Nova's on an image that was taken out of use.
    response, passed = until(lambda: world.boot(image), 403)
    refused(response, 'image-revoked')
    assert passed < KEPT + 5


def test_it_is_blocked_in_the_policy(world):
    data = os.urandom(64)
    image = world.base(data)
    taken(world.boot(image))
    world.site.write_policy(blocked=[
        {'sha512': entry(data).sha512, 'reason': 'CVE-2026-0002'}])
    refused(world.boot(image), 'image-blocked', 'CVE-2026-0002')


def test_an_operator_takes_it_out_of_use(world, good):
    image = world.endorsed()
    taken(world.boot(image))
    assert world.admin.call('POST', f'/v2/images/{image}/actions/deactivate'
                            ).status_code == 204
    kernel = change(world, world.endorsed(), kernel_id=image)
    response, _ = until(lambda: world.boot(image), 403)
    refused(response, 'image-blocked', 'taken out of use')
    refused(world.boot(kernel), 'image-blocked')
    for server, action, said in (
            (world.server(good), 'rescue', {'rescue_image_ref': image}),
            (world.server(image), 'rescue', None),
            (world.server(image, vm_state='shelved_offloaded', more={
                'shelved_image_id': good}), 'unshelve', None),
            (world.server(good), 'rebuild', {'imageRef': image})):
        refused(world.act(server, action, said), 'image-blocked')


def test_an_image_whose_bytes_are_not_there_yet(world, good):
    image = world.alice.create()
    said = world.boot(image).json()['badRequest']
    assert said['message'] == 'Can not find requested image'
    assert world.act(world.server(good), 'rescue', {
        'rescue_image_ref': image}).status_code == 400


def test_nobody_approved_it(world):
    image = change(world, world.endorsed(), hepix_approved='false')
    refused(world.boot(image), 'not-approved')


def test_modes(world):
    bad = world.stranger()
    world.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    taken(world.boot(bad))
    entry = world.journal()[-1]
    assert (entry['image'], entry['mode'], entry['endorsed']) == (
        bad, 'permissive', False)
    count = len(world.journal())
    world.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'disabled'}])
    taken(world.boot(bad))
    taken(world.act(world.server(bad), 'rescue'))
    assert len(world.journal()) == count


def test_what_is_journalled(world, good, bad):
    count = len(world.journal())
    taken(world.boot(good))
    assert len(world.journal()) == count
    response = world.boot(bad)
    server = world.server(bad)
    again = world.act(server, 'rescue')
    first, second = world.journal()[count:]
    assert {name: first[name] for name in (
        'event', 'moment', 'action', 'image', 'project', 'request',
        'allowed')} == {
            'event': 'verdict', 'moment': 'run', 'action': 'create',
            'image': bad, 'project': world.keystone.project('atlas'),
            'request': response.headers['X-OpenStack-Request-Id'],
            'allowed': False}
    assert first['user']
    assert 'server' not in first
    assert (second['action'], second['server'], second['request']) == (
        'rescue', server, again.headers['X-OpenStack-Request-Id'])
    assert world.token('alice', 'atlas') not in json.dumps([first, second])


def test_an_image_that_there_is_not(world, good):
    gone = str(uuid.uuid4())
    for response, words in (
            (world.boot(gone), 'Can not find requested image'),
            (world.act(world.server(good), 'rebuild', {'imageRef': gone}),
             'Cannot find image for rebuild')):
        assert response.status_code == 400
        assert response.json()['badRequest']['message'] == words
    assert world.boot(more={'flavorRef': FLAVOR}).status_code == 400
