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

"""Folders of trust anchors: what loads, what a broken file does."""

import os
import pathlib

from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
import pytest

from hepix_vm.errors import Code
from hepix_vm.trust import anchors
from hepix_vm.trust.anchors import ChainSettings
from hepix_vm.trust.certificate import Certificate
from hepix_vm.trust.crl import CrlPolicy
from tests.testbed import pki
from tests.unit.trust.chains import CA
from tests.unit.trust.chains import codes
from tests.unit.trust.chains import DAY
from tests.unit.trust.chains import files
from tests.unit.trust.chains import GRID
from tests.unit.trust.chains import NOW
from tests.unit.trust.chains import OTHER_CA

IGTF = pathlib.Path('/etc/grid-security/certificates')


def test_all_cas_of_the_igtf_load():
    """Needs Debian's igtf-policy-classic, which bindep.txt names."""
    folder = {entry.name: pathlib.Path(entry.path).read_bytes()
              for entry in os.scandir(IGTF) if entry.is_file()}
    distinct = {data for name, data in folder.items()
                if name.endswith('.pem')}
    assert len(distinct) > 60, f'{IGTF} lacks igtf-policy-classic'
    loaded = anchors.load(folder)
    assert len(loaded) == len(distinct)
    assert loaded.warnings == ()


@pytest.mark.parametrize('serial', [0, -7])
def test_roots_of_old_have_odd_serial_numbers(serial):
    root = pki.Authority.create(CA, now=NOW, serial=serial)
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    assert codes(files(root), alice) == set()


def test_a_good_chain(ca, alice):
    assert codes(files(ca), alice) == set()


def test_intermediates_from_the_folder_or_the_message(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    crl = {'sub.r0': pki.pem(sub.crl(now=NOW))}
    assert codes({**files(ca), **files(sub)}, dave) == set()
    assert codes({**files(ca), **crl}, dave, sub) == set()
    assert codes({**files(ca), **crl}, dave) == {Code.UNTRUSTED_CA}
    assert codes(files(ca), dave, sub) == {Code.CRL_MISSING}


def test_a_revoked_intermediate(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    folder = {**files(ca, crl=ca.crl([sub], now=NOW)), **files(sub)}
    assert codes(folder, dave) == {Code.UNTRUSTED_CA}


def test_an_intermediate_alone_is_no_anchor(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    assert Code.UNTRUSTED_CA in codes(files(sub), dave)


def test_a_rogue_ca_of_the_same_name(ca):
    rogue = pki.Authority.create(CA, now=NOW)
    mallory = rogue.issue(f'{GRID}/CN=Alice', now=NOW)
    assert Code.UNTRUSTED_CA in codes(files(ca), mallory)
    assert Code.UNTRUSTED_CA in codes(files(ca), mallory, rogue)


def test_a_rogue_in_the_folder_does_not_hide_the_good_one(ca, alice):
    rogue = pki.Authority.create(CA, now=NOW)
    folder = {**files(ca), **files(rogue, index=1)}
    assert codes(folder, alice) == set()


def test_an_end_entity_issues_nothing(ca, alice):
    below = pki.Authority(alice.certificate, alice.key).issue(
        f'{GRID}/CN=Mallory', now=NOW)
    assert Code.UNTRUSTED_CA in codes(files(ca), below, alice)


@pytest.mark.parametrize('options', [
    {'ca': False}, {'ca': None}, {'key_usage': ('crl_sign',)}])
def test_certificates_that_may_not_issue(ca, options):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW, **options)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    crl = {'sub.r0': pki.pem(sub.crl(now=NOW))}
    assert codes({**files(ca), **crl}, dave, sub) == {Code.UNTRUSTED_CA}


@pytest.mark.parametrize('options', [
    {'digest': 'sha1'}, {'key': pki.rsa_key(0, 1024)},
    {'extensions': [(x509.UnrecognizedExtension(
        x509.ObjectIdentifier('1.2.3.4.5'), b'\x05\x00'), True)]}])
def test_intermediates_that_are_not_relied_upon(ca, options):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW, **options)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    assert codes({**files(ca), **files(sub)}, dave) == {Code.UNTRUSTED_CA}


def test_an_intermediate_that_is_disabled_does_not_come_by_message(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    folder = {**files(ca), **files(sub, policy=b'nonsense')}
    assert Code.UNTRUSTED_CA in codes(folder, dave, sub)


def test_a_ca_that_may_not_issue_crls():
    root = pki.Authority.create(CA, now=NOW, key_usage=('key_cert_sign',))
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    assert codes(files(root), alice) == {Code.CRL_MISSING}


def test_a_ca_that_expired_before_what_it_issued(ca):
    at = NOW + 6 * 365 * DAY
    fresh = {'this_update': at - DAY, 'next_update': at + DAY}
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW, years=5)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW, years=8)
    folder = {**files(ca, crl=ca.crl(**fresh)),
              **files(sub, crl=sub.crl(**fresh))}
    assert codes(folder, dave, at=at) == {Code.UNTRUSTED_CA}


@pytest.mark.parametrize('options', [
    {'key_usage': ('key_encipherment',)}, {'eku': ('serverAuth',)},
    {'digest': 'sha1'}, {'key': pki.rsa_key(0, 1024)}])
def test_certificates_that_may_not_sign(ca, options):
    signer = ca.issue(f'{GRID}/CN=Alice', now=NOW, **options)
    assert codes(files(ca), signer) == {Code.UNTRUSTED_CA}


def test_purposes_are_a_setting(ca):
    host = ca.issue(f'{GRID}/CN=host', now=NOW, eku=('serverAuth',))
    assert codes(files(ca), host,
                 purposes=frozenset({'serverAuth'})) == set()
    assert codes(files(ca), host,
                 purposes=frozenset({'1.3.6.1.5.5.7.3.1'})) == set()


@pytest.mark.parametrize('at', [NOW - 4000 * DAY, NOW + 900 * DAY])
def test_a_signer_outside_its_validity(ca, alice, at):
    crl = ca.crl(this_update=at - DAY, next_update=at + DAY)
    assert Code.SIGNER_EXPIRED in codes(files(ca, crl=crl), alice, at=at)


def test_names_that_a_ca_may_not_use():
    constraints = x509.NameConstraints(
        [x509.DirectoryName(pki.make_name(GRID))], None)
    root = pki.Authority.create(CA, now=NOW,
                                extensions=[(constraints, True)])
    inside = root.issue(f'{GRID}/CN=Alice', now=NOW)
    outside = root.issue('/C=EU/O=Other Grid/CN=Alice', now=NOW)
    assert codes(files(root), inside) == set()
    assert codes(files(root), outside) == {Code.UNTRUSTED_CA}


@pytest.mark.parametrize('general, inside, outside', [
    (x509.RFC822Name('example.org'), 'a@example.org', 'a@example.com'),
    (x509.RFC822Name('.example.org'), 'a@x.example.org', 'a@example.org'),
    (x509.RFC822Name('a@example.org'), 'a@example.org', 'b@example.org'),
])
def test_addresses_that_a_ca_may_not_use(general, inside, outside):
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.NameConstraints([general], None), True)])
    for address, expected in ((inside, set()),
                              (outside, {Code.UNTRUSTED_CA})):
        signer = root.issue(f'{GRID}/CN=A/emailAddress={address}', now=NOW)
        assert codes(files(root), signer) == expected


def test_names_that_are_excluded():
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.NameConstraints(None, [x509.DNSName('example.org')]), True)])
    for host, expected in (('a.example.org', {Code.UNTRUSTED_CA}),
                           ('example.com', set())):
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signer = root.issue(f'{GRID}/CN=A', now=NOW,
                            extensions=[(names, False)])
        assert codes(files(root), signer) == expected


def test_a_critical_extension_that_nobody_knows(ca):
    odd = x509.UnrecognizedExtension(
        x509.ObjectIdentifier('1.2.3.4.5'), b'\x05\x00')
    for critical, expected in ((True, {Code.UNTRUSTED_CA}), (False, set())):
        signer = ca.issue(f'{GRID}/CN=A', now=NOW,
                          extensions=[(odd, critical)])
        assert codes(files(ca), signer) == expected


def test_a_proxy_certificate_is_no_endorser(ca):
    proxy = x509.UnrecognizedExtension(
        x509.ObjectIdentifier('1.3.6.1.5.5.7.1.14'), b'\x30\x00')
    signer = ca.issue(f'{GRID}/CN=A', now=NOW, extensions=[(proxy, True)])
    assert codes(files(ca), signer) == {Code.UNTRUSTED_CA}


def test_path_length():
    root = pki.Authority.create(CA, now=NOW, path_length=0)
    sub = root.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    folder = {**files(root), **files(sub)}
    assert codes(folder, dave) == {Code.UNTRUSTED_CA}
    assert codes(folder, alice) == set()


def test_crls(ca, other, alice):
    def having(crl, **settings):
        return codes(ca.files(crl), alice, **settings)

    assert having(False) == {Code.CRL_MISSING}
    assert having(ca.crl([alice], now=NOW)) == {Code.SIGNER_REVOKED}
    old = ca.crl([alice], this_update=NOW - 9 * DAY,
                 next_update=NOW - 2 * DAY)
    assert having(old) == {Code.CRL_EXPIRED, Code.SIGNER_REVOKED}
    assert having(ca.crl(now=NOW, key=other.key)) == {Code.CRL_MISSING}
    assert having(ca.crl(this_update=NOW + DAY,
                         next_update=NOW + 9 * DAY)) == {Code.CRL_MISSING}
    assert having(b'no CRL') == {Code.CRL_MISSING}
    if_present = {'crl_policy': CrlPolicy.IF_PRESENT}
    assert having(False, **if_present) == set()
    assert having(b'no CRL', **if_present) == {Code.CRL_MISSING}
    assert having(old, **if_present) == {Code.CRL_EXPIRED,
                                         Code.SIGNER_REVOKED}
    assert having(old, crl_policy=CrlPolicy.IGNORE) == set()


def test_since_when_a_crl_is_late(ca, alice):
    late = ca.crl(this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    reason, = anchors.load(ca.files(late)).check_chain(
        alice.certificate, [], NOW, ChainSettings())
    assert reason.since == NOW - 2 * DAY


def test_several_crls_of_a_ca(ca, other, alice):
    base = ca.files(ca.crl(now=NOW))
    forged = ca.crl(now=NOW, key=other.key)
    old = ca.crl([alice], this_update=NOW - 9 * DAY,
                 next_update=NOW - 2 * DAY)
    assert codes({**base, 'x.r1': pki.pem(forged)}, alice) == set()
    assert codes({**base, 'x.r1': pki.pem(old)}, alice) == {
        Code.SIGNER_REVOKED}


def test_a_crl_that_covers_only_a_part(ca, alice):
    for scope, expected in (
            ({'only_contains_ca_certs': True}, {Code.CRL_MISSING}),
            ({'only_contains_user_certs': True}, set()),
            ({'indirect_crl': True}, {Code.CRL_MISSING})):
        point = x509.IssuingDistributionPoint(**{
            'full_name': None, 'relative_name': None,
            'only_contains_user_certs': False,
            'only_contains_ca_certs': False, 'only_some_reasons': None,
            'indirect_crl': False, 'only_contains_attribute_certs': False,
            **scope})
        crl = ca.crl(now=NOW, extensions=[(point, True)])
        assert codes(files(ca, crl=crl), alice) == expected


def test_signing_policies(ca, alice):
    folder = files(ca, policy=ca.signing_policy('/C=DE/*'))
    assert codes(folder, alice) == {Code.SIGNING_POLICY}
    # Each file that speaks of the CA has to permit.
    namespaces = f'TO Issuer "{CA}" PERMIT Subject "/C=EU/.*"\n'.encode()
    folder = files(ca, policy=ca.signing_policy('/C=EU/*'))
    assert codes({**folder, 'x.namespaces': namespaces}, alice) == set()
    assert codes({**folder, 'x.namespaces': namespaces.replace(
        b'EU/.', b'DE/.')}, alice) == {Code.SIGNING_POLICY}


@pytest.mark.parametrize('broken', [
    lambda base: {f'{base}.signing_policy': b'nonsense'},
    lambda base: {f'{base}.namespaces': b'TO Issuer SELF nonsense'},
    lambda base: {'x.signing_policy': f"access_id_CA X509 '{CA}'\n".encode()},
    lambda base: {f'{base}.0': b'-----BEGIN CERTIFICATE-----\nAAAA'},
    lambda base: {f'{base}.0': b'nothing'},
])
def test_a_broken_file_disables_its_ca_alone(ca, other, alice, broken):
    base = pki.subject_hash(ca.certificate)
    folder = {**files(ca), **files(other), **broken(base)}
    bob = other.issue('/C=EU/O=Other Grid/CN=Bob', now=NOW)
    loaded = anchors.load(folder)
    assert len(loaded.warnings) == 1
    assert Code.UNTRUSTED_CA in codes(folder, alice)
    assert Code.UNTRUSTED_CA in codes(folder, alice, ca)
    assert codes(folder, bob) == set()


def test_files_of_other_kinds_are_left_out(ca, alice):
    folder = {**files(ca), 'ca.info': b'x', 'ca.crl_url': b'y', 'README': b''}
    assert anchors.load(folder).warnings == ()
    assert codes(folder, alice) == set()


def test_a_signer_that_is_an_anchor_itself(ca):
    own = pki.Authority.create(f'{GRID}/CN=Self', now=NOW, key_usage=(
        'digital_signature', 'key_cert_sign', 'crl_sign'))
    assert codes(files(own), own) == set()
    assert codes(own.files(False), own) == {Code.CRL_MISSING}
    assert Code.UNTRUSTED_CA in codes(files(ca), own)


def test_certificates_that_lead_in_circles_cost_little(
        ca, monkeypatch):
    """Many issuers of one name and key cannot keep a service busy."""
    crowd = [pki.Authority.create(OTHER_CA, now=NOW, key=ca.key)
             for _ in range(30)]
    mallory = crowd[0].issue(f'{GRID}/CN=Mallory', now=NOW)
    verified = []
    signed_by = Certificate.signed_by
    monkeypatch.setattr(Certificate, 'signed_by', lambda *pair: (
        verified.append(pair), signed_by(*pair))[1])
    assert Code.UNTRUSTED_CA in codes(files(ca), mallory, *crowd)
    assert 0 < len(verified) <= 64


@given(st.sampled_from(['a.0', 'a.r0', 'a.signing_policy', 'a.namespaces']),
       st.binary(max_size=300))
def test_whatever_a_file_holds_the_others_load(name, data):
    ca = pki.Authority.create(CA, now=NOW)
    loaded = anchors.load({**files(ca), name: data})
    assert len(loaded) <= 1
