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

"""Uploads by a plain user, through the command ``openstack``."""

from collections.abc import Callable
import datetime
import os
import pathlib

import pytest

from tests.testbed import pki
from tests.testbed.site import entry
from tests.testbed.stack import Stack
from tests.testbed.user import User

Files = Callable[[str, bytes], pathlib.Path]


def test_an_endorsed_image_becomes_active(
        stack: Stack, alice: User, files: Files) -> None:
    data = os.urandom(5000)
    made = alice.create_image(
        files('endorsed.raw', data), stack.site.endorse(data))
    assert made.status == 0, made.err
    assert (made.json['status'], made.json['properties'][
        'os_hash_value']) == ('active', entry(data).sha512)
    shown = alice.run('image endorsement show', made.json['id'],
                      '-c', 'state', '-f', 'value')
    assert shown.out.strip() == 'endorsed'


def refusal(stack: Stack, kind: str, data: bytes) -> tuple[str, str, str]:
    """Return an endorsement that does not do, the code, and words for it."""
    past = pki.utcnow() - datetime.timedelta(hours=1)
    return {
        'unendorsed': ('', 'not-endorsed', 'Nobody whom this site trusts'),
        'tampered': (
            stack.site.endorse(data[:-1] + bytes([data[-1] ^ 1])),
            'checksum-mismatch', 'The data has the SHA-512 '),
        'expired': (
            stack.site.endorse(data, expires=past), 'image-expired',
            'expired')}[kind]


@pytest.mark.parametrize('kind', ['unendorsed', 'tampered', 'expired'])
def test_what_is_refused_is_refused_readably(
        stack: Stack, alice: User, files: Files, kind: str) -> None:
    data = os.urandom(5000)
    endorsement, code, words = refusal(stack, kind, data)
    path = files(f'{kind}.raw', data)
    refused = alice.create_image(path, endorsement)
    assert refused.status == 1
    assert f'[{code}]' in refused.err
    assert words in refused.err
    assert 'Traceback' not in refused.err
    assert '<' not in refused.err  # no page for a browser
    assert [*alice.sdk.image.images(name=kind)] == []
