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

"""What RFC 5280 asks of the certificates of a path, link by link."""

from collections.abc import Iterator
from collections.abc import Sequence
import datetime

from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.trust.certificate import Certificate
from hepix_vm.trust import name_constraints
from hepix_vm.trust.verdict import Reason

# By OpenSSL's names; anything else is given as an OID.
PURPOSES = {
    'serverAuth': '1.3.6.1.5.5.7.3.1', 'clientAuth': '1.3.6.1.5.5.7.3.2',
    'codeSigning': '1.3.6.1.5.5.7.3.3',
    'emailProtection': '1.3.6.1.5.5.7.3.4',
    'timeStamping': '1.3.6.1.5.5.7.3.8',
}
_ANY_PURPOSE = '2.5.29.37.0'

# Extensions that are judged, or that restrict nothing which matters here.
_KNOWN = (
    x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName, x509.IssuerAlternativeName,
    x509.CertificatePolicies, x509.NameConstraints,
    x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier,
    x509.CRLDistributionPoints, x509.AuthorityInformationAccess,
)
_NETSCAPE_TYPE = '2.16.840.1.113730.1.1'
# RFC 3820: a proxy speaks for its owner, but is not the owner.
_PROXY = {'1.3.6.1.5.5.7.1.14', '1.3.6.1.4.1.3536.1.222'}


def signer_reasons(signer: Certificate, at: datetime.datetime,
                   purposes: frozenset[str]) -> Iterator[Reason]:
    """Return what speaks against a certificate as that of a signer.

    :param purposes: extended key usages that are accepted
    """
    if at > signer.not_after:
        yield Reason(Code.SIGNER_EXPIRED, f'The certificate {signer.dn} '
                     f'expired at {_time(signer.not_after)}.',
                     signer.not_after)
    if at < signer.not_before:
        yield Reason(Code.SIGNER_EXPIRED, f'The certificate {signer.dn} is '
                     f'valid from {_time(signer.not_before)} on only.')
    usage = signer.extension(x509.KeyUsage)
    if usage and not (usage.digital_signature or usage.content_commitment):
        yield _untrusted(signer, 'is not meant for signatures')
    extended = signer.extension(x509.ExtendedKeyUsage)
    if extended and not {oid.dotted_string for oid in extended} & (
            {PURPOSES.get(name, name) for name in purposes}
            | {_ANY_PURPOSE}):
        yield _untrusted(signer, 'is not meant for any purpose that this '
                         'site accepts of endorsers')
    if any(e.oid.dotted_string in _PROXY for e in signer.extensions):
        yield _untrusted(signer, 'is a proxy certificate')
    yield from _common(signer)


def ca_reasons(path: Sequence[Certificate],
               at: datetime.datetime) -> Iterator[Reason]:
    """Return what speaks against the CAs of a path.

    :param path: from the signer to the root
    """
    for depth, ca in enumerate(path[1:], 1):
        if not ca.is_ca:
            yield _untrusted(ca, 'is not that of a CA')
        usage = ca.extension(x509.KeyUsage)
        if usage and not usage.key_cert_sign:
            yield _untrusted(ca, 'may not issue certificates')
        if not ca.valid_at(at):
            yield _untrusted(ca, f'is valid from {_time(ca.not_before)} to '
                             f'{_time(ca.not_after)} only')
        basic = ca.extension(x509.BasicConstraints)
        between = sum(not each.self_issued for each in path[1:depth])
        if basic and basic.path_length is not None and (
                between > basic.path_length):
            yield _untrusted(ca, f'allows only {basic.path_length} CAs '
                             f'below it')
        constraints = ca.extension(x509.NameConstraints)
        for below in path[:depth]:
            wrong = constraints and name_constraints.violation(
                constraints, below)
            if wrong is not None:
                yield _untrusted(ca, f'does not allow the name {wrong} '
                                 f'below it')
        if ca is not path[-1]:
            yield from _common(ca)
        else:
            yield from _unknown(ca)


def _common(found: Certificate) -> Iterator[Reason]:
    """Judge what is asked of every certificate but a root's."""
    if not found.strong_digest:
        yield _untrusted(found, f'is signed with {found.digest}, which can '
                         f'be forged')
    if found.serial < 0:
        # No CRL can list it, since cryptography does not look it up.
        yield _untrusted(found, 'has a negative serial number')
    if not found.strong_key:
        yield _untrusted(found, 'has a key that is too weak')
    yield from _unknown(found)


def _unknown(found: Certificate) -> Iterator[Reason]:
    """Refuse what is critical and not understood (RFC 5280, 4.2)."""
    for extension in found.extensions:
        oid = extension.oid.dotted_string
        if (extension.critical and oid != _NETSCAPE_TYPE
                and oid not in _PROXY
                and not isinstance(extension.value, _KNOWN)):
            yield _untrusted(found, f'has a critical extension {oid}, '
                             f'which is not known here')


def _untrusted(found: Certificate, why: str) -> Reason:
    return Reason(Code.UNTRUSTED_CA, f'The certificate {found.dn} {why}.')


def _time(time: datetime.datetime) -> str:
    return f'{time:%Y-%m-%dT%H:%M:%SZ}'
