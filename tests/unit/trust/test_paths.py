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

"""Paths from a signer to a root: what stands in their way."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography import x509
import pytest

from hepix_vm.errors import Code
from hepix_vm.trust import anchors
from hepix_vm.trust.crl import CrlPolicy
from tests.testbed import pki
from tests.unit.trust.chains import CA
from tests.unit.trust.chains import codes
from tests.unit.trust.chains import DAY
from tests.unit.trust.chains import files
from tests.unit.trust.chains import GRID
from tests.unit.trust.chains import NOW


def test_a_ca_of_the_message_of_which_a_broken_policy_speaks(ca):
    sub = ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    folder = {**files(ca), 'sub.r0': pki.pem(sub.crl(now=NOW))}
    assert codes(folder, dave, sub) == set()
    folder['sub.signing_policy'] = sub.signing_policy() + b'nonsense'
    assert Code.UNTRUSTED_CA in codes(folder, dave, sub)


def test_a_policy_beside_a_ca_that_speaks_of_another(ca, other, alice):
    for policy in (other.signing_policy(), b'# nothing'):
        folder = files(ca, policy=policy)
        assert 'does not speak of' in ''.join(anchors.load(folder).warnings)
        assert codes(folder, alice) == {Code.UNTRUSTED_CA}
        assert codes(folder, alice, ca) == {Code.UNTRUSTED_CA}


@pytest.mark.filterwarnings('ignore:Parsed a serial number')
def test_a_serial_number_that_no_crl_can_name(ca):
    mallory = ca.issue(f'{GRID}/CN=Mallory', now=NOW, serial=-5)
    assert codes(files(ca), mallory) == {Code.UNTRUSTED_CA}


def test_what_a_root_may_use_counts_for_all_below():
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.NameConstraints([x509.DirectoryName(pki.make_name(GRID))],
                              None), True)])
    sub = root.intermediate('/C=EU/O=Elsewhere/CN=Sub CA', now=NOW)
    dave = sub.issue(f'{GRID}/CN=Dave', now=NOW)
    assert codes({**files(root), **files(sub)}, dave) == {Code.UNTRUSTED_CA}


def test_a_critical_extension_of_a_root_that_nobody_knows():
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.UnrecognizedExtension(x509.ObjectIdentifier('1.2.3.4'),
                                    b'\x05\x00'), True)])
    alice = root.issue(f'{GRID}/CN=Alice', now=NOW)
    assert codes(files(root), alice) == {Code.UNTRUSTED_CA}


@pytest.mark.parametrize('permitted, excluded, name', [
    # A kind that is constrained, but not judged here: refused, whatever
    # it says.
    (None, [x509.UniformResourceIdentifier('example.com')],
     x509.UniformResourceIdentifier('http://example.org/')),
    ([x509.DNSName('example.org')], None, x509.DNSName('badexample.org')),
])
def test_names_that_a_ca_may_not_use(permitted, excluded, name):
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.NameConstraints(permitted, excluded), True)])
    dave = root.issue(f'{GRID}/CN=Dave', now=NOW, extensions=[
        (x509.SubjectAlternativeName([name]), False)])
    assert codes(files(root), dave) == {Code.UNTRUSTED_CA}


@pytest.mark.parametrize('excluded, name', [
    (x509.DirectoryName(pki.make_name('/C=EU/O=example  GRID')),
     x509.RFC822Name('a@example.net')),
    (x509.DNSName('example.ORG'), x509.DNSName('Host.Example.org')),
])
def test_exclusions_do_not_depend_on_case(excluded, name):
    root = pki.Authority.create('/C=EU/CN=Root', now=NOW, extensions=[
        (x509.NameConstraints(None, [excluded]), True)])
    dave = root.issue(f'{GRID}/CN=Dave', now=NOW, extensions=[
        (x509.SubjectAlternativeName([name]), False)])
    assert codes(files(root), dave) == {Code.UNTRUSTED_CA}


def test_any_purpose_is_accepted(ca):
    dave = ca.issue(f'{GRID}/CN=Dave', now=NOW, eku=('anyExtendedKeyUsage',))
    assert codes(files(ca), dave) == set()


def test_a_weak_curve_of_a_signer(ca):
    dave = ca.issue(f'{GRID}/CN=Dave', now=NOW,
                    key=ec.generate_private_key(ec.SECP224R1()))
    assert codes(files(ca), dave) == {Code.UNTRUSTED_CA}


def test_a_bundle_that_is_cut_off(ca, other, alice):
    folder = files(ca)
    folder['bundle.pem'] = ca.pem + other.pem[:-40]
    assert len(anchors.load(folder).warnings) == 1
    assert len(anchors.load(folder)) == 1
    assert codes(folder, alice) == set()
    assert len(anchors.load({'bundle.pem': folder['bundle.pem']})) == 0


def test_a_path_is_only_so_long(ca):
    chain = [ca]
    while len(chain) < 8:
        chain.append(chain[-1].intermediate(
            f'{GRID}/CN=Sub CA {len(chain)}', now=NOW))
    fits, too_long = (of.issue(f'{GRID}/CN=Dave', now=NOW)
                      for of in chain[-2:])
    settings = {'crl_policy': CrlPolicy.IGNORE}
    assert codes(files(ca), fits, *chain[1:], **settings) == set()
    assert codes(files(ca), too_long, *chain[1:], **settings) == {
        Code.UNTRUSTED_CA}


def test_the_path_against_which_least_speaks_is_told(ca):
    """However the certificates are ordered."""
    key = pki.make_key('ec')
    old, new = (ca.intermediate(f'{GRID}/CN=Sub CA', now=NOW, key=key,
                                not_after=end)
                for end in (NOW - DAY / 2, NOW + 99 * DAY))
    dave = new.issue(f'{GRID}/CN=Dave', now=NOW)
    for brought in ((old, new), (new, old)):
        assert codes(files(ca), dave, *brought) == {Code.CRL_MISSING}


def test_what_a_root_may_use_counts_below_others_too():
    root = pki.Authority.create(CA, now=NOW, extensions=[
        (x509.NameConstraints([x509.DirectoryName(pki.make_name(GRID))],
                              None), True)])
    sub = root.intermediate(f'{GRID}/CN=Sub CA', now=NOW)
    folder = {**files(root), **files(sub)}
    for dn, expected in ((f'{GRID}/CN=Dave', set()),
                         ('/C=EU/O=Elsewhere/CN=Dave', {Code.UNTRUSTED_CA})):
        assert codes(folder, sub.issue(dn, now=NOW)) == expected


def test_a_renewed_certificate_of_a_ca_is_no_ca_below_it():
    root = pki.Authority.create(CA, now=NOW, path_length=0)
    renewed = root.intermediate(CA, now=NOW)
    dave = renewed.issue(f'{GRID}/CN=Dave', now=NOW)
    folder = {**files(root), 'renewed.r0': pki.pem(renewed.crl(now=NOW))}
    assert codes(folder, dave, renewed) == set()


def test_policies_beside_a_ca_count_for_its_renewed_certificate():
    root = pki.Authority.create(CA, now=NOW)
    renewed = root.intermediate(CA, now=NOW)
    folder = {'ca.pem': pki.pem(root.certificate),
              'ca.r0': pki.pem(root.crl(now=NOW)),
              'renewed.r0': pki.pem(renewed.crl(now=NOW)),
              'ca.namespaces': f'TO Issuer SELF PERMIT Subject '
                               f'"{GRID}/.*"\n'.encode()}
    for dn, expected in ((f'{GRID}/CN=Dave', set()),
                         ('/C=EU/O=Elsewhere/CN=Dave',
                          {Code.SIGNING_POLICY})):
        dave = renewed.issue(dn, now=NOW)
        assert codes(folder, dave, renewed) == expected
