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

"""Whatever is done to a signed message, nothing else comes out of it."""

import base64
from collections.abc import Callable
import functools

from cryptography.hazmat.primitives import serialization
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
import pytest

from hepix_vm.errors import TrustError
from hepix_vm.trust import envelope
from tests.unit.trust import make_messages as make

Edit = Callable[[bytes], bytes]
OTHER = make.TEXT.replace(b'two trailing', b'two other')


@functools.cache
def _world() -> make.World:
    return make.World()


@functools.cache
def _messages() -> dict[str, bytes]:
    """Return messages of every form; two contents, two signers."""
    world = _world()
    info = make.signer_info(world.alice, make.CRLF)
    der = make.signed_data([info], [world.alice], make.CRLF)
    plain = make.signer_info(world.alice, make.CRLF, attributes=None)
    return {
        'detached': make.detached(world.alice, world.grid),
        'crlf': make.detached(world.alice).replace(b'\n', b'\r\n'),
        'other': make.detached(world.alice, text=OTHER),
        'ec': make.detached(world.carol, text=OTHER),
        'pss': make.detached(world.alice, scheme='rsassa_pss'),
        'opaque': make.opaque(der),
        'der': der,
        'no-attributes': make.signed_data(
            [plain], [world.alice], make.CRLF),
        'ber': make.by_openssl(world.alice, '-nodetach', '-stream',
                               '-outform', 'DER'),
        'pem': make.by_openssl(world.alice, '-nodetach', '-outform', 'PEM'),
    }


@functools.cache
def _signed() -> frozenset[tuple[bytes, bytes]]:
    """Return what was signed, by whom."""
    return frozenset(
        _content_and_key(m) for m in _messages().values())


def _content_and_key(message: bytes) -> tuple[bytes, bytes]:
    signed = envelope.verify(message)
    return signed.content, signed.signer.public_key().public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)


def _check(message: bytes) -> bool:
    """Return whether it is accepted; fail if it should not be."""
    try:
        found = _content_and_key(message)
    except TrustError:
        return False
    assert found in _signed()
    return True


def _apply(changes: list[Edit], message: bytes) -> bytes:
    for change in changes:
        message = change(message) if message else message
    return message


def _at(message: bytes, where: float) -> int:
    return int(where * len(message))


where = st.floats(0, 1, exclude_max=True)


@st.composite
def flips(draw: st.DrawFn) -> Edit:
    at, mask = draw(where), draw(st.integers(1, 255))

    def edit(message: bytes) -> bytes:
        i = _at(message, at)
        return message[:i] + bytes([message[i] ^ mask]) + message[i + 1:]
    return edit


@st.composite
def insertions(draw: st.DrawFn) -> Edit:
    at = draw(where)
    text = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(
        [b'\n', b'\r', b'\r\n', b' ', b'\t', b'\0', b'--', b'\n\n',
         b'------B0UNDARY\n', b'\n------B0UNDARY\n', b'\n--',
         b'Content-Type: text/plain\n']))

    def edit(message: bytes) -> bytes:
        i = _at(message, at)
        return message[:i] + text + message[i:]
    return edit


@st.composite
def deletions(draw: st.DrawFn) -> Edit:
    at, length = draw(where), draw(st.integers(1, 200))

    def edit(message: bytes) -> bytes:
        i = _at(message, at)
        return message[:i] + message[i + length:]
    return edit


@st.composite
def repetitions(draw: st.DrawFn) -> Edit:
    at, length = draw(where), draw(st.integers(1, 12))

    def edit(message: bytes) -> bytes:
        lines = message.splitlines(keepends=True)
        i = int(at * len(lines))
        return b''.join(lines[:i + length] + lines[i:])
    return edit


@st.composite
def moves(draw: st.DrawFn) -> Edit:
    source, target = draw(where), draw(where)

    def edit(message: bytes) -> bytes:
        lines = message.splitlines(keepends=True)
        line = lines.pop(int(source * len(lines)))
        lines.insert(int(target * len(lines)), line)
        return b''.join(lines)
    return edit


@st.composite
def splices(draw: st.DrawFn) -> Edit:
    """Take a run of bytes or lines of one message into another."""
    other = draw(st.sampled_from(sorted(_messages())))
    at, start, end, length = (draw(where), draw(where), draw(where),
                              draw(st.integers(0, 40)))
    by_line = draw(st.booleans())

    def edit(message: bytes) -> bytes:
        first, second = (
            [m.splitlines(keepends=True) if by_line else
             [m[i:i + 1] for i in range(len(m))]
             for m in (message, _messages()[other])])
        low, high = sorted((start, end))
        i = int(at * len(first))
        return b''.join(
            first[:i] + second[int(low * len(second)):
                               int(high * len(second))]
            + first[i + length:])
    return edit


edits = st.lists(
    flips() | insertions() | deletions() | repetitions() | moves()
    | splices(), min_size=1, max_size=4)
names = st.sampled_from(sorted(_messages()))


@pytest.mark.parametrize('name', sorted(_messages()))
def test_unchanged_is_accepted(name: str) -> None:
    assert _check(_messages()[name])


@given(name=names, changes=edits)
def test_changed(name: str, changes: list[Edit]) -> None:
    _check(_apply(changes, _messages()[name]))


@given(changes=edits)
def test_changed_below_base64(changes: list[Edit]) -> None:
    """Reach the structure: in base64 most changes end at the decoder."""
    world = _world()
    info = make.signer_info(world.alice)
    beside = make.signed_data([info], [world.alice])
    inside = make.signed_data([info], [world.alice], make.CRLF)

    _check(make.multipart(make.TEXT, make.signature_part(
        _apply(changes, beside))))
    _check(make.opaque(_apply(changes, inside)))


@pytest.mark.parametrize('mask', [0x01, 0x80])
def test_every_byte_of_the_structure(mask: int) -> None:
    encoded = _messages()['der']
    for i, byte in enumerate(encoded):
        _check(encoded[:i] + bytes([byte ^ mask]) + encoded[i + 1:])


@given(name=st.sampled_from([
    'ber', 'crlf', 'der', 'detached', 'ec', 'no-attributes', 'pss']),
    where=where, mask=st.integers(1, 255))
def test_one_byte_of_the_content(name: str, where: float,
                                 mask: int) -> None:
    """A change inside the text is refused, not only not passed off."""
    message = _messages()[name]
    start = message.index(b'{')
    end = message.index(b'}', start)
    i = start + int(where * (end - start))

    assert not _check(message[:i] + bytes([message[i] ^ mask])
                      + message[i + 1:])


@given(message=st.binary(max_size=300) | st.text(max_size=300).map(
    lambda text: text.encode('utf-8', 'surrogatepass')))
@example(message=b'\x30\x80')
def test_anything(message: bytes) -> None:
    assert not _check(message)
    assert not _check(b'\x30\x82\x01\x2c' + message)
    assert not _check(b'Content-Type: multipart/signed; ' + message)


@given(text=st.text(max_size=100) | st.binary(max_size=60).map(
    lambda data: base64.b64encode(data).decode()))
def test_any_text_of_a_property(text: str) -> None:
    try:
        message = envelope.from_text(text, 200)
    except TrustError:
        return
    assert message == (text.encode() if ':' in text
                       else base64.b64decode(text))


@given(content=st.binary(max_size=200) | st.text(
    alphabet='{}":-a \t\r\n', max_size=60).map(str.encode))
def test_whatever_can_be_signed(content: bytes) -> None:
    world = _world()
    try:
        message = envelope.sign(content, world.carol.certificate,
                                world.carol.key)
    except TrustError:
        return
    assert envelope.verify(message).content.replace(
        b'\r\n', b'\n') == content.replace(b'\r\n', b'\n')
