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

"""The certificate and key with which an endorser signs.

The key is read when it is needed, and kept nowhere; its passphrase is asked
for, and never part of a command line, a message or a log.
"""

from collections.abc import Callable
import dataclasses
import datetime
import os
import stat

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import TrustError
from hepix_vm.trust.certificate import Certificate
from hepix_vm.trust import envelope
from hepix_vm.trust.model import Endorser
from hepix_vm.trust import names
from hepix_vm.trust import path as rfc5280

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Ask = Callable[[str], bytes]

_PUBLIC = stat.S_IRWXG | stat.S_IRWXO
# Of an empty passphrase for a key that has one: TypeError.
_UNREADABLE = (TypeError, ValueError, exceptions.UnsupportedAlgorithm)
TYPE_AGAIN = 'Type it again; if it is right, the file is damaged.'
_NO_SIGNER = ('Use an endorser\'s certificate whose key usage has '
              'digitalSignature, and whose extended key usage this site '
              'accepts of endorsers; neither a CA\'s nor a proxy.')


@dataclasses.dataclass(frozen=True, slots=True)
class Signer:
    """Who signs.

    :param chain: certificates that go with the list: intermediate CAs
    """

    certificate: x509.Certificate
    key: Key = dataclasses.field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def email(self) -> str:
        """The mail address in the certificate; empty if it has none."""
        try:
            others = self.certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return ''
        return ''.join(others.get_values_for_type(x509.RFC822Name)[:1])

    def endorser(self, email: str, creator: str) -> Endorser:
        """Return what hv:endorser of a list must say.

        :param creator: the person's name; by default that of the
            certificate
        """
        subject = self.certificate.subject
        common = [str(each.value) for each in
                  subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        return Endorser(names.one_line(subject),
                        names.one_line(self.certificate.issuer), email,
                        creator or ''.join(common[-1:]))

    def sign(self, content: bytes) -> bytes:
        """Return a text as a signed message."""
        return envelope.sign(content, self.certificate, self.key, self.chain)


def read_secret(path: str) -> bytes:
    """Return a file that nobody but its owner may read.

    :param path: of a file, a pipe, or such as ``/dev/fd/3``
    :raises ConfigError: it cannot be read, or others can read it
    """
    try:
        with open(path, 'rb') as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & _PUBLIC:
                raise ConfigError('Others than its owner can read it.', path,
                                  remedy=f'chmod 600 {path}')
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def from_pem(certificate: str, key: str, ask: Ask,
             remedy: str = TYPE_AGAIN) -> Signer:
    """Read a certificate and its key.

    :param certificate: path of a PEM file; CAs may follow the certificate
    :param key: path of a PEM file
    :param ask: returns the passphrase for a prompt
    :param remedy: where the passphrase is wrong
    :raises ConfigError: they cannot be read
    """
    try:
        with open(certificate, 'rb') as file:
            first, *others = x509.load_pem_x509_certificates(file.read())
    except OSError as error:
        raise _unreadable(certificate, error) from error
    except ValueError as error:
        raise ConfigError('It holds no certificate in PEM.', certificate,
                          remedy='Give the endorser\'s certificate; a '
                                 'PKCS#12 file is given with --pkcs12.'
                          ) from error
    data = read_secret(key)
    try:
        try:
            loaded = serialization.load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            loaded = serialization.load_pem_private_key(
                data, ask(f'Passphrase of {key}: '))
    except _UNREADABLE as error:
        raise ConfigError('It holds no key in PEM, or the passphrase does '
                          'not open it.', key, remedy=remedy) from error
    return _signer(first, loaded, others, key)


def from_pkcs12(path: str, ask: Ask, remedy: str = TYPE_AGAIN) -> Signer:
    """Read a PKCS#12 file, such as browsers export.

    :param ask: returns the passphrase for a prompt
    :param remedy: where the passphrase is wrong
    :raises ConfigError: it cannot be read
    """
    data = read_secret(path)
    try:
        loaded, certificate, others = pkcs12.load_key_and_certificates(
            data, ask(f'Passphrase of {path}: '))
    except _UNREADABLE as error:
        raise ConfigError('It is no PKCS#12 file that can be read, or the '
                          'passphrase does not open it.', path,
                          remedy=remedy) from error
    if certificate is None or loaded is None:
        raise ConfigError('It lacks the certificate or its key.', path)
    return _signer(certificate, loaded, others, path)


def check(signer: Signer, at: datetime.datetime,
          purposes: frozenset[str]) -> None:
    """Make sure that a certificate may sign at all.

    Whether a CA that is trusted issued it is seen when the signed list is
    verified.

    :param at: now, UTC
    :param purposes: extended key usages that are accepted
    :raises TrustError: with the first reason why not
    """
    if signer.key.public_key() != signer.certificate.public_key():
        raise TrustError(
            'The key is not that of the certificate.', Code.SIGNATURE_INVALID,
            'Give the key with which this certificate was requested.')
    for reason in rfc5280.signer_reasons(
            Certificate.of(signer.certificate), at, purposes):
        raise TrustError(
            reason.message, reason.code,
            _NO_SIGNER if reason.code is Code.UNTRUSTED_CA else None)


def _signer(certificate: x509.Certificate, key: object,
            others: list[x509.Certificate], path: str) -> Signer:
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ConfigError('Only RSA and EC keys sign lists.', path)
    # Subscribers have the roots, and believe none that comes along.
    return Signer(certificate, key, tuple(
        each for each in others if each.subject != each.issuer))


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError(f'It cannot be read: {error.strerror}.', path,
                       remedy='Give the path of a file that you can read.')
