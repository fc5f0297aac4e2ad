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

"""Hosts that are kept for endorsed images by Placement alone."""

from collections.abc import Iterator
import configparser
import contextlib
import os
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.testbed import cache
from tests.testbed.nova import HOST
from tests.testbed.stack import Stack
from tests.testbed.user import User

TRAIT = 'CUSTOM_HEPIX_ENDORSED'
PAGE = cache.ROOT / 'doc' / 'source' / 'admin' / 'boot.rst'
TOOL = cache.ROOT / 'devstack' / 'tools' / 'endorsed_hosts.py'


@pytest.fixture(scope='module')
def steps() -> list[str]:
    """What the page has to be written or typed, step by step."""
    section = PAGE.read_text().partition('Without code: ')[2]
    return [textwrap.dedent(block) for block in re.findall(
        r'::\n\n((?:       .*\n|\n)+)', section)]


@pytest.fixture(scope='module')
def without(alice: User) -> str:
    """An endorsed image from before the trait was wanted."""
    return alice.endorsed(os.urandom(1000))


@pytest.fixture(scope='module')
def image(stack: Stack, alice: User, without: str) -> Iterator[str]:
    """An endorsed image that asks for the trait."""
    stack.configure(require_trait='true')
    stack.glance.restart()
    try:
        made = alice.endorsed(os.urandom(1000))
        assert alice.glance.image(made)[f'trait:{TRAIT}'] == 'required'
        yield made
    finally:
        stack.configure()
        stack.glance.restart()


@pytest.fixture(scope='module')
def isolating(stack: Stack, steps: list[str]) -> Iterator[None]:
    """nova-scheduler looks at it, as the page says."""
    parser = configparser.ConfigParser()
    parser.read_string(steps[0])
    options = dict(parser['scheduler'])
    scheduler = stack.compute.scheduler
    stack.compute.configure({'scheduler': options}, scheduler)
    yield
    stack.compute.configure(
        {'scheduler': dict.fromkeys(options, 'false')}, scheduler)


def placement(admin: User, method: str, path: str, body: Any = None) -> Any:
    """Ask Placement; what the command does that osc-placement brings."""
    answer = admin.sdk.placement.request(
        path, method, json=body, microversion='1.6', raise_exc=False)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def set_traits(admin: User, path: str, names: set[str]) -> None:
    """Have a host have these traits."""
    had = placement(admin, 'GET', path)
    placement(admin, 'PUT', path, {**had, 'traits': sorted(names)})


@contextlib.contextmanager
def trait(admin: User) -> Iterator[None]:
    """The host has it, beside those that it had."""
    provider, = placement(
        admin, 'GET', '/resource_providers')['resource_providers']
    path = f'/resource_providers/{provider["uuid"]}/traits'
    had = {*placement(admin, 'GET', path)['traits']}
    placement(admin, 'PUT', f'/traits/{TRAIT}')
    try:
        set_traits(admin, path, {*had, TRAIT})
        yield
    finally:
        set_traits(admin, path, had)
        placement(admin, 'DELETE', f'/traits/{TRAIT}')


@contextlib.contextmanager
def aggregate(admin: User, commands: str) -> Iterator[None]:
    """The host is in an aggregate, by the commands of the page."""
    try:
        for line in commands.replace('\\\n', '').strip().splitlines():
            run(admin, line.removeprefix('openstack ').replace('HOST', HOST))
        yield
    finally:
        run(admin, f'aggregate remove host endorsed {HOST}')
        run(admin, 'aggregate delete endorsed')


def run(admin: User, command: str) -> None:
    """Run a command of ``openstack`` that succeeds."""
    done = admin.run(command)
    assert done.status == 0, done.err


def boots(stack: Stack, alice: User, image: str) -> bool:
    """Say whether a host is found for a server of an image."""
    server = alice.settled(alice.begin(image))
    # It is not our filter that finds none.
    assert stack.refusals('nova-scheduler', server.id) == []
    if server.status != 'ACTIVE':
        assert 'No valid host was found' in server.fault['message']
    alice.delete(server)
    return bool(server.status == 'ACTIVE')


def test_a_host_is_kept_for_images_with_the_trait(
        stack: Stack, alice: User, admin: User, isolating: None,
        steps: list[str], image: str, without: str) -> None:
    assert TRAIT in steps[1]
    assert not boots(stack, alice, image)
    with trait(admin), aggregate(admin, steps[2]):
        assert boots(stack, alice, image)
        assert not boots(stack, alice, without)
    assert boots(stack, alice, without)


def keep_hosts() -> str:
    """Run what DevStack runs for all hosts."""
    done = subprocess.run(
        [sys.executable, TOOL, '--os-cloud', 'admin'], text=True,
        capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def test_all_hosts_are_kept_in_devstack(stack: Stack, admin: User) -> None:
    provider, = placement(
        admin, 'GET', '/resource_providers')['resource_providers']
    path = f'/resource_providers/{provider["uuid"]}/traits'
    had = {*placement(admin, 'GET', path)['traits']}
    try:
        assert f'{HOST} is in the aggregate endorsed' in keep_hosts()
        # What is so already stays.
        assert 'aggregate' not in keep_hosts()
        assert {*placement(admin, 'GET', path)['traits']} == {*had, TRAIT}
        found, = admin.sdk.compute.aggregates()
        assert found.hosts == [HOST]
        assert found.metadata == {f'trait:{TRAIT}': 'required'}
    finally:
        set_traits(admin, path, had)
        placement(admin, 'DELETE', f'/traits/{TRAIT}')
        run(admin, f'aggregate remove host endorsed {HOST}')
        run(admin, 'aggregate delete endorsed')
