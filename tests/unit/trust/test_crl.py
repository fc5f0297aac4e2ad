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

"""Revocation lists: of what they speak, and when they count."""

from asn1crypto import crl as asn1_crl
from cryptography.hazmat.primitives import serialization
from cryptography import x509
import pytest

from hepix_vm.errors import Code
from hepix_vm.trust import anchors
from hepix_vm.trust.anchors import ChainSettings
from tests.testbed import pki
from tests.unit.trust.chains import CA
from tests.unit.trust.chains import codes
from tests.unit.trust.chains import DAY
from tests.unit.trust.chains import files
from tests.unit.trust.chains import GRID
from tests.unit.trust.chains import NOW


def scoped(authority, **scope):
    """Return a CRL for a part of what a CA issued."""
    nothing = dict.fromkeys(
        ('full_name', 'relative_name', 'only_some_reasons')) | dict.fromkeys(
        ('only_contains_user_certs', 'only_contains_ca_certs',
         'indirect_crl', 'only_contains_attribute_certs'), False)
    return authority.crl(now=NOW, extensions=[
        (x509.IssuingDistributionPoint(**nothing | scope), True)])


HERE = [x509.UniformResourceIdentifier('http://crl.example.org/ca')]


@pytest.mark.parametrize('scope', [
    {'only_some_reasons': frozenset({x509.ReasonFlags.key_compromise})},
    {'only_contains_attribute_certs': True},
    {'relative_name': x509.RelativeDistinguishedName(
        list(pki.make_name('/CN=a part')))},
    {'full_name': HERE},
])
def test_crls_that_do_not_speak_of_a_signer(ca, alice, scope):
    assert codes(files(ca, scoped(ca, **scope)), alice) == {Code.CRL_MISSING}


def test_a_crl_of_the_distribution_point_of_a_signer(ca):
    point = x509.DistributionPoint(HERE, None, None, None)
    dave = ca.issue(f'{GRID}/CN=Dave', now=NOW, extensions=[
        (x509.CRLDistributionPoints([point]), False)])
    assert codes(files(ca, scoped(ca, full_name=HERE)), dave) == set()


def test_a_crl_of_signers_does_not_speak_of_cas(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    folder = {**files(ca, scoped(ca, only_contains_user_certs=True)),
              **files(sub)}
    assert codes(folder, dave) == {Code.CRL_MISSING}


def test_a_delta_crl_is_none(ca, alice):
    delta = ca.crl(now=NOW, extensions=[(x509.DeltaCRLIndicator(1), True)])
    assert codes(files(ca, delta), alice) == {Code.CRL_MISSING}


def test_digests_of_crls():
    root = pki.Authority.create(CA, now=NOW, key='rsa')
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    for digest, expected in [('sha1', set()), ('md5', {Code.CRL_MISSING})]:
        crl = root.crl(now=NOW, digest=digest)
        assert codes(files(root, crl), alice) == expected


def test_a_forged_crl_of_an_old_digest():
    root, forger = (pki.Authority.create(CA, now=NOW, key=pki.rsa_key(n))
                    for n in (0, 1))
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    crl = forger.crl(now=NOW, digest='sha1')
    assert codes(files(root, crl), alice) == {Code.CRL_MISSING}


def test_a_crl_that_does_not_say_when_the_next_is_due(ca, alice):
    parsed = asn1_crl.CertificateList.load(
        ca.crl(now=NOW).public_bytes(serialization.Encoding.DER))
    inner = parsed['tbs_cert_list']
    del inner['next_update']
    parsed['signature'] = pki.sign_raw(
        ca.key, inner.dump(force=True), 'sha256')
    crl = x509.load_der_x509_crl(parsed.dump(force=True))
    assert crl.next_update_utc is None
    assert codes(files(ca, crl), alice) == {Code.CRL_EXPIRED}


def test_the_key_of_each_ca_of_a_name_judges_for_itself(ca):
    """A CRL that one key signed is no CRL of the other."""
    second = pki.Authority.create(CA, now=NOW)
    alice = ca.issue(f'{GRID}/CN=Alice', now=NOW)
    bob = second.issue(f'{GRID}/CN=Bob', now=NOW)
    loaded = anchors.load({
        **files(ca), **second.files(False, index=1)})
    assert loaded.check_chain(
        alice.certificate, (), NOW, ChainSettings()) == ()
    assert [reason.code for reason in loaded.check_chain(
        bob.certificate, (), NOW, ChainSettings())] == [Code.CRL_MISSING]


def due(folder, signer):
    return anchors.load(folder).crls_due(signer.certificate, ())


def test_until_when_crls_are_current(ca, alice):
    newer = ca.crl(now=NOW + DAY)
    folder = {**files(ca), 'newer.r0': pki.pem(newer)}
    assert due(folder, alice) == {CA: newer.next_update_utc}
    assert due(files(ca, False), alice) == {CA: None}
    # It is a root itself, so it is its own issuer.
    assert due(files(ca), ca) == {CA: ca.crl(now=NOW).next_update_utc}


def test_a_crl_of_cas_says_nothing_of_until_when(ca, alice):
    of_cas = scoped(ca, only_contains_ca_certs=True)
    assert due(files(ca, of_cas), alice) == {CA: None}


def test_a_forged_crl_is_not_current(ca, alice):
    rogue = pki.Authority.create(CA, now=NOW)
    assert due(files(ca, rogue.crl(now=NOW + DAY)), alice) == {CA: None}
    assert due(files(rogue), alice) == {}
