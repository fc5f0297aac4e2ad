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

"""Endorsements of single images: what is made of what is said."""

import dataclasses
import datetime

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import endorse
from hepix_vm.exchange.endorse import Statement
from hepix_vm.exchange.signer import Signer
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.imagelist import serialize
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA

NOW = datetime.datetime(2026, 11, 22, 10, 30, 1, tzinfo=datetime.UTC)
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
SAID = Statement('Debian', 'debian', '12', 'x86_64', 'kvm', '1', 'qcow2',
                 NOW + 90 * pki.DAY)


@pytest.fixture(scope='module')
def authority():
    return pki.Authority.create(CA)


@pytest.fixture(scope='module')
def alice(authority):
    return signer(authority.issue(ALICE))


def signer(identity):
    return Signer(identity.certificate, identity.key)


def build(alice, at=NOW, **said):
    return endorse.build(dataclasses.replace(SAID, **said), 'x.qcow2',
                         'ab' * 64, 5, alice.endorser('', ''), at)


@pytest.mark.parametrize('name', [
    'title', 'distro', 'distro_version', 'architecture', 'hypervisor',
    'image_version', 'disk_format'])
def test_what_must_be_said(alice, name):
    option = f'--{name.replace("_", "-")} must not be empty'
    with pytest.raises(ConfigError, match=option):
        build(alice, **{name: ''})


@pytest.mark.parametrize(('distro', 'system'), [
    ('debian', 'Linux'), ('Rocky', 'Linux'), ('FreeBSD', 'FreeBSD'),
    ('windows', 'windows')])
def test_what_runs_it(alice, distro, system):
    entry, = build(alice, distro=distro).images
    assert (entry.os, entry.osname) == (system, distro)


@pytest.mark.parametrize('uri', [
    'https://images.example.org/x', 'file:///srv/x', 'urn:x'])
def test_where_it_is(alice, uri):
    assert build(alice, uri=uri).images[0].uri == uri
    for wrong in (f'{uri}\n', 'https://[', 'https://token@h/', '/x'):
        with pytest.raises(ConfigError, match='--uri '):
            build(alice, uri=wrong)


def test_nothing_is_said_that_was_not(alice):
    assert not {endorse.KIND, endorse.BUILT_WITH, endorse.PRODUCED} & set(
        build(alice).images[0].extra)


def test_versions_of_a_list_that_is_shared(alice):
    """Each is higher than all before, whoever made them."""
    times = [NOW.replace(hour=0, minute=0, second=0), NOW,
             NOW + datetime.timedelta(seconds=1), NOW + 40 * pki.DAY]
    versions = [build(alice, at, list_id=LIST).version for at in times]
    assert versions[1] == '20261122.37801'
    for lower, higher in zip(versions, versions[1:], strict=False):
        assert compare_versions(lower, higher) < 0
    assert build(alice).version == '1'


def test_it_is_renewed(alice):
    old = build(alice, vo='vo', kind='base')
    later, end = NOW + pki.DAY, NOW + 200 * pki.DAY
    new = endorse.renew(old, alice.endorser('', ''), end, later)
    assert (new.version, new.created, new.expires) == ('2', later, end)
    assert new.images[0] == dataclasses.replace(old.images[0], expires=end)
    assert dataclasses.replace(
        new, version=old.version, created=old.created, expires=old.expires,
        images=old.images) == old
    assert endorse.renew(new, new.endorser, end, later).version == '3'
    with pytest.raises(ConfigError, match='--expires lies in the past'):
        endorse.renew(old, alice.endorser('', ''), later, later)


def test_who_renews_signs(alice, authority):
    old = build(alice)
    old = dataclasses.replace(old, endorser=dataclasses.replace(
        old.endorser, email='alice@example.org'))
    bob = signer(authority.issue(BOB)).endorser('', '')
    new = endorse.renew(old, bob, SAID.expires, NOW)
    assert (new.endorser.dn, new.endorser.email) == (BOB, 'alice@example.org')
    bob = dataclasses.replace(bob, email='bob@example.org')
    assert endorse.renew(old, bob, SAID.expires, NOW).endorser == bob


@pytest.mark.parametrize(('at', 'version'), [
    (NOW, '20261122.37802'), (NOW + pki.DAY, '20261123.37801')])
def test_of_a_list_that_is_shared(alice, at, version):
    old = build(alice, list_id=LIST)
    assert endorse.renew(
        old, old.endorser, SAID.expires, at).version == version


def test_what_is_signed_is_verified(alice, authority):
    made = build(alice)
    message = endorse.sign(made, alice)
    assert endorse.only(message, TrustSettings()).image_list == made
    with pytest.raises(TrustError) as caught:
        endorse.sign(made, signer(authority.issue(BOB)))
    assert caught.value.code is Code.ENDORSER_MISMATCH
    with pytest.raises(TrustError) as caught:
        endorse.sign(build(alice, title='x' * 30000), alice)
    assert caught.value.code is Code.TOO_LARGE


def test_what_is_verified_is_what_was_meant(alice):
    class Other(Signer):
        def sign(self, content):
            return alice.sign(serialize(build(alice)))

    with pytest.raises(TrustError) as caught:
        endorse.sign(build(alice), Other(alice.certificate, alice.key))
    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize('number', [0, 2])
def test_a_list_of_several_is_no_endorsement(alice, number):
    made = build(alice)
    images = (*made.images, *build(alice).images)[:number]
    message = alice.sign(serialize(dataclasses.replace(made, images=images)))
    with pytest.raises(TrustError, match=f'a list of {number} images') as (
            caught):
        endorse.only(message, TrustSettings())
    assert 'image catalog publish' in caught.value.remedy
