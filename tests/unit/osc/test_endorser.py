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

"""``openstack image endorser list``: who may endorse, and until when."""

import datetime

import pytest
import yaml

from tests.testbed.openstack import OpenStack
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import Site

DAY = datetime.timedelta(days=1)
OTHER_CA = '/C=EU/O=Example Grid/CN=Another CA'


def text(at):
    return f'{at:%Y-%m-%dT%H:%M:%SZ}'


@pytest.fixture
def endorsers(site):
    """Return the rows of the table."""
    def endorsers(*arguments):
        ran = OpenStack(site)('image endorser list -f json', *arguments)
        assert ran.status == 0, ran.err
        return ran.json

    return endorsers


def test_who_may_endorse_what(site, endorsers):
    now = pki.utcnow().replace(microsecond=0)
    site.write_anchors(next_update=now + 5 * DAY)
    site.write_policy(endorsers=[{
        'dn': ALICE, 'ca': CA, 'vo': 'vo.example.org',
        'projects': ['cms', 'atlas'], 'email': 'alice@example.org'}])
    image_list = Site.image_list()
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier,
        'endorsers': [{'dn': ALICE, 'ca': CA}, {'dn': BOB, 'ca': CA}]}])
    ca = text(site.authority.certificate.not_valid_after_utc)
    alice = text(site.alice.certificate.not_valid_after_utc)
    first, second, third = endorsers('--long')
    assert first == {
        'Endorser': ALICE, 'Source': 'policy.yaml', 'VO': 'vo.example.org',
        'CA Expires': ca, 'CRL Next Update': text(now + 5 * DAY),
        'Certificate Expires': alice, 'State': 'good', 'CA': CA,
        'CRL': 'fresh', 'Projects': ['atlas', 'cms'],
        'Email': 'alice@example.org'}
    assert (second['Endorser'], second['Source'], second['State']) == (
        ALICE, image_list.identifier, 'good')
    # Nothing that he signed is here.
    assert (third['Endorser'], third['Certificate Expires'],
            third['State']) == (BOB, '', 'good')
    assert 'Email' not in endorsers()[0]


@pytest.mark.parametrize('signed', [True, False])
@pytest.mark.parametrize(('crl', 'policy', 'word', 'state'), [
    ('late', 'require', 'stale', 'crl-expired'),
    ('late', 'if-present', 'stale', 'crl-expired'),
    ('late', 'ignore', 'ignored', 'good'),
    ('none', 'require', 'missing', 'crl-missing'),
    ('none', 'if-present', 'missing', 'good'),
    ('forged', 'require', 'missing', 'crl-missing'),
])
def test_what_the_crls_are_worth(site, endorsers, signed, crl, policy, word,
                                 state):
    now = pki.utcnow().replace(microsecond=0)
    if signed:
        site.accept(Site.image_list())
    site.write_config(crl_policy=policy)
    if crl == 'late':
        site.write_anchors(this_update=now - 3 * DAY, next_update=now - DAY)
    if crl == 'forged':
        site.write_anchors(key=site.bob.key)
    if crl == 'none':
        for path in site.anchors.glob('*.r0'):
            path.unlink()
    row = endorsers('--long')[0]
    assert (row['CRL'], row['State']) == (word, state)
    assert row['CRL Next Update'] == (
        text(now - DAY) if crl == 'late' else '')
    assert bool(row['Certificate Expires']) is signed


def test_an_endorser_of_a_ca_that_is_not_here(site, endorsers):
    site.write_policy(endorsers=[{'dn': ALICE, 'ca': OTHER_CA}])
    row, = endorsers('--long')
    assert (row['CA Expires'], row['CRL'], row['State']) == (
        '', 'missing', 'untrusted-ca')


def test_a_ca_that_expired(site, endorsers):
    old = pki.Authority.create(
        OTHER_CA, not_before=pki.utcnow() - 9 * DAY,
        not_after=pki.utcnow() - DAY)
    pki.write_folder(site.anchors, [old.files(old.crl())])
    site.write_policy(endorsers=[{'dn': ALICE, 'ca': OTHER_CA}])
    row, = endorsers()
    assert row['State'] == 'untrusted-ca'
    assert row['CA Expires'] == text(old.certificate.not_valid_after_utc)


@pytest.mark.parametrize(('change', 'state'), [
    ('revoked', 'signer-revoked'), ('expired', 'signer-expired')])
def test_an_endorser_whose_certificate_ended(site, endorsers, change, state):
    signer = site.alice
    if change == 'expired':
        signer = site.authority.issue(ALICE, not_after=pki.utcnow() - DAY)
    site.accept(Site.image_list(), signer)
    if change == 'revoked':
        site.write_anchors(revoked=[signer])
    assert {row['State'] for row in endorsers()} == {state}


def test_a_machine_that_is_no_controller(site):
    for name in ('policy.yaml', 'subscriptions.yaml'):
        (site.folder / name).unlink()
    ran = OpenStack(site)('image endorser list')
    assert (ran.status, ran.err.count('\n')) == (1, 1)
    assert 'on a controller' in ran.err


def test_a_policy_that_is_broken(site):
    (site.folder / 'policy.yaml').write_text(yaml.safe_dump({'nothing': 1}))
    ran = OpenStack(site)('image endorser list')
    assert (ran.status, ran.err.count('\n')) == (1, 1)
    assert 'policy.yaml:1: ' in ran.err
