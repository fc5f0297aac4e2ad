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

"""Every route that people use, every case: a real Glance decides."""

import dataclasses
import datetime
import os

import pytest

from hepix_vm.trust.model import Endorser
from tests.functional.conftest import Cloud
from tests.testbed.client import LOCK
from tests.testbed.client import message
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site

DATA = os.urandom(300_000)
TAMPERED = DATA[:-1] + bytes([DATA[-1] ^ 1])
PAST = (pki.utcnow() - datetime.timedelta(minutes=5)).replace(microsecond=0)


@dataclasses.dataclass
class Outcome:
    """What came of an attempt to bring bytes.

    :param text: what the user is told when it is refused
    """

    image_id: str
    text: str


def put(cloud: Cloud, image_id: str, data: bytes) -> str:
    response = cloud.client.put(image_id, data)
    if response.status_code == 204:
        return ''
    assert response.status_code == 422, response.text
    return message(response)


def put_chunked(cloud: Cloud, image_id: str, data: bytes) -> str:
    chunks = (data[i:i + 65536] for i in range(0, len(data), 65536))
    return put(cloud, image_id, chunks)


def stage_and_import(cloud: Cloud, image_id: str, data: bytes,
                     **request) -> str:
    response = cloud.client.stage(image_id, data)
    if response.status_code == 422:
        return message(response)
    assert response.status_code == 204, response.text
    task = cloud.client.import_and_wait(image_id, **request)
    return '' if task['status'] == 'success' else task['message']


def two_stores(cloud: Cloud, image_id: str, data: bytes) -> str:
    return stage_and_import(cloud, image_id, data,
                            stores=['cheap', 'reliable'])


def web_download(cloud: Cloud, image_id: str, data: bytes,
                 **request) -> str:
    cloud.web.contents[f'/{image_id}'] = data
    task = cloud.client.import_and_wait(
        image_id, uri=cloud.web.url(f'/{image_id}'), **request)
    return '' if task['status'] == 'success' else task['message']


def web_download_two_stores(cloud: Cloud, image_id: str,
                            data: bytes) -> str:
    return web_download(cloud, image_id, data,
                        stores=['cheap', 'reliable'])


ROUTES = [put, put_chunked, stage_and_import, two_stores, web_download,
          web_download_two_stores]


def unendorsed(site: Site) -> tuple[str, bytes, str]:
    return '', DATA, 'not-endorsed'


def tampered(site: Site) -> tuple[str, bytes, str]:
    return site.endorse(DATA), TAMPERED, 'checksum-mismatch'


def longer(site: Site) -> tuple[str, bytes, str]:
    return site.endorse(DATA), DATA + b'x', 'size-mismatch'


def shorter(site: Site) -> tuple[str, bytes, str]:
    return site.endorse(DATA), DATA[:-1], 'size-mismatch'


def expired_list(site: Site) -> tuple[str, bytes, str]:
    return site.endorse(DATA, expires=PAST), DATA, 'list-expired'


def expired_image(site: Site) -> tuple[str, bytes, str]:
    image_list = site.image_list(entry(DATA, expires=PAST))
    return (site.encode(site.sign(image_list, site.alice)), DATA,
            'image-expired')


def signer_revoked(site: Site) -> tuple[str, bytes, str]:
    site.write_anchors(revoked=[site.alice])
    return site.endorse(DATA), DATA, 'signer-revoked'


def image_revoked(site: Site) -> tuple[str, bytes, str]:
    newer = site.image_list(entry(b'another image'), version='2.0')
    site.accept(newer)
    older = site.image_list(entry(DATA), version='1.0',
                            identifier=newer.identifier)
    return (site.encode(site.sign(older, site.alice)), DATA,
            'image-revoked')


def blocked(site: Site) -> tuple[str, bytes, str]:
    image = entry(DATA)
    site.write_policy(blocked=[
        {'image': image.identifier, 'reason': 'CVE-2026-0001'}])
    return (site.encode(site.sign(site.image_list(image), site.alice)),
            DATA, 'image-blocked')


def blocked_digest(site: Site) -> tuple[str, bytes, str]:
    site.write_policy(blocked=[
        {'sha512': entry(DATA).sha512, 'reason': 'CVE-2026-0001'}])
    return site.endorse(DATA), DATA, 'image-blocked'


def stranger(site: Site) -> tuple[str, bytes, str]:
    return (site.endorse(DATA, signer=site.bob, endorser=Endorser(BOB, CA)),
            DATA, 'endorser-not-accepted')


def rogue_ca(site: Site) -> tuple[str, bytes, str]:
    rogue = pki.Authority.create(CA, key=pki.make_key('ec'))
    return (site.endorse(DATA, signer=rogue.issue(ALICE)), DATA,
            'untrusted-ca')


def malformed(site: Site) -> tuple[str, bytes, str]:
    return 'bm90IGEgbWVzc2FnZQ==', DATA, 'unsigned'


def other_format(site: Site) -> tuple[str, bytes, str]:
    return site.endorse(DATA, format='QCOW2'), DATA, 'format-mismatch'


CASES = [unendorsed, tampered, longer, shorter, expired_list, expired_image,
         signer_revoked, image_revoked, blocked, blocked_digest, stranger,
         rogue_ca, malformed, other_format]


def names(functions):
    return [function.__name__ for function in functions]


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_endorsed(cloud, route):
    image_id = cloud.client.create(hepix_endorsement=cloud.site.endorse(DATA))
    assert route(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    assert image['status'] == 'active'
    assert image['os_hash_value'] == entry(DATA).sha512
    assert cloud.client.download(image_id).content == DATA
    assert_marked(image)


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
@pytest.mark.parametrize('case', CASES, ids=names(CASES))
def test_refused(cloud, route, case):
    check_refused(cloud, route, case)


@pytest.mark.parametrize('route', [put, put_chunked, stage_and_import],
                         ids=['put', 'put_chunked', 'stage'])
@pytest.mark.parametrize('case', [None, unendorsed, tampered, longer,
                                  shorter, expired_list],
                         ids=['endorsed', 'unendorsed', 'tampered', 'longer',
                              'shorter', 'expired'])
def test_transport(either, route, case):
    if case is None:
        test_endorsed(either, route)
    else:
        check_refused(either, route, case)


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_listed(cloud, route):
    cloud.site.accept(cloud.site.image_list(entry(DATA), entry(b'other')))
    image_id = cloud.client.create()
    assert route(cloud, image_id, DATA) == ''
    image = cloud.client.image(image_id)
    assert image['status'] == 'active'
    assert_marked(image)
    other = cloud.client.create()
    assert '[not-endorsed]' in route(cloud, other, TAMPERED)
    assert_untouched(cloud, other)


@pytest.mark.parametrize('route', ROUTES, ids=names(ROUTES))
def test_a_corrected_retry_succeeds(cloud, route):
    image_id = cloud.client.create(hepix_endorsement=cloud.site.endorse(DATA))
    assert '[checksum-mismatch]' in route(cloud, image_id, TAMPERED)
    assert_untouched(cloud, image_id)
    assert route(cloud, image_id, DATA) == ''
    assert cloud.client.status(image_id) == 'active'


def check_refused(cloud, route, case):
    endorsement, data, code = case(cloud.site)
    properties = {'hepix_endorsement': endorsement} if endorsement else {}
    image_id = cloud.client.create(**properties)
    text = route(cloud, image_id, data)
    assert f'[{code}]' in text
    assert 'Traceback' not in text
    assert_untouched(cloud, image_id)


def assert_untouched(cloud, image_id):
    """Queued, no bytes anywhere, no lock, and nothing of ours on it."""
    image = cloud.client.image(image_id)
    assert image['status'] == 'queued'
    assert LOCK not in image
    assert image.get('size') is None
    assert not image.get('os_hash_value')
    assert not [path for path in cloud.glance.stored_files()
                if image_id in path.name]
    assert not [name for name in image if name.startswith('hepix_')
                and name != 'hepix_endorsement']


def assert_marked(image):
    expected = {
        'hepix_state': 'endorsed', 'hepix_sha512': entry(DATA).sha512,
        'hepix_size': str(len(DATA)), 'hepix_endorser_dn': ALICE,
        'hepix_endorser_ca': CA, 'hepix_altered': 'false',
        'hepix_approved': 'true', 'hepix_shareable': 'false',
        'hepix_vo': 'vo.example.org', 'hepix_hypervisor': 'kvm',
        'architecture': 'x86_64', 'os_distro': 'debian', 'os_version': '12',
        'img_config_drive': 'mandatory'}
    assert {name: image.get(name) for name in expected} == expected
    for name in ('hepix_endorsed_at', 'hepix_expires'):
        assert datetime.datetime.strptime(image[name], '%Y-%m-%dT%H:%M:%SZ')
    for name in ('hepix_image_id', 'hepix_list_id', 'hepix_image_version',
                 'hepix_list_version', 'hepix_uri'):
        assert image[name]
