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

"""The gate of a Glance that runs with exactly what the plugin wrote."""

import os

import pytest

from tests.functional import test_routes as routes
from tests.testbed import pki
from tests.testbed.site import entry

ROUTES = [routes.put, routes.stage_and_import, routes.web_download]


def stranger(site):
    return (site.endorse(routes.DATA, signer=site.bob,
                         endorser=site.stranger),
            routes.DATA, 'endorser-not-accepted')


def rogue_ca(site):
    rogue = pki.Authority.create(site.endorser.ca, key=pki.make_key('ec'))
    return (site.endorse(routes.DATA, signer=rogue.issue(site.endorser.dn)),
            routes.DATA, 'untrusted-ca')


CASES = [case for case in routes.CASES
         if case not in (routes.stranger, routes.rogue_ca)]
CASES += [stranger, rogue_ca]


def check_endorsed(gate, route):
    image_id = gate.client.create(
        hepix_endorsement=gate.site.endorse(routes.DATA))
    assert route(gate, image_id, routes.DATA) == ''
    image = gate.client.image(image_id)
    expected = {
        'status': 'active', 'hepix_state': 'endorsed',
        'os_hash_value': entry(routes.DATA).sha512,
        'hepix_endorser_dn': gate.site.endorser.dn,
        'hepix_endorser_ca': gate.site.endorser.ca,
        'img_config_drive': 'mandatory'}
    assert {name: image.get(name) for name in expected} == expected
    assert gate.client.download(image_id).content == routes.DATA


@pytest.mark.parametrize('route', routes.names(
    [*ROUTES, routes.put_chunked]))
def test_endorsed(gate, route):
    check_endorsed(gate, getattr(routes, route))


@pytest.mark.parametrize('route', ROUTES, ids=routes.names(ROUTES))
@pytest.mark.parametrize('case', CASES, ids=routes.names(CASES))
def test_refused(gate, route, case):
    routes.check_refused(gate, route, case)


def test_refused_in_chunks(gate):
    routes.check_refused(gate, routes.put_chunked, routes.unendorsed)


def test_chunks_as_nova_sends_them(gate):
    data = os.urandom(3 << 20)
    image_id = gate.client.create(hepix_endorsement=gate.site.endorse(data))
    chunks = (data[i:i + (1 << 20)] for i in range(0, len(data), 1 << 20))
    assert gate.client.put(image_id, chunks).status_code == 204


def test_listed(gate):
    gate.site.accept(gate.site.image_list(entry(routes.DATA)))
    image_id = gate.client.create()
    assert routes.put(gate, image_id, routes.DATA) == ''


@pytest.mark.parametrize('name', [
    'hepix_state', 'hepix_sha512', 'kernel_id', 'block_device_mapping'])
def test_users_do_not_write_what_the_gate_writes(gate, name):
    answer = gate.client.try_create(**{name: 'x'})
    assert answer.status_code == 403, answer.text


def test_users_do_not_add_locations(gate):
    image_id = gate.client.create()
    answer = gate.client.call(
        'POST', f'/v2/images/{image_id}/locations',
        json={'url': 'http://127.0.0.1/x'})
    assert answer.status_code == 403, answer.text


def test_the_journal_says_so(gate):
    image_id = gate.client.create()
    before = gate.site.journal.read_text()
    assert routes.put(gate, image_id, routes.DATA)
    added = gate.site.journal.read_text().removeprefix(before)
    assert image_id in added
    assert '"allowed": false' in added
