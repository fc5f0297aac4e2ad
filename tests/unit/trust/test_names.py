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

"""Distinguished names, compared with what openssl writes."""

import pathlib
import subprocess

from cryptography import x509
from cryptography.x509.name import _ASN1Type
import pytest

from hepix_vm.trust import names
from tests.testbed import pki

Attribute = x509.NameAttribute
EMAIL = '1.2.840.113549.1.9.1'
UID = '0.9.2342.19200300.100.1.1'


def _attribute(oid: str, value: str | bytes,
               kind: _ASN1Type | None = None) -> 'Attribute[str | bytes]':
    return x509.NameAttribute(x509.ObjectIdentifier(oid), value, kind)


def _name(*pairs: tuple[str, str]) -> x509.Name:
    return x509.Name([_attribute(*pair) for pair in pairs])


def _openssl(name: x509.Name, folder: pathlib.Path) -> str:
    made = pki.Authority.create(name)
    path, _ = made.write(folder, 'name')
    printed = subprocess.run(
        ['openssl', 'x509', '-in', path, '-noout', '-subject', '-nameopt',
         'compat'], check=True, capture_output=True, text=True).stdout
    return printed.removeprefix('subject=').removesuffix('\n')


NAMES = {
    'plain': _name(('2.5.4.6', 'EU'), ('2.5.4.10', 'Example Grid'),
                   ('2.5.4.3', 'Alice Endorser')),
    'order': _name(('2.5.4.3', 'Alice'), ('2.5.4.6', 'EU')),
    'slashes': _name(('2.5.4.3', 'host/a.example.org/CN=b')),
    'comma-quote-backslash': _name(('2.5.4.3', 'a, "b" + c\\d=e')),
    'utf8': _name(('2.5.4.3', 'J\u00fcrgen \u4e2d')),
    'control': _name(('2.5.4.3', 'a\nb\x7f')),
    'unknown-attribute': _name(('1.2.3.4', 'x')),
    'empty-value': _name(('2.5.4.9', ''), ('2.5.4.10', 'x')),
    'no-attributes': x509.Name([]),
    'bmp': x509.Name([_attribute('2.5.4.3', 'A\u00fc',
                                 _ASN1Type.BMPString)]),
    'universal': x509.Name([_attribute('2.5.4.3', 'A\u00fc',
                                       _ASN1Type.UniversalString)]),
    'bits': x509.Name([_attribute('2.5.4.45', b'\x00\x41\x42',
                                  _ASN1Type.BitString)]),
    'several-in-one': x509.Name([x509.RelativeDistinguishedName([
        _attribute('2.5.4.3', 'Alice'), _attribute(UID, 'alice')])]),
}


@pytest.mark.parametrize('name', NAMES.values(), ids=NAMES)
def test_one_line_is_openssl_s(name: x509.Name,
                               tmp_path: pathlib.Path) -> None:
    assert names.one_line(name) == _openssl(name, tmp_path)


def test_every_short_name_is_openssl_s(tmp_path: pathlib.Path) -> None:
    # a country has two letters, here as in OpenSSL
    name = _name(*((oid, 'XX') for oid in names._SHORT_NAMES))

    assert names.one_line(name) == _openssl(name, tmp_path)
    assert names.one_line(name).count('/') == len(names._SHORT_NAMES)


def test_attributes_that_cryptography_does_not_name() -> None:
    name = _name(('2.5.4.5', '42'), (EMAIL, 'a@example.org'))

    assert names.one_line(name) == (
        '/serialNumber=42/emailAddress=a@example.org')


def test_same_value_of_another_string_type() -> None:
    as_utf8 = x509.Name([_attribute('2.5.4.3', 'A')])
    as_bmp = x509.Name([_attribute('2.5.4.3', 'A', _ASN1Type.BMPString)])

    assert names.one_line(as_utf8) == '/CN=A'
    assert names.one_line(as_bmp) == '/CN=\\x00A'
    assert names.same(as_bmp, '/CN=A')


@pytest.mark.parametrize('dn', [
    '/C=EU/UID=al/CN=J\u00fcrgen/emailAddress=j@example.org',
    '/C=EU/UID=al/CN=J\\xC3\\xBCrgen/emailAddress=j@example.org',
    '/C=EU/UID=al/CN=J\u00fcrgen/Email=j@example.org',
    '/C=EU/UID=al/CN=J\u00fcrgen/E=j@example.org',
    '/C=EU/USERID=al/CN=J\u00fcrgen/emailAddress=j@example.org',
    '/C=EU/USERID=al/CN=J\\xC3\\xBCrgen/E=j@example.org',
])
def test_same(dn: str) -> None:
    name = _name(('2.5.4.6', 'EU'), (UID, 'al'), ('2.5.4.3', 'J\u00fcrgen'),
                 (EMAIL, 'j@example.org'))

    assert names.same(name, dn)


@pytest.mark.parametrize('dn', [
    '', '/C=EU', '/C=EU/CN=alice', '/c=EU/CN=Alice', 'C=EU/CN=Alice',
    '/C=EU/CN=Alice/', ' /C=EU/CN=Alice', '/C=EU/CN=Alice\n',
    '/CN=Alice/C=EU', 'CN=Alice,C=EU', '/C=EU/CN=Alice/CN=proxy',
    '/C=EU/CN=*', '/C=EU/CN=\u0410lice',
])
def test_not_same(dn: str) -> None:
    assert not names.same(
        _name(('2.5.4.6', 'EU'), ('2.5.4.3', 'Alice')), dn)


@pytest.mark.parametrize('dn', [
    '/O=Grid/CN=host/a.example.org', '/O=Grid/CN=host\\/a.example.org'])
def test_slash_in_a_value_old_and_new(dn: str) -> None:
    name = _name(('2.5.4.10', 'Grid'), ('2.5.4.3', 'host/a.example.org'))

    assert names.same(name, dn)
    assert names.one_line(name) == '/O=Grid/CN=host\\/a.example.org'


@pytest.mark.parametrize('dn', ['/CN=Alice+UID=al', '/CN=Alice+USERID=al'])
def test_several_in_one(dn: str) -> None:
    name = x509.Name([x509.RelativeDistinguishedName([
        _attribute('2.5.4.3', 'Alice'), _attribute(UID, 'al')])])

    assert names.same(name, dn)
    assert not names.same(name, '/UID=al/CN=Alice')
    # As OpenSSL before 3.0 writes it, and as two names are written.
    assert '/CN=Alice/UID=al' in names.spellings(name)
    assert not names.same(name, '/CN=Alice/UID=al')


def test_spelling_is_of_the_label_not_of_the_value() -> None:
    name = _name(('2.5.4.3', 'x Email=y'), (EMAIL, 'z'))

    assert names.same(name, '/CN=x Email=y/E=z')
    assert not names.same(name, '/CN=x emailAddress=y/emailAddress=z')


@pytest.mark.parametrize('value, dn', [
    ('Grid/CN=Alice', '/O=Grid/CN=Alice'), ('x/2.5.4.3=y', '/O=x/2.5.4.3=y'),
    ('x/Email=y', '/O=x/E=y'), ('Grid+CN=Alice', '/O=Grid+CN=Alice')])
def test_a_value_cannot_be_taken_for_attributes(value: str, dn: str) -> None:
    name = _name(('2.5.4.10', value))

    assert not names.same(name, dn)
    assert not names.same(name, f'/O={value}')
    assert names.same(name, '/O=' + value.replace(
        '/', '\\/').replace('+', '\\+'))


@pytest.mark.parametrize('value, dn', [
    ('host\\/x.org', '/O=host\\/x.org'), ('\\xC3\\xBC', '/O=\\xC3\\xBC'),
    ('\\xC3\\xBC', '/O=\u00fc'), ('a\\', '/O=a\\')])
def test_a_backslash_cannot_be_taken_for_an_escape(
        value: str, dn: str) -> None:
    name = _name(('2.5.4.10', value))

    assert not names.same(name, dn)
    assert names.one_line(name) in names.spellings(name)


def test_an_encoding_whose_bytes_read_like_another_text() -> None:
    value = 'Grid/CN=Alice!'.encode('latin-1').decode('utf-16-be')
    name = x509.Name([x509.NameAttribute(
        x509.ObjectIdentifier('2.5.4.10'), value, _ASN1Type.BMPString)])

    assert names.one_line(name) == '/O=Grid\\/CN=Alice!'
    assert not names.same(name, '/O=Grid\\/CN=Alice!')
    assert not names.same(name, '/O=Grid/CN=Alice!')
    assert names.same(name, f'/O={value}')


@pytest.mark.parametrize(('one', 'other', 'like'), [
    ('/CN=Jörg', '/CN=J\\xC3\\xB6rg', True),
    ('/CN=Jörg', '/CN=J\\xF6rg', True),
    # What is not in Latin-1 is text already.
    ('/CN=Łucja', '/CN=\\xC5\\x81ucja', True),
    ('/CN=Łucja', '/CN=Łucja', True),
    ('/Email=a@b/USERID=a', '/emailAddress=a@b/UID=a', True),
    ('/CN=host/a', '/CN=host\\/a', True),
    ('/CN=Alice', '/CN=alice', False),
    ('/CN=Jörg', '/CN=Jorg', False)])
def test_two_spellings_may_be_alike(one, other, like):
    assert names.alike(one, other) is like
    assert names.alike(other, one) is like
