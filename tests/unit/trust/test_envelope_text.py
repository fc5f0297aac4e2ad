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

"""Endorsements as the property of an image holds them."""

import base64

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.trust import envelope
from tests.unit.trust import make_messages as make


@pytest.fixture(scope='module')
def world() -> make.World:
    return make.World()


def test_from_text(world: make.World) -> None:
    message = make.detached(world.alice)
    text = base64.encodebytes(message).decode().replace('\n', ' \r\n\t')

    assert envelope.from_text(text, len(text)) == message


def test_from_text_too_long() -> None:
    assert envelope.from_text('MAAA', 4) == b'0\0\0'
    with pytest.raises(TrustError) as caught:
        envelope.from_text('MAAA', 3)
    assert caught.value.code is Code.TOO_LARGE


def test_from_text_as_it_is(world: make.World) -> None:
    """As a shell puts it there, which takes away the last line ends."""
    message = make.detached(world.alice)
    text = message.decode().rstrip('\n')

    assert envelope.from_text(text, len(text)) == text.encode()
    assert (envelope.verify(text.encode()).content
            == envelope.verify(message).content)


@pytest.mark.parametrize('text', [
    'M', 'MA', 'MA=', 'MA==MA==', 'M-__', 'M\u0410==', '{}',
    'M\x0bAAA', '\udc80AAA', 'MIME: \udc80'])
def test_from_text_not_base64(text: str) -> None:
    with pytest.raises(MalformedError):
        envelope.from_text(text, 99)


def test_to_text(world: make.World) -> None:
    """Whatever an endorser has in a file can be a property."""
    message = make.detached(world.alice)
    der = base64.b64decode(envelope.sign(
        b'x', world.alice.certificate, world.alice.key,
        detached=False).partition(b'\n\n')[2])
    pem = (b'-----BEGIN CMS-----\n' + base64.encodebytes(der)
           + b'-----END CMS-----\n')
    for each in (message, der, pem):
        for written in (each, base64.encodebytes(each)):
            text = envelope.to_text(written)
            assert envelope.from_text(text, len(text)) in (
                each, each.strip())


@pytest.mark.parametrize('message', [b'\xff\xd8\xff', b'', b' \n'])
def test_to_text_no_text(message: bytes) -> None:
    with pytest.raises(MalformedError):
        envelope.to_text(message)
