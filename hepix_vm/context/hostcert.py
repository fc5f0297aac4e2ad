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

"""The host certificate of a server: its name, and whether one is accepted.

Who signs may be mistaken or be made to sign something else, so what comes
back is compared with what was asked for.
"""

import datetime
import ipaddress
import itertools
import re
from typing import NamedTuple
import warnings

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509.oid import NameOID

from hepix_vm.context.facts import Facts
from hepix_vm.errors import ContextError

BY_UUID = 'uuid'
BY_ADDRESS = 'address'
NAMES = (BY_UUID, BY_ADDRESS)

MAX_NAME = 64  # characters of a common name, RFC 5280 appendix A.1
MAX_CHAIN = 10  # certificates

# Clocks differ by that much.
SKEW = datetime.timedelta(minutes=5)
_HOUR = datetime.timedelta(hours=1)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_UUID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_UUID_LENGTH = 36
_LABEL = re.compile(r'[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?')
_ADDRESS_LENGTH = len('host-255-255-255-255')

_SIGNER = ('Let the signer answer with a certificate of exactly what the '
           'request asks for, first, and with the certificates of its CAs '
           'after it.')


class Issued(NamedTuple):
    """A host certificate that is accepted.

    :param chain: as PEM, and nothing else that came with it
    """

    chain: bytes
    serial: int
    not_after: datetime.datetime
    issuer: x509.Name


def check_domain(domain: str, kind: str) -> None:
    """Refuse a domain in which servers cannot have names.

    :param kind: one of :data:`NAMES`
    :raises ContextError: it is such a one
    """
    labels = domain.split('.')
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ContextError('A domain such as vm.example.org is expected '
                           'here, in small letters.')
    left = MAX_NAME - 1 - (
        _UUID_LENGTH if kind == BY_UUID else _ADDRESS_LENGTH)
    if len(domain) > left:
        raise ContextError(
            f'The domain has {len(domain)} characters; {left} are left of '
            f'the {MAX_NAME} that a common name may have.')


def name_for(facts: Facts, kind: str, domain: str) -> str:
    """Return the name of a server, which nobody but the site chose.

    By address it is the name that Neutron gives to an address whose port
    has no ``dns_name`` (``neutron/plugins/ml2/extensions/
    dns_integration.py``, ``_get_dns_names_for_port``).

    :param kind: one of :data:`NAMES`
    :raises ContextError: it cannot have one
    """
    if not _UUID.fullmatch(facts.uuid):
        raise ContextError('The server has no UUID, and so no name for a '
                           'host certificate.')
    if kind == BY_UUID:
        label = facts.uuid
    else:
        label = f'host-{re.sub("[.:]", "-", _address(facts))}'
    name = f'{label}.{domain}'
    if not _LABEL.fullmatch(label) or len(name) > MAX_NAME:
        raise ContextError(
            f'{name} cannot be the name in a host certificate.',
            remedy='Write name: uuid in the section hostcert of '
                   'context.yaml, or shorten the domain.')
    return name


def check(chain: bytes, key: PublicKey, name: str, now: datetime.datetime,
          lifetime: datetime.timedelta) -> Issued:
    """Return a certificate if it is what was asked for.

    :param chain: what the signer answered
    :param key: what is certified
    :param name: the only name that it may have
    :param lifetime: for how long from now it may be valid
    :raises ContextError: it is something else; the message says what
    """
    try:
        with warnings.catch_warnings():
            # What is odd is refused or not; stderr is Nova's log.
            warnings.simplefilter('ignore')
            return _check(chain, key, name, now, lifetime)
    except ContextError:
        raise
    # cryptography reads extensions late, and throws what it likes then.
    except Exception as error:
        raise _refusal(f'cannot be read: {type(error).__name__}') from error


def _address(facts: Facts) -> str:
    address = facts.fixed_address or next(iter(facts.network.addresses), '')
    try:
        return str(ipaddress.ip_address(address.partition('/')[0]))
    except ValueError:
        raise ContextError(
            'No fixed address of the server is known, and so no name for a '
            'host certificate.',
            remedy='Write name: uuid in the section hostcert of '
                   'context.yaml.') from None


def _check(chain: bytes, key: PublicKey, name: str, now: datetime.datetime,
           lifetime: datetime.timedelta) -> Issued:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise _refusal('is no certificate in PEM') from None
    if len(certificates) > MAX_CHAIN:
        raise _refusal(f'has {len(certificates)} certificates; at most '
                       f'{MAX_CHAIN} are possible')
    first = certificates[0]
    if _encoded(first.public_key()) != _encoded(key):
        raise _refusal('is for another key')
    # RFC 5280 4.1.2.2; it is what a certificate is revoked by.
    if first.serial_number <= 0:
        raise _refusal('has no serial number')
    _check_names(first, name)
    _check_no_authority(first)
    _check_times(first, now, lifetime)
    _check_order(certificates)
    return Issued(
        b''.join(each.public_bytes(serialization.Encoding.PEM)
                 for each in certificates),
        first.serial_number, first.not_valid_after_utc, first.issuer)


def _check_names(certificate: x509.Certificate, name: str) -> None:
    common = [attribute.value for attribute in
              certificate.subject.get_attributes_for_oid(
                  NameOID.COMMON_NAME)]
    if common != [name]:
        raise _refusal(f'has another common name than {name}')
    try:
        names = list(certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if names != [x509.DNSName(name)]:
        raise _refusal(f'has other alternative names than {name} alone')


def _check_no_authority(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        value = extension.value
        if (isinstance(value, x509.BasicConstraints) and value.ca) or (
                isinstance(value, x509.KeyUsage) and value.key_cert_sign):
            raise _refusal('is that of a CA')


def _check_times(certificate: x509.Certificate, now: datetime.datetime,
                 lifetime: datetime.timedelta) -> None:
    if certificate.not_valid_before_utc > now + SKEW:
        raise _refusal('is not valid yet')
    if certificate.not_valid_after_utc <= now:
        raise _refusal('has expired')
    if certificate.not_valid_after_utc > now + lifetime + SKEW:
        raise _refusal(
            f'is valid for longer than the {lifetime // _HOUR} hours of '
            f'lifetime in context.yaml')


def _check_order(certificates: list[x509.Certificate]) -> None:
    """Refuse a chain that clients could not follow (RFC 8446 4.4.2)."""
    for below, above in itertools.pairwise(certificates):
        try:
            below.verify_directly_issued_by(above)
        except Exception:
            raise _refusal('is followed by a certificate that did not sign '
                           'the one before it') from None


def _encoded(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _refusal(what: str) -> ContextError:
    return ContextError(f'What the signer of host certificates gave {what}.',
                        remedy=_SIGNER)
