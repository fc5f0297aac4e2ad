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

"""Requests that bring no bytes, against a Glance whose policy is open."""

import base64
import concurrent.futures
import dataclasses
import datetime
import http.client
import json
import os
import urllib.parse

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import start
from tests.testbed.client import add
from tests.testbed.client import ADMIN
from tests.testbed.client import Identity
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.config import UNCHECKED
from tests.testbed import pki
from tests.testbed.site import entry

DATA = os.urandom(50_000)
BOB = Identity(user='bob', project='cms')
OPEN = ('add_location', 'add_image_location', 'set_image_location',
        'get_image_location', 'delete_image_location', 'tasks_api_access',
        'add_task', 'reactivate', 'deactivate', 'copy_image',
        'communitize_image', 'publicize_image', 'add_member')


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def open_cloud(request, tmp_path_factory):
    """A Glance whose own policy and protections forbid nothing."""
    folder = tmp_path_factory.mktemp(request.param)
    policy = folder / 'open.yaml'
    policy.write_text(''.join(f'"{rule}": "@"\n' for rule in OPEN))
    yield from start(folder, server=request.param, workers=2, policy=policy,
                     property_protections=None, filters=UNCHECKED,
                     extra={'DEFAULT': {'show_multiple_locations': 'true'}})


def test_a_blocked_digest_is_refused_whoever_uploads_it(open_cloud):
    data = os.urandom(1000)
    image_id = open_cloud.endorsed(data)
    open_cloud.block(data)
    assert open_cloud.client.delete(image_id).status_code == 204
    bob = open_cloud.client.as_(BOB)
    again = bob.create(hepix_endorsement=open_cloud.site.endorse(data))
    response = bob.put(again, data)
    assert response.status_code == 422
    assert '[image-blocked] ops@example.org blocked data' in message(response)
    assert bob.status(again) == 'queued'


@pytest.mark.parametrize('who', [
    ADMIN, dataclasses.replace(ADMIN, service_roles=('service',)),
    Identity(user='octavia', project='service', roles=('admin', 'service'),
             service_roles=('service', 'admin'))])
def test_the_gate_binds_administrators_and_services(open_cloud, who):
    client = open_cloud.client.as_(who)
    response = client.put(client.create(), os.urandom(100))
    assert response.status_code == 422
    assert '[not-endorsed]' in message(response) or (
        '[derived-refused]' in message(response))


def refused(response, *words, status=403):
    assert response.status_code == status, response.text
    for word in words:
        assert word in message(response)


def test_closed_routes(open_cloud):
    client = open_cloud.client
    image_id = client.create()
    where = {'url': open_cloud.web.url('/x'), 'metadata': {}}
    refused(client.call('POST', f'/v2/images/{image_id}/locations',
                        json=where), '[route-closed]')
    refused(client.patch(image_id, {'op': 'replace', 'path': '/locations',
                                    'value': [where]}), '[route-closed]')
    refused(client.patch(image_id, {'op': 'add', 'path': '/locations/-',
                                    'value': where}), '[route-closed]')
    task = {'type': 'import', 'input': {
        'import_from': where['url'], 'import_from_format': 'raw',
        'image_properties': {}}}
    for who in (client, client.as_(ADMIN)):
        refused(who.call('POST', '/v2/tasks', json=task), '[route-closed]')
    assert client.status(image_id) == 'queued'


def test_reactivation(open_cloud):
    data = os.urandom(1000)
    admin = open_cloud.client.as_(ADMIN)
    image_id = open_cloud.endorsed(data)
    assert admin.deactivate(image_id).status_code == 204
    refused(open_cloud.client.reactivate(image_id), '[route-closed]')
    assert admin.status(image_id) == 'deactivated'
    assert admin.reactivate(image_id).status_code == 204
    assert admin.status(image_id) == 'active'
    open_cloud.block(data)
    assert admin.deactivate(image_id).status_code == 204
    refused(admin.reactivate(image_id), '[image-blocked]')
    assert admin.status(image_id) == 'deactivated'


@pytest.mark.parametrize('method, path', [
    ('POST', '/v2/images/{}/actions/reactivate'),
    ('POST', '/v2.7/images/{}/actions/reactivate'),
    ('POST', '//v2//images///{}//actions//reactivate'),
    ('POST', '/v2/images/{}/actions/%72eactivate'),
    ('GET', '/v2/images/{}/actions/reactivate?_method=POST'),
    ('PATCH', '/v2/images/{}/actions/reactivate?a=b&_method=post'),
])
def test_spellings_of_a_guarded_route(open_cloud, method, path):
    admin = open_cloud.client.as_(ADMIN)
    image_id = open_cloud.endorsed(os.urandom(100))
    assert admin.deactivate(image_id).status_code == 204
    assert send(open_cloud.client, method, path.format(image_id)) == 403
    assert admin.status(image_id) == 'deactivated'
    # The spelling is one that works, not one that fails anyway.
    assert send(admin, method, path.format(image_id)) == 204
    assert admin.status(image_id) == 'active'


@pytest.mark.parametrize('method, path', [
    ('PATCH', '/v2/images/{}'), ('PATCH', '//v2///images//{}'),
    ('POST', '/v2/images/{}?_method=PATCH'),
    ('PATCH', '/v2/%69mages/{}')])
def test_spellings_of_a_change(open_cloud, method, path):
    image_id = open_cloud.endorsed(os.urandom(100))
    for name, status in (('hepix_state', 403), ('mine', 200)):
        assert send(open_cloud.client, method, path.format(image_id),
                    add(**{name: 'x'})) == status
    image = open_cloud.client.image(image_id)
    assert (image['hepix_state'], image['mine']) == ('endorsed', 'x')


def send(client, method, path, document=None):
    """Send a request as it is, which requests would put right."""
    parts = urllib.parse.urlsplit(client.url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        body = json.dumps(document) if document else None
        connection.request(method, path, body, {
            **client.identity.headers(), 'Content-Type':
            'application/openstack-images-v2.1-json-patch'})
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_is_not_endorsed_any_more_does_not_spread(open_cloud):
    data = os.urandom(1000)
    client = open_cloud.client
    image_id = open_cloud.endorsed(data)
    member = f'/v2/images/{image_id}/members'
    assert client.call('POST', member,
                       json={'member': 'cms'}).status_code == 200
    open_cloud.block(data)
    refused(client.call('POST', member, json={'member': 'lhcb'}),
            '[image-blocked]')
    for visibility in ('community', 'public', 'shared'):
        refused(client.patch(image_id, *replace(visibility=visibility)),
                '[image-blocked]')
    refused(client.as_(ADMIN).import_(
        image_id, method='copy-image', stores=['reliable']),
        '[image-blocked]')
    assert client.patch(image_id, *replace(
        visibility='private')).status_code == 200
    # And after this PATCH the image was looked at again.
    image = client.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')
    assert image['hepix_reason'].startswith('image-blocked: ')


def test_our_properties(open_cloud):
    client = open_cloud.client
    image_id = open_cloud.endorsed(DATA)
    for name in ('hepix_state', 'HEPIX_reason', 'hepix_ledger',
                 'trait:CUSTOM_HEPIX_ENDORSED'):
        refused(client.patch(image_id, *add(**{name: 'x'})),
                '[route-closed]', name)
        refused(client.try_create(**{name: 'x'}), '[route-closed]', name)
    refused(client.patch(image_id, {
        'op': 'remove', 'path': '/hepix_sha512'}), '[route-closed]')
    assert client.patch(image_id, *add(mine='x')).status_code == 200


def test_an_endorsement_is_renewed(open_cloud):
    site, client = open_cloud.site, open_cloud.client
    data = os.urandom(1000)
    image_list = site.image_list(entry(data))
    now = pki.utcnow().replace(microsecond=0)

    def version(number, signer=site.alice, **changes):
        changed = dataclasses.replace(image_list, version=number, **changes)
        return site.encode(site.sign(changed, signer))

    image_id = client.create(hepix_endorsement=version('2'))
    assert client.put(image_id, data).status_code == 204
    for text, code in ((version('1'), '[list-rollback]'),
                       (version('2', title='other'), '[list-rollback]'),
                       (version('3', site.bob), '[endorser-mismatch]'),
                       (version('3', expires=now), '[list-expired]'),
                       (site.endorse(data), '[uuid-conflict]'),
                       (site.endorse(b'other'), '[uuid-conflict]'),
                       ('nonsense', '[')):
        refused(client.patch(image_id, *replace(hepix_endorsement=text)),
                code, status=422)
    refused(client.patch(image_id, {
        'op': 'remove', 'path': '/hepix_endorsement'}), '[route-closed]')
    # In another form it is the same.
    signed = base64.b64decode(version('2')).decode().rstrip('\n')
    response = client.patch(image_id, *replace(hepix_endorsement=signed))
    assert response.status_code == 200, response.text
    new = version('3', expires=now + datetime.timedelta(days=90))
    response = client.patch(image_id, *replace(hepix_endorsement=new))
    assert response.status_code == 200, response.text
    image = client.image(image_id)
    assert (image['status'], image['hepix_list_version']) == ('active', '3')
    assert image['hepix_endorsement'] == new


def test_an_endorsement_is_taken_as_it_is_signed(open_cloud):
    """As a shell puts a file into a property."""
    site, client = open_cloud.site, open_cloud.client
    signed = base64.b64decode(site.endorse(DATA)).decode().rstrip('\n')
    image_id = client.create(hepix_endorsement=signed)
    assert client.put(image_id, DATA[1:]).status_code == 422
    assert client.put(image_id, DATA).status_code == 204
    assert client.image(image_id)['hepix_state'] == 'endorsed'
    assert client.image(image_id)['hepix_endorsement'] == signed


def test_a_queued_image_takes_any_endorsement(open_cloud):
    client = open_cloud.client
    image_id = client.create(hepix_endorsement='nonsense')
    assert client.patch(image_id, *replace(
        hepix_endorsement=open_cloud.site.endorse(DATA))).status_code == 200
    assert client.put(image_id, DATA).status_code == 204


def test_revocations_against_an_owner_who_patches(open_cloud):
    """Glance saves whole rows: the last writer wins."""
    client, admin = open_cloud.client, open_cloud.client.as_(ADMIN)
    todo = [(open_cloud.endorsed(data), data) for data in (
        os.urandom(500) for _ in range(40))]
    stop, codes = set(), set()

    def patch(number):
        done = 0
        while not stop:
            for image_id, _ in todo:
                done += client.patch(image_id, *replace(
                    name=f'{number}-{done}')).status_code == 200
        return done

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        patching = [pool.submit(patch, number) for number in range(6)]
        try:
            for image_id, data in todo:
                open_cloud.record(Fact.REVOKED, Blockable.SHA512,
                                  entry(data).sha512)
                codes.add(admin.deactivate(image_id).status_code)
        finally:
            stop.add(True)
        assert all(each.result() for each in patching)
    # 500 is Glance's own answer where somebody was faster.
    assert codes <= {204, 403, 500}
    left = [client.image(image_id) for image_id, _ in todo]
    assert {image['status'] for image in left} == {'deactivated'}
    assert {image['hepix_state'] for image in left} == {'revoked'}
