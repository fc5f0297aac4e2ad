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

"""Servers that are asked for while Glance does not answer."""

from collections.abc import Iterator
import contextlib
import json
import time

import pytest

from tests.testbed.glance import free_port
from tests.testbed.stack import Stack
from tests.testbed.user import User

# More than the time-outs of the gate and of Nova together: no hang.
LIMIT = 60.0  # seconds


@contextlib.contextmanager
def stopped(stack: Stack) -> Iterator[None]:
    """Glance is stopped, and runs again afterwards."""
    stack.glance.stop()
    try:
        yield
    finally:
        stack.glance.start()


@pytest.fixture
def allowing(stack: Stack) -> Iterator[None]:
    """The gate lets pass what it cannot judge, and reaches no Glance."""
    parts = (stack.compute.api, stack.compute.scheduler)
    stack.configure({'image_endpoint': f'http://127.0.0.1:{free_port()}'},
                    on_unknown='allow')
    stack.compute.configure({}, *parts)
    try:
        yield
    finally:
        stack.configure()
        stack.compute.configure({}, *parts)


def test_refused_and_well_again_without_a_restart(
        stack: Stack, alice: User, image: str) -> None:
    with stopped(stack):
        begun = time.monotonic()
        answer = alice.try_begin(image)
        assert time.monotonic() - begun < LIMIT
    assert answer.status_code == 503, answer.text
    (_, fault), = answer.json().items()
    assert fault['code'] == 503
    assert '[unavailable]' in fault['message']
    server = alice.boot(image)
    alice.delete(server)


def test_allowed_and_journalled(
        allowing: None, stack: Stack, alice: User, image: str) -> None:
    """Nova itself reaches Glance; without it nothing could boot."""
    server = alice.boot(image)
    journal = stack.site.state / 'journal' / 'nova-api.jsonl'
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last['action'], last['allowed'], last['project']) == (
        'create', True, alice.sdk.current_project_id)
    assert [reason['code'] for reason in last['reasons']] == ['unavailable']
    alice.delete(server)
