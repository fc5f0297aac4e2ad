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

"""Name constraints of CA certificates (RFC 5280, 4.2.1.10)."""

from typing import Any
import unicodedata

from cryptography import x509
from cryptography.x509.oid import NameOID

from hepix_vm.trust.certificate import Certificate

_JUDGED = (x509.DirectoryName, x509.RFC822Name, x509.DNSName)
_Kind = type[x509.GeneralName]


def violation(constraints: x509.NameConstraints,
              certificate: Certificate) -> str | None:
    """Return a name of a certificate that a CA above it may not use.

    Judged are directory names, e-mail addresses and host names; a name of
    any other kind that is constrained cannot be judged and is a violation.
    """
    for kind, value in _names(certificate):
        excluded = _roots(constraints.excluded_subtrees, kind)
        permitted = _roots(constraints.permitted_subtrees, kind)
        if not excluded and not permitted:
            continue
        if (kind not in _JUDGED
                or any(_within(kind, value, root) for root in excluded)
                or permitted and not any(
                    _within(kind, value, root) for root in permitted)):
            return (certificate.dn if kind is x509.DirectoryName
                    else str(value))
    return None


def _roots(subtrees: list[x509.GeneralName] | None, kind: _Kind) -> list[Any]:
    return [s.value for s in subtrees or () if isinstance(s, kind)]


def _names(certificate: Certificate) -> list[tuple[_Kind, Any]]:
    """Return all names: the subject, its addresses, the alternatives."""
    found: list[tuple[_Kind, Any]] = []
    if certificate.subject.rdns:
        found.append((x509.DirectoryName, certificate.subject))
    found += [(x509.RFC822Name, str(attribute.value)) for attribute in
              certificate.subject.get_attributes_for_oid(
                  NameOID.EMAIL_ADDRESS)]
    alternatives = certificate.extension(x509.SubjectAlternativeName)
    return found + [(type(n), n.value) for n in alternatives or ()]


def _within(kind: _Kind, value: Any, root: Any) -> bool:
    if kind is x509.DirectoryName:
        above = _canonical(root)
        return _canonical(value)[:len(above)] == above
    value, root = value.lower(), root.lower()
    if kind is x509.DNSName:
        root = root.lstrip('.')
        return not root or value == root or value.endswith('.' + root)
    if '@' in root:
        return bool(value == root)
    host = value.rpartition('@')[2]
    return bool(host.endswith(root) if root.startswith('.')
                else host == root)


def _canonical(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Return a name for comparison: case and blanks do not count."""
    return [frozenset((a.oid.dotted_string, ' '.join(unicodedata.normalize(
        'NFKC', str(a.value)).casefold().split())) for a in rdn)
        for rdn in name.rdns]
