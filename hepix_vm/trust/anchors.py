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

"""A folder of trust anchors, as the IGTF distributes them.

CA certificates, their CRLs, and what each CA may sign, under the names
that OpenSSL and Globus give them. A path is built and judged by own code,
since no library knows all that has to be judged: cryptography's verifier
knows neither CRLs nor signing policies. Building tries CAs of the folder
before certificates that came with the message, verifies every signature,
and is bounded, so that nobody can send it round in circles.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import re

from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.trust import certificate
from hepix_vm.trust.certificate import Certificate
from hepix_vm.trust import crl
from hepix_vm.trust.crl import CrlPolicy
from hepix_vm.trust import names
from hepix_vm.trust import path
from hepix_vm.trust import signing_policy
from hepix_vm.trust.verdict import Reason

_CERTIFICATE = re.compile(r'(.+)\.(?:[0-9]|pem|crt|cer)')
_CRL = re.compile(r'(.+)\.(?:r[0-9]|crl)(?:\.pem)?')
_POLICY = re.compile(r'(.+)\.(?:signing_policy|namespaces)')

# A path of the IGTF has three certificates; a message may bring any.
_MAX_DEPTH = 8
_MAX_SIGNATURES = 64


@dataclasses.dataclass(frozen=True, slots=True)
class ChainSettings:
    """What is asked of a path besides its signatures.

    :param purposes: extended key usages of which a signer's certificate
        needs one, if it names any; OpenSSL's names, or OIDs
    """

    crl_policy: CrlPolicy = CrlPolicy.REQUIRE
    purposes: frozenset[str] = frozenset({'emailProtection'})


@dataclasses.dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the folder.

    :param expires: when its certificate does, UTC; the last, where it has
        several
    :param crl_due: until when its newest CRL is current, UTC; None if
        there is none that can be relied upon
    """

    expires: datetime.datetime
    crl_due: datetime.datetime | None


class TrustAnchors:
    """The CAs of a folder; see :func:`load`.

    :param stems: names of the files of each CA, by its certificate
    :param disabled: names of CAs that are not to be trusted
    :param unreadable: one-line names of CAs of which a broken file speaks
    """

    def __init__(self, stems: Mapping[Certificate, frozenset[str]],
                 policies: Sequence[signing_policy.PolicyFile],
                 crls: crl.CrlStore, disabled: frozenset[x509.Name],
                 unreadable: frozenset[str],
                 warnings: tuple[str, ...]) -> None:
        self.warnings = warnings
        # By name: a CA that renews its certificate stays the same CA.
        self._stems: dict[x509.Name, frozenset[str]] = {}
        for ca, of in stems.items():
            self._stems[ca.subject] = of | self._stems.get(
                ca.subject, frozenset())
        self._by_subject: dict[x509.Name, list[Certificate]] = {}
        for ca in stems:
            if ca.subject not in disabled:
                self._by_subject.setdefault(ca.subject, []).append(ca)
        self._policies = policies
        self._crls = crls
        self._disabled = disabled
        self._unreadable = unreadable

    def __len__(self) -> int:
        """Return the number of CAs that are trusted."""
        return sum(map(len, self._by_subject.values()))

    def check_chain(self, signer: x509.Certificate,
                    certificates: Sequence[x509.Certificate],
                    at: datetime.datetime,
                    settings: ChainSettings) -> tuple[Reason, ...]:
        """Return why a signer is not to be trusted; nothing if he is.

        RFC 5280, section 6, with a CRL for each link as
        ``openssl -crl_check_all`` asks for it, and Globus signing
        policies.

        :param certificates: what else came with the message
        :param at: the time to judge for, UTC
        """
        try:
            leaf = Certificate.of(signer)
        except MalformedError as error:
            return (Reason(Code.UNTRUSTED_CA, error.message),)
        nearest: list[Reason] | None = None
        for found in self._paths(leaf, certificates):
            reasons = self._judge(found, at, settings)
            if not reasons:
                return ()
            if nearest is None or len(reasons) < len(nearest):
                nearest = reasons
        if nearest is None:
            nearest = self._unreached(leaf, at, settings)
        return tuple(dict.fromkeys(nearest))

    def crls_due(self, signer: x509.Certificate,
                 certificates: Sequence[x509.Certificate],
                 ) -> dict[str, datetime.datetime | None]:
        """Return until when the CRLs on the way to a root are current.

        :param certificates: what else came with the message
        :returns: by the name of the CA, UTC; None where it has no CRL that
            can be relied upon. Nothing if no root leads to the signer
        """
        try:
            leaf = Certificate.of(signer)
        except MalformedError:
            return {}
        found = next(self._paths(leaf, certificates), ())
        return {issuer.dn: self._crls.due(issuer, below)
                for below, issuer in _links(found)}

    def authority(self, dn: str) -> Authority | None:
        """Return what is known of a CA, if it is trusted here.

        :param dn: as a site pins it
        """
        found = [ca for subject, of in self._by_subject.items()
                 if names.same(subject, dn) for ca in of]
        if not found:
            return None
        due = [end for ca in found if (end := self._crls.due(ca))]
        return Authority(max(ca.not_after for ca in found),
                         max(due, default=None))

    @staticmethod
    def _unreached(leaf: Certificate, at: datetime.datetime,
                   settings: ChainSettings) -> list[Reason]:
        """Return what is wrong with a signer that no root leads to."""
        reasons = list(path.signer_reasons(leaf, at, settings.purposes))
        if leaf.strong_digest:
            # Else the signature was not even looked at.
            reasons.insert(0, Reason(
                Code.UNTRUSTED_CA, f'No trusted CA issued the certificate '
                f'{leaf.dn} (its issuer is '
                f'{names.one_line(leaf.issuer)}).'))
        return reasons

    def _paths(self, leaf: Certificate,
               certificates: Sequence[x509.Certificate],
               ) -> Iterator[tuple[Certificate, ...]]:
        """Yield paths from the signer to a root of the folder."""
        brought: dict[x509.Name, list[Certificate]] = {}
        for raw in certificates[:_MAX_SIGNATURES]:
            try:
                other = Certificate.of(raw)
            except MalformedError:
                continue  # it cannot help to reach a root
            if other.subject not in self._disabled and not (
                    self._unreadable & names.spellings(other.subject)):
                brought.setdefault(other.subject, []).append(other)
        left = _MAX_SIGNATURES
        stack: list[tuple[Certificate, ...]] = [(leaf,)]
        while stack:
            so_far = stack.pop()
            last = so_far[-1]
            if self._is_root(last):
                yield so_far
                continue
            candidates = [*brought.get(last.issuer, ()),
                          *self._by_subject.get(last.issuer, ())]
            # The last on the stack is the first that is followed.
            for issuer in candidates:
                if len(so_far) == _MAX_DEPTH or issuer in so_far:
                    continue
                left -= 1
                if left < 0:
                    return
                if last.signed_by(issuer):
                    stack.append((*so_far, issuer))

    def _is_root(self, found: Certificate) -> bool:
        return found.self_issued and any(
            found.der_hash == ca.der_hash
            for ca in self._by_subject.get(found.subject, ()))

    def _judge(self, found: tuple[Certificate, ...], at: datetime.datetime,
               settings: ChainSettings) -> list[Reason]:
        reasons = [*path.signer_reasons(found[0], at, settings.purposes),
                   *path.ca_reasons(found, at)]
        for below, issuer in _links(found):
            for reason in self._crls.reasons(below, issuer, at,
                                             settings.crl_policy):
                if below is not found[0] and (
                        reason.code is Code.SIGNER_REVOKED):
                    reason = dataclasses.replace(
                        reason, code=Code.UNTRUSTED_CA)
                reasons.append(reason)
            if below is not issuer and not self._permits(issuer, below):
                reasons.append(Reason(
                    Code.SIGNING_POLICY, f'The signing policy of '
                    f'{issuer.dn} does not let it issue {below.dn}.'))
        return reasons

    def _permits(self, issuer: Certificate, below: Certificate) -> bool:
        """Return whether every file that speaks of a CA permits."""
        stems = self._stems.get(issuer.subject, frozenset())
        spellings = names.spellings(issuer.subject)
        spoken = [file.about(spellings, stems)
                  for file in self._policies]
        return all(signing_policy.permits(rules, below.subject)
                   for rules in spoken if rules)


def _links(found: tuple[Certificate, ...],
           ) -> list[tuple[Certificate, Certificate]]:
    """Return each certificate of a path with its issuer.

    A signer that is an anchor itself has to publish that it is good.
    """
    return list(zip(found, found[1:], strict=False)) or [
        (only, only) for only in found]


def load(files: Mapping[str, bytes]) -> TrustAnchors:
    """Read a folder of trust anchors.

    A file that is broken disables the CA that it belongs to, with a
    warning, and never the others.

    :param files: content by file name; what has no name of the kinds that
        are read is left out
    """
    return _Folder(files).anchors()


class _Folder:
    """Reads the files of a folder, and gathers what is wrong."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._warnings: list[str] = []

    def anchors(self) -> TrustAnchors:
        stems: dict[Certificate, frozenset[str]] = {}
        by_hash: dict[bytes, Certificate] = {}
        for name, of, data in self._alike(_CERTIFICATE):
            for ca in self._certificates(name, data):
                known = by_hash.setdefault(ca.der_hash, ca)
                stems[known] = stems.get(known, frozenset()) | of
        policies, disabled, unreadable = self._policies(stems)
        crls = self._crls(stems)
        return TrustAnchors(stems, policies, crls, frozenset(disabled),
                            frozenset(unreadable), tuple(self._warnings))

    def _alike(self, pattern: re.Pattern[str],
               ) -> list[tuple[str, frozenset[str], bytes]]:
        """Return each content once: a name, all its stems, the content."""
        by_content: dict[tuple[str, bytes], tuple[str, set[str]]] = {}
        for name, data in sorted(self._files.items()):
            match = pattern.fullmatch(name)
            if match:
                kind = name.rpartition('.')[2] if pattern is _POLICY else ''
                by_content.setdefault((kind, data), (name, set()))[1].add(
                    match[1])
        return [(name, frozenset(stems), data)
                for (_, data), (name, stems) in by_content.items()]

    def _certificates(self, name: str,
                      data: bytes) -> tuple[Certificate, ...]:
        try:
            return certificate.read_folder_file(data)
        except MalformedError as error:
            self._warn(name, error)
            return ()

    def _policies(self, stems: Mapping[Certificate, frozenset[str]],
                  ) -> tuple[list[signing_policy.PolicyFile],
                             set[x509.Name], set[str]]:
        policies = []
        disabled: set[x509.Name] = set()
        unreadable: set[str] = set()
        for name, of, data in self._alike(_POLICY):
            try:
                policy = signing_policy.parse(name, of, data)
            except MalformedError as error:
                self._warn(name, error)
                spoken_of = signing_policy.mentioned(data)
                disabled |= {
                    ca.subject for ca, files in stems.items()
                    if files & of or names.spellings(ca.subject).intersection(
                        spoken_of)}
                unreadable |= set(spoken_of)
                continue
            policies.append(policy)
            for ca, files in stems.items():
                # Whoever put it beside a CA meant to restrict that one.
                if files & of and not policy.about(
                        names.spellings(ca.subject), files):
                    disabled.add(ca.subject)
                    self._warnings.append(
                        f'{name} does not speak of {ca.dn}, beside which it '
                        f'lies; that CA is not used')
        return policies, disabled, unreadable

    def _crls(self, stems: Mapping[Certificate, frozenset[str]],
              ) -> crl.CrlStore:
        crls: list[crl.Crl] = []
        broken: set[x509.Name] = set()
        for name, of, data in self._alike(_CRL):
            try:
                crls += crl.read(data)
            except MalformedError as error:
                self._warn(name, error)
                broken |= {ca.subject for ca, files in stems.items()
                           if files & of}
        return crl.CrlStore(crls, broken)

    def _warn(self, name: str, error: MalformedError) -> None:
        self._warnings.append(f'{name} is not used: {error}')
