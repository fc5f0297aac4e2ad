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

"""Certificates, read once and whole.

Reading takes all that a judgement needs out of cryptography's object, so
that whatever is wrong with a certificate shows here, at one boundary.
"""

import base64
import binascii
from collections.abc import Iterator
import dataclasses
import datetime
import re
from typing import TypeVar
import warnings

from cryptography.exceptions import InvalidSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric import types
from cryptography.hazmat.primitives import hashes
from cryptography.utils import CryptographyDeprecationWarning
from cryptography import x509

from hepix_vm.errors import MalformedError
from hepix_vm.trust import names

Extension = TypeVar('Extension', bound=x509.ExtensionType)
STRONG_DIGESTS = frozenset({'sha256', 'sha384', 'sha512', 'sha3-256',
                            'sha3-384', 'sha3-512'})
_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 256
_NO_DIGEST = 'none'  # Ed25519 and Ed448 bring their own


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """A certificate and what it says.

    :param der_hash: SHA-256 of it, which tells it from all others
    :param dn: the subject as OpenSSL's one line
    :param digest: name of its signature's hash, such as sha256
    """

    raw: x509.Certificate
    der_hash: bytes
    subject: x509.Name
    issuer: x509.Name
    dn: str
    serial: int
    not_before: datetime.datetime
    not_after: datetime.datetime
    digest: str
    key: types.CertificatePublicKeyTypes
    extensions: x509.Extensions

    @classmethod
    def of(cls, raw: x509.Certificate) -> 'Certificate':
        """Read a certificate.

        :raises MalformedError: when any part of it cannot be read
        """
        try:
            digest = raw.signature_hash_algorithm
            return cls(
                raw, raw.fingerprint(hashes.SHA256()), raw.subject,
                raw.issuer, names.one_line(raw.subject), raw.serial_number,
                raw.not_valid_before_utc, raw.not_valid_after_utc,
                digest.name if digest else _NO_DIGEST, raw.public_key(),
                raw.extensions)
        except Exception as error:
            # What cryptography throws at hostile input has no common base.
            raise MalformedError(
                f'The certificate cannot be read: {error}.') from error

    def extension(self, kind: type[Extension]) -> Extension | None:
        """Return an extension by its class, if the certificate has it."""
        return next((e.value for e in self.extensions
                     if isinstance(e.value, kind)), None)

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are one name."""
        return self.subject == self.issuer

    @property
    def is_ca(self) -> bool:
        """Whether it says that it is a CA's (RFC 5280, 4.2.1.9)."""
        constraints = self.extension(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    @property
    def strong_digest(self) -> bool:
        """Whether nobody can make a second certificate of its digest."""
        return self.digest in STRONG_DIGESTS | {_NO_DIGEST}

    @property
    def strong_key(self) -> bool:
        """Whether its key cannot be guessed from its public half."""
        if isinstance(self.key, rsa.RSAPublicKey):
            return self.key.key_size >= _MIN_RSA_BITS
        if isinstance(self.key, ec.EllipticCurvePublicKey):
            return self.key.curve.key_size >= _MIN_EC_BITS
        return isinstance(self.key, (ed25519.Ed25519PublicKey,
                                     ed448.Ed448PublicKey))

    def valid_at(self, at: datetime.datetime) -> bool:
        """Return whether a time is within its validity, ends included."""
        return self.not_before <= at <= self.not_after

    def signed_by(self, issuer: 'Certificate') -> bool:
        """Return whether the issuer has its name and made its signature."""
        try:
            self.raw.verify_directly_issued_by(issuer.raw)
        except (InvalidSignature, TypeError, UnsupportedAlgorithm,
                ValueError):
            # Names that differ, a key of another kind, an unknown scheme.
            return False
        return True


def read_folder_file(data: bytes) -> tuple[Certificate, ...]:
    """Read the certificates of a file, PEM or DER.

    Roots of old may have the serial number 0 or a negative one, which
    cryptography reads with a warning that no operator can act on.

    :raises MalformedError: when there is none, or one that is broken
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', CryptographyDeprecationWarning)
        return tuple(Certificate.of(_load(der)) for der in
                     unwrap(data, b'(?:X509 )?CERTIFICATE'))


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:
        raise MalformedError(
            f'It holds a certificate that cannot be read: {error}.',
        ) from error


def unwrap(data: bytes, label: bytes) -> Iterator[bytes]:
    """Yield the DER documents of a file: itself, or its PEM blocks.

    :param label: of the blocks, as a regular expression
    :raises MalformedError: when there is no whole block
    """
    if b'-----BEGIN' not in data:
        yield data
        return
    blocks = re.findall(rb'-----BEGIN ' + label + rb'-----([^-]*)-----END '
                        + label + b'-----', data)
    if len(blocks) != len(re.findall(b'-----BEGIN ' + label, data)):
        raise MalformedError('It is cut off, or not what its name says.')
    if not blocks:
        raise MalformedError('It is not what its name says.')
    for block in blocks:
        try:
            yield base64.b64decode(b''.join(block.split()), validate=True)
        except binascii.Error as error:
            raise MalformedError(f'It is not base64: {error}.') from error
