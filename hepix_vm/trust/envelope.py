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

"""Signed messages: S/MIME and CMS in, what was signed and by whom out.

Another kind of envelope is one module beside this one that returns the
same :class:`SignedContent`.
"""

import base64
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import re

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.trust import cms
from hepix_vm.trust import mime

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
_SEQUENCE = b'\x30'
_ARMOUR_BEGIN = b'-----BEGIN '
_ARMOUR = re.compile(
    rb'-----BEGIN (CMS|PKCS7|PKCS #7 SIGNED DATA)-----[ \t\r]*+\n'
    rb'([A-Za-z0-9+/=\s]++)-----END \1-----\s*+')
# What asn1crypto and cryptography throw at hostile input; found by
# feeding it to them, and wide on purpose.
_LIBRARY_ERRORS = (
    ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError, exceptions.UnsupportedAlgorithm, x509.DuplicateExtension,
    x509.InvalidVersion, x509.UnsupportedGeneralNameType)


@dataclasses.dataclass(frozen=True)
class SignedContent:
    """What one signer signed; the signature is good.

    :param content: exactly the bytes under the signature; text of a
        detached message has its lines ended by CRLF
    :param signer: whose key signed; not yet known to be trusted
    :param certificates: all others that came with the message
    """

    content: bytes
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


def verify(message: bytes, max_bytes: int = DEFAULT_MAX_BYTES,
           allow_sha1: bool = False) -> SignedContent:
    """Verify the signature of a message, but not who its signer is.

    :param message: S/MIME (``multipart/signed`` or opaque), or CMS as DER
        or PEM
    :param max_bytes: the longest message to look at
    :param allow_sha1: accept SHA-1, for lists of old
    :raises TrustError: UNSIGNED, SIGNATURE_INVALID, TOO_LARGE or
        MALFORMED; no other exception
    """
    if len(message) > max_bytes:
        raise TrustError(f'The signed message has {len(message)} bytes; '
                         f'at most {max_bytes} are read.', Code.TOO_LARGE)
    with _translated():
        detached, encoded = _open(message)
        signed = cms.load(encoded)
        content = _one_content(detached, signed.content)
        signer = cms.check(signed, content, allow_sha1)
        return SignedContent(content, signer, tuple(
            c for c in signed.certificates if c != signer))


def sign(content: bytes, certificate: x509.Certificate,
         key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
         certificates: Sequence[x509.Certificate] = (), *,
         detached: bool = True) -> bytes:
    """Sign a text as ``openssl smime -sign -md sha256`` does.

    :param content: the text; its lines are ended by CRLF before signing
    :param key: RSA or EC, the one of the certificate
    :param certificates: intermediates to send along, never the root
    :param detached: ``multipart/signed``, which people can read, or else
        the content inside of the signature
    :returns: an S/MIME message that :func:`verify` accepts
    :raises TrustError: if the key is not the certificate's or too weak,
        or the content cannot be carried
    """
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TrustError('Only RSA and EC keys can sign.',
                         Code.SIGNATURE_INVALID)
    with _translated():
        text = mime.canonical(content)
        builder = pkcs7.PKCS7SignatureBuilder(text).add_signer(
            certificate, key, hashes.SHA256())
        for each in certificates:
            builder = builder.add_certificate(each)
        options = [pkcs7.PKCS7Options.Binary,
                   pkcs7.PKCS7Options.NoCapabilities]
        if detached:
            options.append(pkcs7.PKCS7Options.DetachedSignature)
        encoded = builder.sign(serialization.Encoding.DER, options)
    message = (mime.join(text, encoded) if detached
               else mime.wrap(encoded))
    # No library checks that key and certificate belong together.
    verify(message, max_bytes=len(message))
    return message


def from_text(text: str, max_bytes: int) -> bytes:
    """Return the message that a property's text holds.

    :param text: an S/MIME message as it is, or base64, white space
        tolerated, of CMS in DER or of S/MIME
    :param max_bytes: the longest text to look at
    :raises TrustError: TOO_LARGE or MALFORMED
    """
    if len(text) > max_bytes:
        raise TrustError(f'The endorsement has {len(text)} characters; at '
                         f'most {max_bytes} are read.', Code.TOO_LARGE)
    try:
        # Each header of S/MIME has one, and base64 has none.
        return text.encode() if ':' in text else mime.decode_base64(
            text.encode('ascii'))
    except ValueError as error:
        raise MalformedError('The endorsement is neither a signed message '
                             'nor base64 of one.') from error


def to_text(message: bytes) -> str:
    """Return what a file holds as a property's text.

    :param message: S/MIME, CMS as DER or PEM, or base64 of one of them
    :raises MalformedError: no property could hold it
    """
    if message.startswith((_SEQUENCE, _ARMOUR_BEGIN)):
        return base64.b64encode(message).decode()
    try:
        if text := message.decode().strip():
            return text
        raise MalformedError('The endorsement is empty.')
    except UnicodeDecodeError as error:
        raise MalformedError('The endorsement is neither a signed message '
                             'nor base64 of one.') from error


def _open(message: bytes) -> tuple[bytes | None, bytes]:
    """Return the detached content, if any, and the CMS structure."""
    if message.startswith(_SEQUENCE):
        return None, message
    if message.startswith(_ARMOUR_BEGIN):
        armour = _ARMOUR.fullmatch(message)
        if not armour:
            raise MalformedError('The PEM text is not one CMS message.')
        return None, mime.decode_base64(armour[2])
    return mime.split(message)


def _one_content(beside: bytes | None, inside: bytes | None) -> bytes:
    if beside is None and inside is not None:
        return inside
    if beside is not None and inside is None:
        return beside
    raise MalformedError(
        'The message holds no content.' if beside is None else
        'The message holds two contents, one beside and one inside its '
        'signature.')


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the libraries throw into our own error."""
    try:
        yield
    except _LIBRARY_ERRORS as error:
        raise MalformedError('The signed message is not well-formed: '
                             f'{type(error).__name__}.') from error
