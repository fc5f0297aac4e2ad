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

"""However a request is written, Glance's routes are the filter's too."""

import http.client
import os

import pytest

from tests.testbed.client import Identity
from tests.testbed.client import message

DATA = os.urandom(1000)

# Method, path, and whether Glance takes it for an upload.
SPELLINGS = [
    ('PUT', '/v2/images/{}/file', True),
    ('PUT', '/v2.7/images/{}/file', True),
    ('PUT', '//v2//images///{}//file', True),
    ('PUT', '/v2/images/{}/%66ile', True),
    ('PUT', '/v2/images/{}/./file', True),  # uWSGI tidies it
    ('POST', '/v2/images/{}/file?_method=PUT', True),
    ('GET', '/v2/images/{}/file?_method=put', True),
    ('DELETE', '/v2/images/{}/file?a=b&_method=PUT', True),
    ('PUT', '/v2/images/{}/file/', False),
    ('PUT', '/V2/images/{}/file', False),
    ('PUT', '/v2/images/{}/file?_method=GET', False),
]


@pytest.mark.parametrize('method, path, uploads', SPELLINGS)
def test_spellings(cloud, method, path, uploads):
    refused = cloud.client.create()
    status = send(cloud, method, path.format(refused))
    assert cloud.client.status(refused) == 'queued'
    assert (status == 422) == uploads

    # The spelling is one that works, not one that fails anyway.
    endorsed = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(DATA))
    status = send(cloud, method, path.format(endorsed))
    expected = 'active' if uploads else 'queued'
    assert cloud.client.status(endorsed) == expected, status


def send(cloud, method, path):
    """Send a request as it is, which requests would put right."""
    connection = http.client.HTTPConnection('127.0.0.1', cloud.glance.port)
    try:
        connection.request(method, path, DATA, {
            **cloud.client.identity.headers(),
            'Content-Type': 'application/octet-stream'})
        return connection.getresponse().status
    finally:
        connection.close()


def test_images_of_others_are_not_told_of(cloud):
    mine = cloud.client.create()
    other = cloud.client.as_(Identity(user='eve', project='cms'))
    response = other.put(mine, DATA)
    nobodys = other.put('00000000-0000-0000-0000-000000000000', DATA)
    assert response.status_code == nobodys.status_code == 404
    assert 'hepix' not in response.text
    assert cloud.client.status(mine) == 'queued'


@pytest.mark.parametrize('accept, kind', [
    ('', 'application/json'), ('application/json', 'application/json'),
    ('text/html', 'text/html'), ('*/*', 'text/html')])
@pytest.mark.parametrize('data', [b'one', b'two'])
def test_every_client_can_show_the_reason(cloud, accept, kind, data):
    """openstacksdk sends an empty Accept; it shows JSON and HTML only."""
    image_id = cloud.client.create(
        hepix_endorsement=cloud.site.endorse(b'six'))
    response = cloud.client.put(image_id, data, {'Accept': accept})
    assert response.status_code == 422
    assert response.headers['Content-Type'].startswith(kind)
    assert '[checksum-mismatch]' in message(response)
    assert '<br' not in message(response)
