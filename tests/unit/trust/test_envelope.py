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

"""Signed messages: what the matrix of cases does not say."""

import binascii
import json
import pathlib
import re
import subprocess
from typing import Any

from asn1crypto import cms
from asn1crypto import core
from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives import serialization
from cryptography import x509
import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.trust import envelope
from tests.testbed import pki
from tests.unit.trust import make_messages as make

FIXTURES = pathlib.Path(__file__).parents[2] / 'fixtures' / 'cloudkeeper'
GOOD = ('imagelist01', 'imagelist02', 'imagelist03', 'imagelist04')
TEXTS = {
    'lf': make.TEXT, 'crlf': make.CRLF, 'mixed': b'{\r\n"a": 1\n}\r\n',
    'no-last-newline': b'{}', 'blank-lines': b'\n\n{}\n\n\n',
    'blanks': b'  {}  \n\t\n', 'long-line': b'{"a": "' + b'x' * 5000 + b'"}',
    'dashes': b'{"a":\n"--"\n,"b":\n--\n}', 'utf8': '{"a": "\xfc"}'.encode(),
    'empty': b''}


@pytest.fixture(scope='module')
def world() -> make.World:
    return make.World()


def _refused(message: bytes, **options: Any) -> Code:
    with pytest.raises(TrustError) as caught:
        envelope.verify(message, **options)
    return caught.value.code


def _openssl(message: bytes, world: make.World, folder: pathlib.Path,
             command: str = 'smime') -> bytes:
    """Return what ``openssl smime -verify`` says was signed."""
    pki.write_folder(folder / 'ca', [world.folder()])
    return subprocess.run(
        ['openssl', command, '-verify', '-CApath', folder / 'ca',
         '-crl_check', '-attime', str(int(make.NOW.timestamp()))],
        input=message, check=True, capture_output=True).stdout


# --- public messages

@pytest.mark.parametrize('name', GOOD)
def test_public_list(name: str) -> None:
    message = (FIXTURES / f'{name}.signed').read_bytes()

    signed = envelope.verify(message)

    assert 'hv:imagelist' in json.loads(signed.content)
    assert signed.content == subprocess.run(
        ['openssl', 'smime', '-verify', '-noverify'], input=message,
        check=True, capture_output=True).stdout
    assert signed.certificates == ()


def test_public_list_that_is_invalid() -> None:
    message = (FIXTURES / 'imagelist_invalid.signed').read_bytes()

    assert _refused(message) is Code.SIGNATURE_INVALID


def test_public_list_that_is_unsigned() -> None:
    message = (FIXTURES / 'imagelist01.unsigned').read_bytes()

    assert _refused(message) is Code.UNSIGNED


# --- signing

@pytest.mark.parametrize('who', ['alice', 'carol'])
@pytest.mark.parametrize('text', TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize('detached', [True, False])
def test_signed_is_verified(world: make.World, who: str, text: bytes,
                            detached: bool, tmp_path: pathlib.Path) -> None:
    signer = getattr(world, who)
    wanted = text.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')

    message = envelope.sign(text, signer.certificate, signer.key,
                            detached=detached)

    signed = envelope.verify(message)
    assert signed.content == wanted
    assert signed.signer == signer.certificate
    assert (wanted in message) == (detached or not wanted)
    if text:  # openssl finds no content in an empty part
        assert _openssl(message, world, tmp_path) == wanted


def test_signed_as_openssl_signs(world: make.World) -> None:
    """Nothing but boundary and signature differs."""
    ours = envelope.sign(make.TEXT, world.alice.certificate,
                         world.alice.key)

    theirs = make.by_openssl(world.alice)

    assert _layout(ours) == _layout(theirs)
    assert b'BASE64' in _layout(ours)


def _layout(message: bytes) -> bytes:
    boundary = message.partition(b'boundary="')[2].partition(b'"')[0]
    return re.sub(rb'\n(?:[A-Za-z0-9+/]{64}\n)+[A-Za-z0-9+/=]+\n',
                  b'\nBASE64\n', message.replace(boundary, b'BOUNDARY'))


def test_intermediates_are_sent(world: make.World) -> None:
    message = envelope.sign(
        make.TEXT, world.dave.certificate, world.dave.key,
        [world.sub.certificate])

    assert envelope.verify(message).certificates == (world.sub.certificate,)


@pytest.mark.parametrize(('text', 'code'), [
    (b'{\r}', Code.MALFORMED),
    (b'{}\r', Code.MALFORMED),
    (b'{}\r\r\n', Code.MALFORMED),
    (b'Content-Type: text/plain\n\n{}', Code.MALFORMED),
    (b'\nX-Any : 1\n', Code.MALFORMED),
])
def test_text_that_cannot_be_signed(world: make.World, text: bytes,
                                    code: Code) -> None:
    with pytest.raises(TrustError) as caught:
        envelope.sign(text, world.alice.certificate, world.alice.key)

    assert caught.value.code is code


def test_key_of_another_cannot_sign(world: make.World) -> None:
    with pytest.raises(TrustError) as caught:
        envelope.sign(make.TEXT, world.alice.certificate, world.carol.key)

    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize('key', ['rsa-1024', ec.generate_private_key(
    ec.SECP224R1())])
def test_weak_key_cannot_sign(world: make.World, key: Any) -> None:
    weak = world.endorser(key=key)

    with pytest.raises(TrustError, match='bits') as caught:
        envelope.sign(make.TEXT, weak.certificate, weak.key)

    assert caught.value.code is Code.SIGNATURE_INVALID


def test_other_kinds_of_key_cannot_sign(world: make.World) -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate()

    with pytest.raises(TrustError, match='Only RSA and EC') as caught:
        envelope.sign(make.TEXT, world.alice.certificate, key)

    assert caught.value.code is Code.SIGNATURE_INVALID


# --- verifying

def test_longest_message(world: make.World) -> None:
    message = make.detached(world.alice)

    assert envelope.verify(message, max_bytes=len(message)).content
    assert _refused(message, max_bytes=len(message) - 1) is Code.TOO_LARGE


def test_certificates_without_signer(world: make.World) -> None:
    message = make.detached(world.alice, world.grid, world.carol,
                            world.grid, world.alice)

    signed = envelope.verify(message)

    assert set(signed.certificates) == {
        world.grid.certificate, world.carol.certificate}
    assert len(signed.certificates) == 2


def test_two_certificates_of_one_key(world: make.World) -> None:
    """The key identifier does not say which of them signed."""
    twin = world.endorser('Twin', key=world.alice.key)

    assert _refused(make.detached(
        world.alice, twin, by_key=True)) is Code.SIGNATURE_INVALID
    assert envelope.verify(make.detached(
        world.alice, twin)).signer == world.alice.certificate


def test_certificate_without_key_identifier(world: make.World) -> None:
    plain = world.endorser('Plain', ski=False)
    info = make.signer_info(world.alice, by_key=True)

    message = make.multipart(make.TEXT, make.signature_part(
        make.signed_data([info], [plain])))

    assert _refused(message) is Code.SIGNATURE_INVALID


def test_same_serial_of_another_issuer(world: make.World) -> None:
    other = world.authority('Other CA')
    twin = other.issue(f'{make.GRID}/CN=Twin', now=make.NOW,
                       serial=world.alice.certificate.serial_number)

    signed = envelope.verify(make.detached(world.alice, twin))

    assert signed.signer == world.alice.certificate


@pytest.mark.filterwarnings('ignore:Parsed a serial number')
@pytest.mark.parametrize('serial', [0, -1])
def test_serial_that_is_not_positive(world: make.World,
                                     serial: int) -> None:
    """Such a root may be sent along; such a signer is refused."""
    root = world.authority('Old Root', serial=serial)
    signer = world.endorser('Zero', serial=serial)

    assert envelope.verify(
        make.detached(world.alice, root)).certificates == ()
    assert _refused(make.detached(signer)) is Code.SIGNATURE_INVALID


def test_rsa_signature_with_ec_key(world: make.World) -> None:
    message = make.detached(world.carol, scheme='rsassa_pkcs1v15')

    assert _refused(message) is Code.SIGNATURE_INVALID


def test_ec_signature_with_rsa_key(world: make.World) -> None:
    message = make.detached(world.alice, scheme='sha256_ecdsa')

    assert _refused(message) is Code.SIGNATURE_INVALID


def test_no_attributes_of_changed_content(world: make.World) -> None:
    message = make.detached(world.alice, attributes=None)

    assert _refused(message.replace(
        b'two', b'2', 1)) is Code.SIGNATURE_INVALID


def test_empty_attributes(world: make.World) -> None:
    info = make.signer_info(world.alice, attributes=None)
    info['signed_attrs'] = cms.CMSAttributes([])

    message = make.signed_data([info], [world.alice], make.CRLF)

    assert _refused(message) is Code.SIGNATURE_INVALID


def test_attribute_certificate(world: make.World) -> None:
    """X.509 certificates only: nothing else is understood."""
    encoded = make.signed_data([make.signer_info(world.alice)],
                               [world.alice], make.CRLF)
    info = cms.ContentInfo.load(encoded)
    certificates = info['content']['certificates']
    certificates.append(cms.CertificateChoices(
        'other', {'other_cert_format': '1.2.3', 'other_cert': core.Null()}))

    with pytest.raises(MalformedError, match='not X.509'):
        envelope.verify(info.dump(force=True))


def test_certificate_whose_name_is_broken(world: make.World) -> None:
    """cryptography reads names late: nobody else is to stumble there."""
    encoded = make.signed_data([make.signer_info(world.alice)],
                               [world.alice, world.carol], make.CRLF)

    broken = encoded.replace(b'Carol', b'Car\xff\xff')

    assert broken != encoded
    assert _refused(broken) is Code.MALFORMED


def test_broken_certificate(world: make.World) -> None:
    encoded = make.signed_data(
        [make.signer_info(world.alice)], [world.alice], make.CRLF)
    der = world.alice.certificate.public_bytes(serialization.Encoding.DER)
    version = encoded.index(der) + der.index(b'\xa0\x03\x02\x01\x02') + 4

    broken = encoded[:version] + b'\x09' + encoded[version + 1:]

    assert _refused(broken) is Code.MALFORMED


@pytest.mark.parametrize('message', [
    b'\x30', b'\x30\x80', b'\x30\x80' * 50_000, b'\x30\x84\xff\xff\xff\xff',
    b'\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02',
    b'\x30\x82' + bytes(9), b'0' * 100, b'\x30\x00',
    b'-----BEGIN CMS-----\n!\n-----END CMS-----\n',
    b'-----BEGIN CMS-----\nAA==\n-----END CMS-----\n',
    b'-----BEGIN CMS-----\nMA==\n-----END PKCS7-----\n',
    b'-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n',
    b'A: b', b'A: b\nC\n\n', b'A: \0\n\n', b'A: b\r\rC: d\n\n',
    b'Content-Type: multipart/signed\n\n',
    b'Content-Type: multipart/signed; boundary\n\n',
    b'Content-Type: multipart/signed; a="\n\n',
    b'Content-Type: (comment) multipart/signed\n\n',
    b'Content-Type: application/pkcs7-mime\n\nMA==\n',
    b'A: ' + b'b' * 70_000 + b'\n\n',
], ids=lambda m: repr(m[:40]))
def test_malformed(message: bytes) -> None:
    assert _refused(message) is Code.MALFORMED


@pytest.mark.parametrize('filler', [b'\n', b' \n', b'A\n', b'\r\n'])
def test_pem_without_end_is_refused_quickly(filler: bytes) -> None:
    assert _refused(b'-----BEGIN CMS-----\n' + filler * 10 ** 6) == 'malformed'


@pytest.mark.parametrize('message', [
    b'{}', b'[]\n\n', b'\n\n', b'\xff\xfe{\0', b'<xml/>', b'A: b\n\n{}',
    b'Content-Type: application/json\n\n{}', b'From x\n\n',
    b'-----', b' Content-Type: multipart/signed\n\n'])
def test_unsigned(message: bytes) -> None:
    assert _refused(message) is Code.UNSIGNED


@pytest.mark.parametrize(('message', 'says'), [
    (make.opaque(bytes.fromhex('300b06092a864886f70d010701')),
     'not SignedData'),
    (b'-----BEGIN X-----\n', 'not one CMS'),
    (b'A: b\nC\n\n', 'of the form'),
    (make.multipart(b'{}'), 'exactly two'),
    (make.multipart(b'{}', b'', closed=False), 'truncated'),
    (make.multipart(b'{}', b'').replace(b'Y\n\n', b'Y!\n\n'),
     'exactly two'),
])
def test_what_it_says(message: bytes, says: str) -> None:
    """Not merely that it is not well-formed."""
    with pytest.raises(TrustError, match=says):
        envelope.verify(message)


@pytest.mark.parametrize('error', [
    AttributeError('x'), IndexError('x'), KeyError('x'), OverflowError('x'),
    RecursionError('x'), NotImplementedError('x'), TypeError('x'),
    UnicodeDecodeError('ascii', b'', 0, 0, 'x'), binascii.Error('x'),
    exceptions.UnsupportedAlgorithm('x'), x509.InvalidVersion('x', 9),
    x509.UnsupportedGeneralNameType('x'), x509.DuplicateExtension(
        'x', x509.ObjectIdentifier('1.2.3'))], ids=lambda e: type(e).__name__)
def test_whatever_the_libraries_throw(
        monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def throw(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cms.ContentInfo, 'load', throw)

    with pytest.raises(MalformedError) as caught:
        envelope.verify(b'\x30')
    assert caught.value.__cause__ is error
