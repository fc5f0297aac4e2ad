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

"""Images that Nova makes of servers: Nova's own code against real services.

nova-api answers for its servers; what nova-compute would send to Glance is
sent by Nova's own code, which has no hypervisor here. Keystone is faked.
"""

import os
import uuid

import pytest

from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable
from tests.functional.conftest import Cloud
from tests.testbed.client import add
from tests.testbed.client import Identity
from tests.testbed.client import message
from tests.testbed.glance import Glance
from tests.testbed import nova as testbed_nova
from tests.testbed.nova import Nova
from tests.testbed.nova import Refused
from tests.testbed.site import entry
from tests.testbed.site import POLICY
from tests.testbed.site import PROPERTY_PROTECTIONS
from tests.testbed.site import Site
from tests.testbed.web import WebServer

ALICE = {'user': 'alice', 'project': 'atlas'}
SERVICE = {'X-Auth-Token': 'alice:atlas:member,reader',
           'X-Service-Token': testbed_nova.SERVICE_TOKEN}
UPLOADING = 'image_uploading'


class Compute(Cloud):
    """A cloud with a Nova."""

    nova: Nova

    def base(self, **changes):
        """Bring in an endorsed image with bytes of its own."""
        data = os.urandom(1000)
        return self.endorsed(data, **changes), data

    def server(self, image_id, project='atlas', task_state=None):
        """Put a server on record, and return its id."""
        image = self.client.image(image_id) if image_id else {}
        found = self.nova.call('create', project=project,
                               image_ref=image_id, image=image)
        if task_state:
            self.state(found, task_state)
        return found

    def state(self, server, task_state):
        self.nova.call('state', uuid=server, task_state=task_state)

    def snapshot(self, server, **more):
        """Have Nova make an image of a server, and return its id."""
        return self.nova.call('snapshot', uuid=server,
                              **{**ALICE, 'data': str(uuid.uuid4()), **more})

    def revoke(self, data):
        self.record(Fact.REVOKED, Blockable.SHA512, entry(data).sha512)

    def bring(self, *, headers=None, identity=None):
        """Upload bytes as somebody with these headers, and return both."""
        client = self.client.as_(identity) if identity else self.client
        image_id = client.create()
        return image_id, client.put(image_id, os.urandom(100),
                                    headers=headers)


def start(folder, **options):
    site = Site(folder / 'site')
    with WebServer() as web:
        glance = Glance(
            folder / 'glance', hepix_config=site.config, policy=POLICY,
            property_protections=PROPERTY_PROTECTIONS, **options)
        with Nova(folder / 'nova', glance.url) as nova:
            with site.config.open('a') as config:
                config.write(
                    f'[service_credentials]\nauth_type = admin_token\n'
                    f'endpoint = {nova.url}\n'
                    f'compute_endpoint = {nova.url}\n'
                    f'token = {testbed_nova.ADMIN_TOKEN}\n')
            with glance:
                cloud = Compute(site, glance, web)
                cloud.nova = nova
                yield cloud


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def compute(request, tmp_path_factory):
    yield from start(
        tmp_path_factory.mktemp(request.param), server=request.param,
        extra={'oslo_messaging_notifications': {'driver': 'hepix_trust'}})


@pytest.fixture(autouse=True)
def policy(request):
    """Let derived images in, as each test wants it, and no server linger."""
    compute = request.getfixturevalue('compute')
    inherit(compute)
    known = []
    make = compute.nova.call

    def call(command, **more):
        done = make(command, **more)
        if command == 'create':
            known.append(done)
        return done

    compute.nova.call = call
    yield
    del compute.nova.call
    for server in known:
        compute.state(server, None)


def inherit(compute, choice='inherit', **keys):
    compute.site.write_policy(derived_images=choice, **keys)


def refused(response, code):
    assert response.status_code == 422, response.text
    assert f'[{code}]' in message(response)


@pytest.mark.parametrize('task_state', [
    UPLOADING, 'shelving_image_uploading'])
def test_a_snapshot_inherits(compute, task_state):
    image_id, _ = compute.base()
    base = compute.client.image(image_id)
    server = compute.server(image_id)
    made = compute.client.image(
        compute.snapshot(server, task_state=task_state))
    assert (made['status'], made['hepix_state']) == ('active', 'derived')
    assert made['os_hash_value'] == made['hepix_sha512']
    assert made['os_hash_value'] != base['os_hash_value']
    for name in ('hepix_image_id', 'hepix_list_id', 'hepix_list_version',
                 'hepix_endorser_dn', 'hepix_expires', 'hepix_endorsement'):
        assert made[name] == base[name]
    assert made['img_config_drive'] == 'mandatory'
    record, = (each for each in compute.records()
               if each['image'] == made['id'] and each['moment'] == 'store')
    assert (record['exemption'], record['base']) == ('derived', image_id)


def test_the_base_is_revoked_later(compute):
    image_id, data = compute.base()
    made = compute.snapshot(compute.server(image_id))
    compute.revoke(data)
    assert compute.client.patch(made, *add(mine='x')).status_code == 200
    image = compute.client.image(made)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'revoked')


def test_the_base_is_deleted(compute):
    image_id, data = compute.base()
    made = compute.snapshot(compute.server(image_id))
    assert compute.client.delete(image_id).status_code == 204
    assert compute.client.patch(made, *add(mine='x')).status_code == 200
    image = compute.client.image(made)
    assert (image['status'], image['hepix_state']) == ('active', 'derived')
    compute.revoke(data)
    assert compute.client.patch(made, *add(other='x')).status_code == 200
    assert compute.client.status(made) == 'deactivated'


def test_a_snapshot_of_a_snapshot(compute):
    image_id, data = compute.base()
    first = compute.snapshot(compute.server(image_id))
    second = compute.snapshot(compute.server(first))
    assert compute.client.image(second)['hepix_state'] == 'derived'
    compute.revoke(data)
    assert compute.client.patch(second, *add(mine='x')).status_code == 200
    assert compute.client.status(second) == 'deactivated'


def test_a_base_that_was_revoked_already(compute):
    image_id, data = compute.base()
    server = compute.server(image_id)
    compute.revoke(data)
    with pytest.raises(Refused, match='image-revoked'):
        compute.snapshot(server)


def test_what_the_user_writes_of_the_server_is_not_believed(compute):
    """Metadata of createImage comes before Nova's own."""
    good, _ = compute.base()
    bad, data = compute.base()
    liked = compute.server(good)
    server = compute.server(bad)
    compute.revoke(data)
    with pytest.raises(Refused, match='image-revoked'):
        compute.snapshot(server, metadata={
            'base_image_ref': good, 'instance_uuid': liked,
            'image_type': 'snapshot'})


@pytest.mark.parametrize('headers', [
    {'X-Service-Roles': 'service'},
    {'X-Service-Roles': 'service', 'X-Service-Identity-Status': 'Invalid'},
    {'X-Service-Roles': 'member', 'X-Service-Identity-Status': 'Confirmed'},
    {'X-Auth-Token': 'alice:atlas:member'},
    {'X-Auth-Token': 'alice:atlas:member',
     'X-Service-Token': 'alice:atlas:member',
     'X-Service-Roles': 'service',
     'X-Service-Identity-Status': 'Confirmed'},
])
def test_bytes_of_a_user_while_his_server_is_imaged(compute, headers):
    image_id, _ = compute.base()
    compute.server(image_id, task_state=UPLOADING)
    made, response = compute.bring(headers=headers)
    refused(response, 'not-endorsed')
    assert compute.client.status(made) == 'queued'
    # The server is right: it is the service token that is missing.
    _, response = compute.bring(headers=SERVICE)
    assert response.status_code == 204, response.text


def test_nova_knows_of_no_server(compute):
    """So it is with what Cinder uploads."""
    image_id, _ = compute.base()
    compute.server(image_id)
    compute.server(image_id, task_state='powering-off')
    compute.server(image_id, project='cms', task_state=UPLOADING)
    for choice in ('inherit', 'allow'):
        inherit(compute, choice)
        _, response = compute.bring(headers=SERVICE)
        refused(response, 'derived-refused')


@pytest.mark.parametrize('other', ['base', 'volume'])
def test_which_base_is_ambiguous(compute, other):
    image_id, _ = compute.base()
    server = compute.server(image_id)
    second = compute.server(
        compute.base()[0] if other == 'base' else '', task_state='shelving')
    with pytest.raises(Refused, match='derived-refused'):
        compute.snapshot(server)
    compute.state(second, None)
    assert compute.client.status(compute.snapshot(server)) == 'active'


def test_two_servers_of_one_base(compute):
    image_id, _ = compute.base()
    compute.server(image_id, task_state='image_backup')
    made = compute.snapshot(compute.server(image_id))
    assert compute.client.status(made) == 'active'


def test_refused_before_the_body(compute):
    inherit(compute, 'refuse')
    image_id, _ = compute.base()
    server = compute.server(image_id)
    with pytest.raises(Refused, match='derived-refused'):
        compute.snapshot(server)
    record = [each for each in compute.records()
              if each['moment'] == 'store'][-1]
    assert (record['reasons'][0]['code'], record['sha512']) == (
        'derived-refused', '')


def test_allowed_without_a_good_base(compute):
    image_id, data = compute.base()
    server = compute.server(image_id)
    compute.revoke(data)
    inherit(compute, {'projects': {'atlas': 'allow'}})
    made = compute.client.image(compute.snapshot(server))
    assert (made['status'], made['hepix_state']) == ('active', 'derived')
    assert 'hepix_expires' not in made
    inherit(compute, {'projects': {'cms': 'allow'}})
    with pytest.raises(Refused, match='derived-refused'):
        compute.snapshot(server)
    # What was let in stays, until somebody blocks it.
    assert compute.client.patch(
        made['id'], *add(mine='x')).status_code == 200
    assert compute.client.status(made['id']) == 'active'


def test_an_endorsed_image_that_a_service_brings(compute):
    inherit(compute, 'refuse')
    data = os.urandom(100)
    image_id = compute.client.create(
        hepix_endorsement=compute.site.endorse(data))
    response = compute.client.put(image_id, data, headers=SERVICE)
    assert response.status_code == 204, response.text
    assert compute.client.image(image_id)['hepix_state'] == 'endorsed'


def test_nova_does_not_answer(compute):
    image_id, _ = compute.base()
    compute.server(image_id, task_state=UPLOADING)
    compute.nova.stop()
    try:
        _, response = compute.bring(headers=SERVICE)
        refused(response, 'internal-error')
        causes = [each.get('cause', '') for each in compute.records()]
        assert any('ConnectFailure' in cause for cause in causes)
    finally:
        compute.nova.start()
    _, response = compute.bring(headers=SERVICE)
    assert response.status_code == 204, response.text


def test_without_a_service_token_nova_is_a_user(compute):
    """The copies of the base's properties are refused, then the bytes."""
    image_id, _ = compute.base()
    server = compute.server(image_id)
    with pytest.raises(Refused, match='route-closed'):
        compute.snapshot(server, service_user=False)
    response = compute.client.try_create(hepix_state='derived')
    assert response.status_code == 403


def test_a_permissive_site_lets_it_pass(compute):
    image_id, data = compute.base()
    server = compute.server(image_id)
    compute.revoke(data)
    inherit(compute, enforcement=[{'project': 'atlas',
                                   'mode': 'permissive'}])
    made = compute.client.image(compute.snapshot(server))
    assert (made['status'], made['hepix_state']) == ('active', 'revoked')


def test_what_nova_names_a_location_of_is_refused(compute):
    """Nova 34 does not fall back to an upload then."""
    image_id, _ = compute.base()
    with pytest.raises(Refused, match='ImageNotAuthorized'):
        compute.nova.call('direct', uuid=compute.server(image_id), **ALICE)
    record = [each for each in compute.records()
              if each['route'] in ('add_location', 'update')][-1]
    assert record['reasons'][0]['code'] == 'route-closed'


def test_a_server_that_runs_from_a_volume(compute):
    with pytest.raises(Refused, match='derived-refused'):
        compute.nova.call('volume_backed', uuid=compute.server(''), **ALICE)


def test_the_image_of_somebody_elses_server(compute):
    """An administrator's snapshot belongs to the administrator."""
    image_id, _ = compute.base()
    server = compute.server(image_id)
    with pytest.raises(Refused, match='derived-refused'):
        compute.snapshot(server, user='bob', project='cms')


def test_another_user_who_may_not_upload_learns_nothing(compute):
    image_id = compute.client.create()
    bob = compute.client.as_(Identity(user='bob', project='cms'))
    assert bob.put(image_id, b'x', headers={
        'X-Auth-Token': 'bob:cms:member',
        'X-Service-Token': testbed_nova.SERVICE_TOKEN}).status_code == 404
