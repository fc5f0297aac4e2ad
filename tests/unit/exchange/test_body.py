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
"""What is sent to Glance, as who sends it asks for it."""

import hashlib

import pytest
import requests

from hepix_vm.errors import Code
from hepix_vm.exchange.body import Body
from hepix_vm.exchange.body import Refused

PIECES = b'one', b'two', b'three'
BYTES = b''.join(PIECES)


def body(pieces=PIECES, size=len(BYTES), data=BYTES):
    return Body(iter(pieces), size, hashlib.sha512(data).hexdigest(),
                lambda count: None)


def test_its_length_is_sent():
    # By it Glance knows that it got the whole.
    asked = requests.Request('PUT', 'http://h/', data=body()).prepare()
    assert asked.headers['Content-Length'] == str(len(BYTES))
    assert 'Transfer-Encoding' not in asked.headers
    assert asked.body.read() == b'one'


def test_it_says_where_it_is():
    sent = body()
    assert (sent.read(2), sent.tell()) == (b'on', 2)
    assert (sent.read(2), sent.tell()) == (b'e', 3)
    assert b''.join(iter(sent.read, b'')) == b'twothree'
    assert sent.tell() == len(BYTES)


@pytest.mark.parametrize(('changes', 'code'), [
    ({'pieces': PIECES[:2]}, Code.SIZE_MISMATCH),
    ({'size': 5}, Code.SIZE_MISMATCH),
    ({'data': b'other'}, Code.CHECKSUM_MISMATCH)])
def test_the_last_bytes_of_what_is_not_endorsed_are_kept_back(changes, code):
    sent = body(**changes)
    got = []
    with pytest.raises(Refused) as caught:
        got.extend(iter(sent.read, b''))
    assert caught.value.code is code
    assert b''.join(got) in BYTES[:-1]
