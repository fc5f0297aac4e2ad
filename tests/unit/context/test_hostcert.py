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

"""Names of host certificates, and which certificates are accepted."""

import datetime
import warnings

from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509.oid import NameOID
import pytest

from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import from_drive
from hepix_vm.context.facts import Network
from hepix_vm.context import hostcert
from hepix_vm.errors import ContextError
from tests.testbed import pki

UUID = '5f1c2f0e-6a3f-4c58-9a0e-6a8d1c8a0e11'
DOMAIN = 'vm.example.org'
NAME = f'{UUID}.{DOMAIN}'
NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)
LIFETIME = 720 * HOUR
SKEW = datetime.timedelta(minutes=5)

CA = pki.Authority.create('/O=Example Site/CN=Example Site CA')
ROGUE = pki.Authority.create('/O=Example Site/CN=Example Site CA')
KEY = pki.make_key('ec')


def san(*names):
    return (x509.SubjectAlternativeName(
        [x509.DNSName(name) if isinstance(name, str) else name
         for name in names]), False)


def issue(**changes):
    """Return a certificate, right but for the changes."""
    names = changes.pop('names', (NAME,))
    extensions = [*([san(*names)] if names else []),
                  *changes.pop('extensions', ())]
    wanted = {'key': KEY, 'not_before': NOW - HOUR,
              'not_after': NOW + LIFETIME, 'key_usage': None, 'eku': None,
              'extensions': extensions} | changes
    return CA.issue(wanted.pop('dn', f'/CN={NAME}'), **wanted).pem


def check(chain, key=KEY, now=NOW):
    return hostcert.check(chain, key.public_key(), NAME, now, LIFETIME)


def test_what_was_asked_for_is_accepted():
    chain = issue(serial=4711)
    issued = check(chain)
    assert issued.chain == chain
    assert issued.serial == 4711
    assert issued.not_after == NOW + LIFETIME
    assert issued.issuer == CA.certificate.subject


@pytest.mark.parametrize('kind', ['rsa', 'ec', 'ec-384'])
def test_keys_of_all_kinds(kind):
    key = pki.make_key(kind)
    assert check(issue(key=key), key)


def test_other_parts_of_the_subject_are_the_signers_affair():
    assert check(issue(dn=f'/DC=org/DC=example/OU=hosts/CN={NAME}'))


def test_the_clocks_may_differ():
    assert check(issue(not_before=NOW + SKEW,
                       not_after=NOW + LIFETIME + SKEW))


def test_the_chain_is_kept_and_nothing_else():
    middle = CA.intermediate('/O=Example Site/CN=Middle')
    leaf = middle.issue(f'/CN={NAME}', key=KEY, not_before=NOW - HOUR,
                        not_after=NOW + LIFETIME, extensions=[san(NAME)])
    chain = leaf.pem + middle.pem + CA.pem
    issued = check(b'Certificate:\n  Data:\n' + chain + KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()) + b'the end')
    assert issued.chain == chain


def broken():
    """Return a certificate whose alternative names cannot be read."""
    return issue(names=(), extensions=[(x509.UnrecognizedExtension(
        x509.SubjectAlternativeName.oid, b'\x30\x03\x82\x05a'), False)])


REFUSED = {
    'garbage': (lambda: b'\0\1\2' * 99, 'no certificate in PEM'),
    'nothing': (lambda: b'', 'no certificate in PEM'),
    'HTML': (lambda: b'<html>please log in</html>', 'no certificate'),
    'no DER in the PEM': (
        lambda: b'-----BEGIN CERTIFICATE-----\nMAA=\n'
                b'-----END CERTIFICATE-----\n', 'no certificate in PEM'),
    'other key': (lambda: issue(key='ec'), 'another key'),
    'the CA first': (lambda: CA.pem + issue(), 'another key'),
    'serial number 0': (lambda: issue(serial=0), 'no serial number'),
    'negative serial number': (
        lambda: issue(serial=-5), 'no serial number'),
    'other name': (
        lambda: issue(dn='/CN=www.example.org', names=('www.example.org',)),
        'another common name'),
    'other common name': (
        lambda: issue(dn='/CN=www.example.org'), 'another common name'),
    'no common name': (lambda: issue(dn='/O=x'), 'another common name'),
    'host/ before it': (
        lambda: issue(dn=f'/CN=host/{NAME}'), 'another common name'),
    'two common names': (
        lambda: issue(dn=f'/CN={NAME}/CN=www'), 'another common name'),
    'two in one RDN': (lambda: issue(dn=x509.Name([
        x509.RelativeDistinguishedName([
            x509.NameAttribute(NameOID.COMMON_NAME, NAME),
            x509.NameAttribute(NameOID.COMMON_NAME, 'www')])])),
        'another common name'),
    'no alternative name': (lambda: issue(names=()), 'alternative names'),
    'other alternative name': (
        lambda: issue(names=('www.example.org',)), 'alternative names'),
    'one more': (
        lambda: issue(names=(NAME, 'www.example.org')), 'alternative names'),
    'a wildcard': (
        lambda: issue(names=(NAME, f'*.{DOMAIN}')), 'alternative names'),
    'a wildcard alone': (
        lambda: issue(dn=f'/CN=*.{DOMAIN}', names=(f'*.{DOMAIN}',)),
        'another common name'),
    'one of mail': (
        lambda: issue(names=(NAME, x509.RFC822Name('a@example.org'))),
        'alternative names'),
    'the name as one of mail': (
        lambda: issue(names=(x509.RFC822Name(NAME),)), 'alternative names'),
    'names that cannot be read': (broken, 'cannot be read'),
    'CA:TRUE': (lambda: issue(ca=True), 'that of a CA'),
    'may sign': (lambda: issue(key_usage=('key_cert_sign',)),
                 'that of a CA'),
    'may sign, no constraints': (
        lambda: issue(ca=None, key_usage=('key_cert_sign',)),
        'that of a CA'),
    'not yet': (lambda: issue(not_before=NOW + SKEW + SECOND),
                'not valid yet'),
    'expired': (lambda: issue(not_after=NOW), 'has expired'),
    'too long': (
        lambda: issue(not_after=NOW + LIFETIME + SKEW + SECOND),
        'longer than the 720 hours'),
    'chain of another CA': (lambda: issue() + ROGUE.pem, 'did not sign'),
    'chain of something else': (
        lambda: issue() + CA.issue('/CN=other', key='ec').pem,
        'did not sign'),
    'chain in the wrong order': (
        lambda: issue() + CA.pem + issue(), 'did not sign'),
    'long chain': (lambda: issue() + 10 * CA.pem, 'has 11 certificates'),
}


@pytest.mark.parametrize('case', REFUSED)
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_all_else_is_refused(case):
    make, what = REFUSED[case]
    chain = make()
    # Nova's log is spared what cryptography warns of.
    warnings.simplefilter('error')
    with pytest.raises(ContextError, match=what) as caught:
        check(chain)
    assert caught.value.message.startswith(
        'What the signer of host certificates gave ')
    assert 'exactly what the request asks for' in caught.value.remedy


def test_names_by_uuid():
    facts = Facts(UUID, '$(id)', 'www.example.org', fixed_address='192.0.2.5')
    assert hostcert.name_for(facts, 'uuid', DOMAIN) == NAME


@pytest.mark.parametrize('uuid', [
    '', UUID.upper(), UUID[:-1], f'{UUID}\n', f'{UUID}.x', '*', 'www',
    UUID.replace('-', ''), UUID.replace('5', '\u0665', 1)])
@pytest.mark.parametrize('kind', hostcert.NAMES)
def test_what_is_no_uuid_is_not_in_a_name(uuid, kind):
    with pytest.raises(ContextError, match='no UUID'):
        hostcert.name_for(Facts(uuid, fixed_address='192.0.2.5'), kind,
                          DOMAIN)


def by_address(fixed, *addresses):
    facts = Facts(UUID, 'www', 'www.example.org', fixed_address=fixed,
                  network=Network(addresses=addresses))
    return hostcert.name_for(facts, 'address', DOMAIN)


@pytest.mark.parametrize('fixed, addresses, label', [
    ('', ['192.0.2.5/24', '192.0.2.6/24'], 'host-192-0-2-5'),
    ('192.0.2.7', ['192.0.2.5/24'], 'host-192-0-2-7'),
    ('', ['192.0.2.5'], 'host-192-0-2-5'),
    ('', ['2001:db8::5/64'], 'host-2001-db8--5'),
    ('', ['2001:DB8:0:0::5/64'], 'host-2001-db8--5'),
])
def test_names_by_address_are_those_of_neutron(fixed, addresses, label):
    assert by_address(fixed, *addresses) == f'{label}.{DOMAIN}'


META_DATA = f'{{"uuid": "{UUID}"}}'.encode()


@pytest.mark.parametrize('ec2, address', [
    (b'', ''), (b'{}', ''), (b'{"local-ipv4": null}', ''),
    (b'{"local-ipv4": "192.0.2.5"}', '192.0.2.5')])
def test_the_fixed_address_is_where_ec2_has_it(ec2, address):
    facts = from_drive(META_DATA, b'', b'', 'compute1', ec2)
    assert facts.fixed_address == address


@pytest.mark.parametrize('ec2', [b'[]', b'no', b'{"local-ipv4": 5}'])
def test_what_is_not_of_ec2_is_refused(ec2):
    with pytest.raises(ContextError, match='ec2/latest/meta-data.json'):
        from_drive(META_DATA, b'', b'', 'compute1', ec2)


@pytest.mark.parametrize('address', [
    '', 'www', '*', '192.0.2.5.evil.example.org', '/24', '192.0.2'])
def test_without_an_address_there_is_no_name(address):
    with pytest.raises(ContextError, match='No fixed address') as caught:
        by_address(address)
    assert 'name: uuid' in caught.value.remedy


@pytest.mark.parametrize('address', [
    '2001:db8::/64',  # no label ends with a dash
    'fe80::1%www.example.org', 'fe80::1%eth0',
    '2001:db8:1111:2222:3333:4444:5555:6666/64',
])
def test_addresses_that_give_no_name(address):
    domain = 'clouds.' + DOMAIN
    facts = Facts(UUID, network=Network(addresses=(address,)))
    with pytest.raises(ContextError, match='cannot be the name') as caught:
        hostcert.name_for(facts, 'address', domain)
    assert 'name: uuid' in caught.value.remedy


@pytest.mark.parametrize('domain', [
    'example.org', 'a', 'vm-1.example.org', '1.example.org', 'x' * 27])
def test_domains(domain):
    hostcert.check_domain(domain, 'uuid')


@pytest.mark.parametrize('domain', [
    '', '.', 'example.org.', '.example.org', 'a..b', '*.example.org',
    'Example.org', '-a.org', 'a-.org', 'a_b.org', 'a b.org', 'a.org\n',
    'b\u00fc.example.org', '192.0.2.1', 'a/b', 'x' * 64])
def test_what_is_no_domain(domain):
    with pytest.raises(ContextError, match='A domain'):
        hostcert.check_domain(domain, 'address')


@pytest.mark.parametrize('kind, most', [('uuid', 27), ('address', 43)])
def test_a_common_name_has_at_most_64_characters(kind, most):
    domain = ('x' * 20 + '.') * 3
    hostcert.check_domain(domain[:most].rstrip('.'), kind)
    with pytest.raises(ContextError, match=f'{most} are left of the 64'):
        hostcert.check_domain(domain[:most] + 'x', kind)
