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

"""Distinguished names as OpenSSL writes them in one line.

A one-line name cannot be parsed: ``/CN=host/x`` holds a slash and
``/CN=a/CN=b`` may be one attribute or two. So nothing here reads such a
text; certificates are formatted and the texts compared. For the same
reason an endorser is always pinned by name *and* CA.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import itertools
import re
from typing import NamedTuple

from asn1crypto import parser
from cryptography import x509

# Short names of OpenSSL's object table (crypto/objects/objects.txt); an
# attribute that is not here is written as its dotted OID, as OpenSSL
# writes those that it does not know.
_SHORT_NAMES: Mapping[str, str] = {
    '2.5.4.3': 'CN',
    '2.5.4.4': 'SN',
    '2.5.4.5': 'serialNumber',
    '2.5.4.6': 'C',
    '2.5.4.7': 'L',
    '2.5.4.8': 'ST',
    '2.5.4.9': 'street',
    '2.5.4.10': 'O',
    '2.5.4.11': 'OU',
    '2.5.4.12': 'title',
    '2.5.4.13': 'description',
    '2.5.4.15': 'businessCategory',
    '2.5.4.16': 'postalAddress',
    '2.5.4.17': 'postalCode',
    '2.5.4.18': 'postOfficeBox',
    '2.5.4.20': 'telephoneNumber',
    '2.5.4.41': 'name',
    '2.5.4.42': 'GN',
    '2.5.4.43': 'initials',
    '2.5.4.44': 'generationQualifier',
    '2.5.4.45': 'x500UniqueIdentifier',
    '2.5.4.46': 'dnQualifier',
    '2.5.4.65': 'pseudonym',
    '2.5.4.72': 'role',
    '2.5.4.97': 'organizationIdentifier',
    '0.9.2342.19200300.100.1.1': 'UID',
    '0.9.2342.19200300.100.1.3': 'mail',
    '0.9.2342.19200300.100.1.25': 'DC',
    '1.2.840.113549.1.9.1': 'emailAddress',
    '1.2.840.113549.1.9.2': 'unstructuredName',
    '1.2.840.113549.1.9.8': 'unstructuredAddress',
    '1.3.6.1.4.1.311.60.2.1.1': 'jurisdictionL',
    '1.3.6.1.4.1.311.60.2.1.2': 'jurisdictionST',
    '1.3.6.1.4.1.311.60.2.1.3': 'jurisdictionC',
}
_BIT_STRING = 3
# Names whose spellings are remembered: the same few endorsers are met again
# for each image. They are told apart by their encoding too, which equal
# names need not share.
_KEPT = 64
_ESCAPED = re.compile(r'\\x([0-9A-F]{2})')
_LABELS: Mapping[str, str] = {
    '/(Email|E)=': '/emailAddress=', '/USERID=': '/UID='}
_LIKE_AN_ATTRIBUTE = re.compile(r'[/+][\w.]+=')


class _Attribute(NamedTuple):
    """An attribute and what comes before it."""

    separator: str
    label: str
    ascii: str
    text: str


def one_line(name: x509.Name) -> str:
    """Return a name as ``openssl x509 -subject -nameopt compat`` does.

    This is X509_NAME_oneline of OpenSSL 3: bytes outside printable ASCII
    are written as ``\\xC3``, and ``/`` and ``+`` inside of a value as
    ``\\/`` and ``\\+``, which older ones did not do.

    :param name: subject or issuer of a certificate
    :returns: such as ``/C=EU/O=Example Grid/CN=Alice Endorser``
    :raises ValueError: for a name that cannot be encoded
    """
    return next(_spell(_attributes(name)))


def spellings(name: x509.Name) -> frozenset[str]:
    """Return every way in which people and other tools write a name.

    OpenSSL before 3.0 and Globus write ``/CN=host/example.org`` where
    OpenSSL 3 writes ``/CN=host\\/example.org``; old Globus writes
    ``Email`` or ``E`` and ``USERID`` where OpenSSL writes
    ``emailAddress`` and ``UID``; people write UTF-8 where OpenSSL writes
    ``\\xC3\\x9C``. Some of them may be spellings of another name as
    well: they serve to forbid, never to permit.

    :param name: subject or issuer of a certificate
    :raises ValueError: for a name that cannot be encoded
    """
    return _spellings(name.public_bytes(), name)


@functools.lru_cache(_KEPT)
def _spellings(encoded: bytes, name: x509.Name) -> frozenset[str]:
    return frozenset(_spell(_attributes(name)))


def unmistakable(name: x509.Name) -> frozenset[str]:
    """Return the spellings that are of no other name.

    Without escapes, ``/O=x/CN=Alice`` may be two attributes or one, and
    ``/CN=Alice/UID=a`` two names or one of two parts. Two encodings of one
    text look alike as text, and two texts as bytes. A backslash in a value
    looks like an escape, so that such a name has no spelling at all.

    :param name: subject or issuer of a certificate
    :raises ValueError: for a name that cannot be encoded
    """
    return _unmistakable(name.public_bytes(), name)


@functools.lru_cache(_KEPT)
def _unmistakable(encoded: bytes, name: x509.Name) -> frozenset[str]:
    attributes = _attributes(name)
    if any('\\' in a.text for a in attributes):
        return frozenset()
    plain = not any(
        a.separator == '+' or _LIKE_AN_ATTRIBUTE.search(a.text)
        for a in attributes)
    own_bytes = all(a.ascii in map(_printable, (
        a.text.encode(), a.text.encode('latin-1', 'replace')))
        for a in attributes)
    return frozenset(_spell(
        attributes, (True, False) if plain else (True,),
        (True, False) if own_bytes else (False,)))


def same(name: x509.Name, dn: str) -> bool:
    """Return whether a text that somebody wrote is this name.

    Nothing may differ but what :func:`unmistakable` says; letter case and
    order count.

    :param name: subject or issuer of a certificate
    :param dn: the text, which is never parsed
    :raises ValueError: for a name that cannot be encoded
    """
    return dn in unmistakable(name)


def alike(one: str, other: str) -> bool:
    """Return whether two texts may be spellings of one name.

    Where there is no certificate any more that could be spelled, what
    differs only as in :func:`spellings` is taken for the same: it serves to
    forbid, never to permit.
    """
    return _leveled(one) == _leveled(other)


def _leveled(dn: str) -> str:
    """Return a name without what its writers do differently."""
    raw = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), dn)
    # What fails was text already, or in Latin-1.
    with contextlib.suppress(ValueError):
        raw = raw.encode('latin-1').decode()
    raw = raw.replace('\\/', '/').replace('\\+', '/').replace('+', '/')
    for pattern, label in _LABELS.items():
        raw = re.sub(pattern, label, raw)
    return raw


def _attributes(name: x509.Name) -> list[_Attribute]:
    return [
        _Attribute('+' if position else '/', _SHORT_NAMES.get(
            a.oid.dotted_string, a.oid.dotted_string), _in_ascii(a),
            a.value if isinstance(a.value, str) else _in_ascii(a))
        for rdn in name.rdns for position, a in enumerate(rdn)]


def _spell(attributes: Sequence[_Attribute],
           escapes: Sequence[bool] = (True, False),
           encodings: Sequence[bool] = (True, False)) -> Iterator[str]:
    """Yield each spelling; OpenSSL 3's own comes first."""
    for escape, in_ascii, email, uid in itertools.product(
            escapes, encodings, ('emailAddress', 'Email', 'E'),
            ('UID', 'USERID')):
        labels = {'emailAddress': email, 'UID': uid}
        text = ''
        for a in attributes:
            value = a.ascii if in_ascii else a.text
            if escape:
                value = value.replace('/', '\\/').replace('+', '\\+')
            text += (f'{a.separator if escape else "/"}'
                     f'{labels.get(a.label, a.label)}={value}')
        yield text


def _in_ascii(attribute: 'x509.NameAttribute[str | bytes]') -> str:
    """Return the bytes of the certificate, whatever their string type."""
    # Name > RDN > attribute > type, value: cryptography gives the decoded
    # text only, and OpenSSL writes the bytes as they are encoded.
    body = x509.Name([attribute]).public_bytes()
    for _ in range(3):
        body = parser.parse(body)[4]
    _, _, tag, _, value, _ = parser.parse(body[parser.peek(body):])
    if tag == _BIT_STRING:
        value = value[1:]  # the count of unused bits
    return _printable(value)


def _printable(value: bytes) -> str:
    return ''.join(
        chr(b) if 0x20 <= b <= 0x7e else f'\\x{b:02X}' for b in value)
