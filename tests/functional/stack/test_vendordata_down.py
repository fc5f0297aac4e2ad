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

"""Servers that are made while the vendordata service is stopped."""

from collections.abc import Iterator
import contextlib
import re

import pytest

from tests.testbed.site import ALICE
from tests.testbed.stack import Stack
from tests.testbed.user import User


@pytest.fixture
def stopped(stack: Stack) -> Iterator[None]:
    """The service is stopped, and runs again afterwards."""
    stack.vendordata.stop()
    try:
        yield
    finally:
        stack.vendordata.start()


@contextlib.contextmanager
def not_fatal(stack: Stack) -> Iterator[None]:
    """Nova takes an answer that does not come for an empty one."""
    name = 'vendordata_dynamic_failure_fatal'
    stack.compute.configure({'api': {name: 'false'}})
    try:
        yield
    finally:
        stack.compute.configure({'api': {name: 'true'}})


def test_no_server_starts_where_it_is_fatal(
        stopped: None, stack: Stack, alice: User, image: str) -> None:
    log = stack.compute.compute.log
    begun = log.stat().st_size
    server = alice.settled(alice.begin(image))
    assert server.status == 'ERROR'
    # The user reads that no host took it, the operator why.
    assert 'Traceback' not in server.fault['message']
    with log.open() as file:
        file.seek(begun)
        said = file.read()
    assert re.search(
        rf'\[instance: {server.id}\] Error from dynamic vendordata service '
        rf'hepix_vm at {stack.vendordata.url}/.*Connection refused', said)
    alice.delete(server)
    stack.vendordata.start()
    again = alice.boot(image)
    assert f'endorsed for vo.example.org by {ALICE}' in alice.console(again)
    alice.delete(again)


def test_where_it_is_not_fatal_only_the_image_is_not_known(
        stopped: None, stack: Stack, alice: User, image: str) -> None:
    with not_fatal(stack):
        server = alice.boot(image)
    console = alice.console(server)
    assert f'Example Site welcomes {server.id}' in console
    assert f'{server.name} is ready' in console
    assert 'endorsed for' not in console
    alice.delete(server)
