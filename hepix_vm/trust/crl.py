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

"""Certificate revocation lists of a folder of trust anchors.

A list counts for a CA if the CA's own key signed it and if it is a plain
one: neither a delta nor an indirect one, nor one that says something
critical that is not known here. A list that does not count never hides
one that does. SHA-1 is accepted under CRLs, although not under
certificates: CAs of the IGTF still use it, a forger would need a second
preimage since hardly anything in a CRL is of his choosing, and to refuse
it would only mean to know of fewer revocations.
"""

from collections.abc import Iterable
import dataclasses
import datetime
import enum

from cryptography.exceptions import InvalidSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric import types
from cryptography.hazmat.primitives import hashes
from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.trust.certificate import Certificate
from hepix_vm.trust.certificate import STRONG_DIGESTS
from hepix_vm.trust.certificate import unwrap
from hepix_vm.trust.verdict import Reason

_DIGESTS = STRONG_DIGESTS | {'sha1', 'sha224', ''}


class CrlPolicy(enum.StrEnum):
    """Whether the CAs on a path need a CRL."""

    REQUIRE = 'require'
    IF_PRESENT = 'if-present'
    IGNORE = 'ignore'


@dataclasses.dataclass(frozen=True, eq=False)
class Crl:
    """A revocation list as it was read; its signature is not yet judged.

    :param digest: name of its signature's hash; empty for Ed25519, Ed448
    """

    raw: x509.CertificateRevocationList
    issuer: x509.Name
    last_update: datetime.datetime
    next_update: datetime.datetime | None
    digest: str
    extensions: x509.Extensions

    @classmethod
    def parse(cls, der: bytes) -> 'Crl':
        """Read a CRL.

        :raises MalformedError: when it is not one
        """
        try:
            raw = x509.load_der_x509_crl(der)
            digest = raw.signature_hash_algorithm
            return cls(raw, raw.issuer, raw.last_update_utc,
                       raw.next_update_utc, digest.name if digest else '',
                       raw.extensions)
        except Exception as error:
            # What cryptography throws at hostile input has no common base.
            raise MalformedError(
                f'It is not a CRL that can be read: {error}.') from error

    def signed_by(self, issuer: Certificate) -> bool:
        """Return whether the issuer's key signed it, and may do so."""
        usage = issuer.extension(x509.KeyUsage)
        if usage is not None and not usage.crl_sign:
            return False
        try:
            return self.digest in _DIGESTS and self._verified(issuer.key)
        except (InvalidSignature, TypeError, UnsupportedAlgorithm,
                ValueError):
            return False

    def _verified(self, key: types.CertificatePublicKeyTypes) -> bool:
        digest = self.raw.signature_hash_algorithm
        if isinstance(digest, hashes.SHA1):
            # is_signature_valid says False to any SHA-1.
            if not isinstance(key, rsa.RSAPublicKey):
                return False
            key.verify(self.raw.signature, self.raw.tbs_certlist_bytes,
                       padding.PKCS1v15(), digest)
            return True
        return self.raw.is_signature_valid(
            key)  # type: ignore[arg-type]  # a TypeError if so

    def covers(self, certificate: Certificate) -> bool:
        """Return whether it would list this certificate if revoked."""
        return all(
            self._scope_covers(e.value, certificate)
            if isinstance(e.value, x509.IssuingDistributionPoint)
            else not e.critical for e in self.extensions)

    @staticmethod
    def _scope_covers(scope: x509.IssuingDistributionPoint,
                      certificate: Certificate) -> bool:
        if (scope.indirect_crl or scope.only_some_reasons
                or scope.only_contains_attribute_certs
                or scope.relative_name
                or scope.only_contains_user_certs and certificate.is_ca
                or scope.only_contains_ca_certs and not certificate.is_ca):
            return False
        points = certificate.extension(x509.CRLDistributionPoints)
        return not scope.full_name or any(
            name in scope.full_name for point in points or ()
            for name in point.full_name or ())


def read(data: bytes) -> tuple[Crl, ...]:
    """Read the CRLs of a file, PEM or DER.

    :raises MalformedError: when there is none, or one that is broken
    """
    return tuple(Crl.parse(der) for der in unwrap(data, b'X509 CRL'))


class CrlStore:
    """All CRLs of a folder.

    :param broken: CAs whose CRL file cannot be read; they are known to
        have a CRL, but not what it says
    """

    def __init__(self, crls: Iterable[Crl],
                 broken: Iterable[x509.Name] = ()) -> None:
        self._by_issuer: dict[x509.Name, list[Crl]] = {}
        for crl in crls:
            self._by_issuer.setdefault(crl.issuer, []).append(crl)
        self._broken = frozenset(broken)
        # Signatures that were judged, by CRL and issuer. Threads that do
        # the same at once write the same.
        self._judged: dict[tuple[int, bytes], bool] = {}

    def reasons(self, certificate: Certificate, issuer: Certificate,
                at: datetime.datetime, policy: CrlPolicy) -> list[Reason]:
        """Return what CRLs have against a certificate.

        :param issuer: who signed it
        :param at: the time to judge for, UTC
        :returns: CRL_MISSING, CRL_EXPIRED, SIGNER_REVOKED
        """
        if policy == CrlPolicy.IGNORE:
            return []
        known = self._by_issuer.get(issuer.subject, [])
        if (policy == CrlPolicy.IF_PRESENT and not known
                and issuer.subject not in self._broken):
            return []
        usable = [crl for crl in known if crl.last_update <= at
                  and crl.covers(certificate) and self._signed(crl, issuer)]
        return (_currency(usable, known, issuer, at)
                + _revocation(usable, certificate))

    def due(self, issuer: Certificate,
            certificate: Certificate | None = None,
            ) -> datetime.datetime | None:
        """Return until when a CA's newest CRL is current.

        :param certificate: of which it has to speak, if it matters
        :returns: UTC; None if there is none that can be relied upon
        """
        return max((crl.next_update or crl.last_update
                    for crl in self._by_issuer.get(issuer.subject, [])
                    if (certificate is None or crl.covers(certificate))
                    and self._signed(crl, issuer)), default=None)

    def _signed(self, crl: Crl, issuer: Certificate) -> bool:
        key = id(crl), issuer.der_hash
        if key not in self._judged:
            self._judged[key] = crl.signed_by(issuer)
        return self._judged[key]


def _currency(usable: list[Crl], known: list[Crl], issuer: Certificate,
              at: datetime.datetime) -> list[Reason]:
    if not usable:
        return [Reason(Code.CRL_MISSING, (
            f'No CRL of {issuer.dn} that is there can be relied upon.'
            if known else f'There is no CRL of {issuer.dn}.'))]
    newest = max(usable, key=lambda crl: crl.last_update)
    # One that does not say when the next is due is never current.
    due = newest.next_update or newest.last_update
    if due < at:
        return [Reason(Code.CRL_EXPIRED,
                       f'The CRL of {issuer.dn} expired at '
                       f'{due:%Y-%m-%dT%H:%M:%SZ}.', due)]
    return []


def _revocation(usable: list[Crl], certificate: Certificate) -> list[Reason]:
    """Any list counts, also an old one: nothing is ever un-revoked."""
    for crl in usable if certificate.serial >= 0 else ():
        entry = crl.raw.get_revoked_certificate_by_serial_number(
            certificate.serial)
        if entry is not None:
            since = entry.revocation_date_utc
            return [Reason(Code.SIGNER_REVOKED,
                           f'The certificate {certificate.dn} was revoked at '
                           f'{since:%Y-%m-%dT%H:%M:%SZ}.', since)]
    return []
