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

"""``openstack image catalog verify``: what a site would make of a list."""

import dataclasses
import datetime

import pytest

from hepix_vm.trust.model import Endorser
from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.testbed.site import Site

DAY = datetime.timedelta(days=1)


@pytest.fixture
def verify(site, tmp_path):
    """Verify a list; return the exit status and the fields."""
    def verify(image_list, signer=None, content=None, arguments=()):
        path = tmp_path / 'candidate.smime'
        path.write_bytes(content or site.sign(
            image_list, signer or site.alice))
        ran = OpenStack(site)('image catalog verify -f json', str(path),
                              *arguments)
        assert 'Traceback' not in ran.err
        return ran.status, ran.json, ran.err

    return verify


def codes(fields):
    return [reason['code'] for reason in fields['reasons']]


def test_a_list_that_would_be_accepted(site, verify):
    old = Site.image_list(entry(b'one'))
    site.accept(old)
    new = dataclasses.replace(
        old, version='2', images=(*old.images, entry(b'two')))
    status, fields, err = verify(new)
    assert (status, fields['accepted'], fields['reasons'], err) == (
        0, True, [], '')
    assert fields['id'] == old.identifier
    assert (fields['version'], fields['accepted_version']) == ('2', '1')
    assert fields['image_count'] == 2
    assert (fields['endorser_dn'], fields['endorser_ca']) == (ALICE, CA)
    assert fields['certificate_expires'] == (
        f'{site.alice.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}')
    assert '1 -> 2' in fields['changes'][0]
    assert fields['changes'][1].startswith(f'+ {new.images[1].identifier}')
    # Nothing is taken in.
    assert OpenStack(site)('image catalog list -f json').json[0][
        'Version'] == '1'


def test_all_that_speaks_against_a_list(site, verify):
    old = Site.image_list(entry(b'one'), version='3')
    site.accept(old)
    now = pki.utcnow()
    new = dataclasses.replace(
        old, version='2', created=now - 3 * DAY, expires=now - DAY,
        endorser=Endorser(ALICE, CA, 'a@example.org'))
    site.write_anchors(this_update=now - 3 * DAY, next_update=now - DAY)
    status, fields, _ = verify(new, site.bob)
    assert (status, fields['accepted']) == (1, False)
    assert codes(fields) == [
        'crl-expired', 'endorser-mismatch', 'list-expired',
        'endorser-not-accepted', 'list-rollback']
    assert all(reason['message'] and reason['remedy']
               for reason in fields['reasons'])


@pytest.mark.parametrize('change', ['rollback', 'older'])
def test_a_list_that_goes_back(site, verify, change):
    old = Site.image_list(entry(b'one'), version='3')
    site.accept(old)
    new = dataclasses.replace(old, **(
        {'version': '2'} if change == 'rollback' else
        {'created': old.created - DAY}))
    status, fields, _ = verify(new)
    assert (status, codes(fields)) == (1, ['list-rollback'])


def test_a_list_for_which_somebody_else_is_pinned(site, verify):
    old = Site.image_list(entry(b'one'))
    site.accept(old)
    new = dataclasses.replace(old, version='2', endorser=Endorser(BOB, CA))
    status, fields, _ = verify(new, site.bob)
    assert (status, codes(fields)) == (1, ['endorser-not-accepted'])


def test_a_list_that_nobody_subscribed(site, verify):
    """Its signer is an accepted endorser all the same."""
    status, fields, _ = verify(Site.image_list(entry(b'one')))
    assert (status, codes(fields)) == (1, ['endorser-not-accepted'])
    assert 'is not subscribed here' in fields['reasons'][0]['message']
    assert 'subscriptions.yaml' in fields['reasons'][0]['remedy']


def test_a_list_with_an_image_of_another(site, verify):
    image = entry(b'one')
    ours, other = Site.image_list(image), Site.image_list()
    for each in (ours, other):
        site.accept(each)
    site.write_subscriptions([
        {'uuid': each.identifier, 'endorsers': [{'dn': ALICE, 'ca': CA}]}
        for each in (ours, other)])
    status, fields, _ = verify(dataclasses.replace(
        other, version='2', images=(image,)))
    assert (status, codes(fields)) == (1, ['uuid-conflict'])


def test_what_is_no_list(verify):
    status, fields, _ = verify(None, content=b'nonsense')
    assert (status, codes(fields)) == (1, ['unsigned'])
    assert (fields['id'], fields['changes']) == ('', [])


def test_a_file_that_is_too_long(site):
    site.write_config(max_list_bytes='1024')
    path = site.folder / 'candidate'
    path.write_bytes(bytes(1025))
    ran = OpenStack(site)('image catalog verify', str(path))
    assert (ran.status, ran.out) == (1, '')
    assert ran.err.startswith('[too-large] ')


def test_a_list_that_was_changed_on_its_way(site, verify):
    image_list = Site.image_list(entry(b'one'), title='Good')
    site.accept(image_list)
    message = site.sign(image_list, site.alice).replace(b'Good', b'Evil')
    status, fields, _ = verify(None, content=message)
    assert (status, codes(fields)) == (1, ['signature-invalid'])


def test_a_machine_that_has_nothing(site, verify, tmp_path):
    """What it lacks is said, and can be named."""
    image_list = Site.image_list(entry(b'one'))
    site.accept(image_list)
    anchors = site.anchors.rename(tmp_path / 'elsewhere')
    subscriptions = (site.folder / 'subscriptions.yaml').rename(
        tmp_path / 'other.yaml')
    status, fields, err = verify(image_list)
    assert (status, codes(fields)) == (
        1, ['untrusted-ca', 'endorser-not-accepted'])
    assert err == (
        f'{site.anchors} is not here: no CA is trusted.\n'
        f'{site.folder}/subscriptions.yaml is not here: no list is '
        f'subscribed.\n')
    status, fields, err = verify(image_list, arguments=(
        '--trust-anchors', str(anchors),
        '--subscriptions', str(subscriptions)))
    assert (status, fields['reasons'], err) == (0, [], '')


@pytest.mark.parametrize(('place', 'why'), [
    ('missing', 'cannot be read: No such file or directory. Give the path '
     'of a signed list, or its https address.'),
    ('https://127.0.0.1:9/list', 'Look whether a list is at that address, '
     'and at the network; --tls-ca names the CAs of its server.'),
    ('http://lists.example.org/?password=s3cret', 'is no address from which '
     'lists are fetched. Give one with https://, or a file.'),
    ('file:///etc/passwd', 'is no address from which')])
def test_what_is_not_fetched(site, place, why):
    site.write_config(fetch_retries='0')
    ran = OpenStack(site)('image catalog verify', place)
    assert (ran.status, ran.out) == (1, '')
    assert why in ran.err and ran.err.count('\n') == 1
    assert 's3cret' not in ran.err
    assert 'subscriptions.yaml' not in ran.err
