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

"""The MIME of S/MIME: one tiny, strict reader, and the writer.

Only what image lists need (RFC 8551 section 3.5, RFC 2046 section 5.1):
``multipart/signed`` of two parts, whose first one is the text itself
without headers of its own, and ``application/pkcs7-mime``. Whatever two
readers might read in two ways is refused.
"""

import base64
import hashlib
import re

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError

_MAX_HEADER = 64 * 1024
_HEADER_END = re.compile(rb'\r?\n\r?\n')
_FIELD = re.compile(rb'[A-Za-z0-9-]+:')
_NAME_VALUE = re.compile(r'([!-9;-~]+):(.*)')
_TYPE = re.compile(r'([A-Za-z]+/[A-Za-z0-9.+-]+)[ \t]*')
_PARAMETER = re.compile(
    r';[ \t]*([A-Za-z0-9-]+)[ \t]*=[ \t]*'
    r'(?:"([^"\\]*)"|([^\s"(),/:;<=>?@\[\\\]]+))[ \t]*')
_BOUNDARY = re.compile(
    r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE_END = re.compile(rb'[ \t]*(?:\r?\n|\Z)')
_PART_HEADER = re.compile(rb'\s*[A-Za-z][A-Za-z0-9-]*[ \t]*:')
_WHITE = b' \t\r\n'

_SIGNATURES = ('application/pkcs7-signature',
               'application/x-pkcs7-signature')
_OPAQUE = ('application/pkcs7-mime', 'application/x-pkcs7-mime')

Header = dict[str, list[str]]


def split(message: bytes) -> tuple[bytes | None, bytes]:
    """Take an S/MIME message apart.

    :param message: the message, lines ended by LF or CRLF
    :returns: the detached content, its lines ended by CRLF, or None if
        the content is inside; and the CMS structure
    :raises TrustError: UNSIGNED for what is no S/MIME at all
    :raises MalformedError: for S/MIME that is not as it should be
    """
    if not _FIELD.match(message):
        raise TrustError('The document is not signed.', Code.UNSIGNED)
    header, start = _read_header(message, 0, len(message))
    kind, parameters = _content_type(header)
    if kind == 'multipart/signed':
        return _split_detached(message, start, header, parameters)
    if kind in _OPAQUE:
        if parameters.get('smime-type', '').lower() != 'signed-data':
            raise MalformedError(
                'The S/MIME message is not of the type signed-data.')
        return None, _base64_body(header, message[start:])
    if kind.startswith('multipart/'):
        raise MalformedError(
            f'The message is {kind}; multipart/signed is wanted.')
    raise TrustError(f'The document ({kind or "of no type"}) is not '
                     'signed.', Code.UNSIGNED)


def canonical(text: bytes) -> bytes:
    """Return text with every line ended by CRLF, as it is signed.

    OpenSSL drops some carriage returns that end no line and keeps others,
    so that two texts would have one signature: there may be none.

    :raises MalformedError: for a CR without LF
    """
    returns = text.count(b'\r')
    pairs = text.count(b'\r\n') if returns else 0
    if returns != pairs:
        raise MalformedError('The text has a carriage return that ends '
                             'no line.')
    if returns == text.count(b'\n'):
        return text
    if returns:
        text = text.replace(b'\r\n', b'\n')
    return text.replace(b'\n', b'\r\n')


def join(content: bytes, signature: bytes) -> bytes:
    """Write a ``multipart/signed`` message as ``openssl smime`` does.

    :param content: the text, its lines ended by CRLF
    :param signature: the CMS structure in DER, signed with SHA-256
    """
    boundary = b'----' + hashlib.sha256(
        content).hexdigest()[:32].upper().encode()
    return b'\n'.join((
        b'MIME-Version: 1.0',
        b'Content-Type: multipart/signed; '
        b'protocol="application/x-pkcs7-signature"; '
        b'micalg="sha-256"; boundary="' + boundary + b'"',
        b'',
        b'This is an S/MIME signed message',
        b'',
        b'--' + boundary,
        content,
        b'--' + boundary,
        b'Content-Type: application/x-pkcs7-signature; name="smime.p7s"',
        b'Content-Transfer-Encoding: base64',
        b'Content-Disposition: attachment; filename="smime.p7s"',
        b'',
        _base64_lines(signature),
        b'--' + boundary + b'--',
        b'', b''))


def wrap(signed: bytes) -> bytes:
    """Write an opaque message as ``openssl smime -nodetach`` does.

    :param signed: the CMS structure in DER, with its content
    """
    return b'\n'.join((
        b'MIME-Version: 1.0',
        b'Content-Disposition: attachment; filename="smime.p7m"',
        b'Content-Type: application/x-pkcs7-mime; smime-type=signed-data; '
        b'name="smime.p7m"',
        b'Content-Transfer-Encoding: base64',
        b'',
        _base64_lines(signed), b''))


def decode_base64(text: bytes) -> bytes:
    """Decode base64, white space tolerated and nothing else.

    :raises ValueError: for what is not base64
    """
    return base64.b64decode(text.translate(None, _WHITE), validate=True)


def _base64_lines(data: bytes) -> bytes:
    """Encode in lines of 64, each ended by LF."""
    text = base64.b64encode(data)
    return b''.join(text[i:i + 64] + b'\n' for i in range(0, len(text), 64))


def _read_header(message: bytes, start: int, end: int) -> tuple[Header, int]:
    """Read a block of fields; return it and where the body begins."""
    found = _HEADER_END.search(message, start, min(end, start + _MAX_HEADER))
    if not found:
        raise MalformedError('The S/MIME message has no end of headers.')
    header: Header = {}
    name = ''
    block = message[start:found.start()].decode('latin-1')
    for line in block.replace('\r\n', '\n').split('\n'):
        if '\r' in line or '\0' in line:
            raise MalformedError('An S/MIME header has a stray control '
                                 'character.')
        if line[:1] in (' ', '\t') and name:
            header[name][-1] += line
            continue
        field = _NAME_VALUE.fullmatch(line)
        if not field:
            raise MalformedError('An S/MIME header line is not of the form '
                                 '"Name: value".')
        name = field[1].lower()
        header.setdefault(name, []).append(field[2])
    return header, found.end()


def _single(header: Header, name: str) -> str:
    values = header.get(name, [''])
    if len(values) != 1:
        raise MalformedError(f'The S/MIME message has two {name} headers.')
    return values[0].strip(' \t')


def _content_type(header: Header) -> tuple[str, dict[str, str]]:
    """Return the type in lower case and its parameters."""
    text = _single(header, 'content-type')
    if not text:
        return '', {}
    kind = _TYPE.match(text)
    position = kind.end() if kind else 0
    parameters: dict[str, str] = {}
    while found := _PARAMETER.match(text, position):
        name = found[1].lower()
        if name in parameters:
            raise MalformedError(f'Content-Type has two {name}.')
        parameters[name] = found[3] if found[2] is None else found[2]
        position = found.end()
    if not kind or text[position:].strip('; \t'):
        raise MalformedError('The Content-Type header cannot be read.')
    return kind[1].lower(), parameters


def _base64_body(header: Header, body: bytes) -> bytes:
    if _single(header, 'content-transfer-encoding').lower() != 'base64':
        raise MalformedError('The signature is not encoded as base64.')
    try:
        return decode_base64(body)
    except ValueError as error:
        raise MalformedError('The base64 of the signature is '
                             'broken.') from error


def _split_detached(message: bytes, start: int, header: Header,
                    parameters: dict[str, str]) -> tuple[bytes, bytes]:
    if parameters.get('protocol', '').lower() not in _SIGNATURES:
        raise MalformedError('The protocol of the signed message is not '
                             'application/pkcs7-signature.')
    if _single(header, 'content-transfer-encoding').lower() not in (
            '', '7bit', '8bit', 'binary'):
        raise MalformedError('A multipart message cannot be encoded as a '
                             'whole.')
    boundary = parameters.get('boundary', '')
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedError('The boundary of the signed message cannot '
                             'be used.')
    first, second = _two_parts(message, start, boundary.encode())
    content = message[first[0]:first[1]]
    if _PART_HEADER.match(content):
        raise MalformedError('The signed part has headers of its own; it '
                             'must be the bare image list.')
    return canonical(content), _signature(message, *second)


def _two_parts(message: bytes, start: int,
               boundary: bytes) -> tuple[tuple[int, int], ...]:
    """Return (start, end) of exactly two parts."""
    dashes = b'--' + boundary
    ends: list[int] = []    # of what lies before each delimiter
    starts: list[int] = []  # of what lies after it
    position = message.find(dashes, start)
    while position >= 0:
        last = message.startswith(b'--', position + len(dashes))
        line = _LINE_END.match(message, position + len(dashes) + 2 * last)
        if (not line or message[position - 1:position] != b'\n'
                or last is not (len(starts) == 2)):
            raise MalformedError('The signed message has not exactly two '
                                 'parts between its boundaries.')
        ends.append(position - 1
                    - (message[position - 2:position - 1] == b'\r'))
        starts.append(line.end())
        position = message.find(dashes, line.end())
    if len(starts) != 3:
        raise MalformedError('The signed message has not exactly two parts, '
                             'or it is truncated.')
    if message[starts[2]:].strip(_WHITE):
        raise MalformedError('Something follows the end of the signed '
                             'message.')
    if re.search(rb'^--', message[start:ends[0] + 1], re.MULTILINE):
        raise MalformedError('A part lies before the first boundary of the '
                             'signed message.')
    return (starts[0], ends[1]), (starts[1], ends[2])


def _signature(message: bytes, start: int, end: int) -> bytes:
    header, body = _read_header(message, start, end)
    kind, _ = _content_type(header)
    if kind not in _SIGNATURES:
        raise MalformedError('The second part is not a signature.')
    return _base64_body(header, message[body:end])
