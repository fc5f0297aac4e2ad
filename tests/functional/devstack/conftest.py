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

"""A machine on which DevStack and the plugin ran, shared by its tests."""

from collections.abc import Iterator
import contextlib
import pathlib
import types
from typing import cast

import pytest

from tests.functional.devstack.functions import Functions
from tests.functional.devstack.machine import Machine
from tests.functional.devstack.site import PluginSite
from tests.testbed.client import Client
from tests.testbed import images
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed.web import WebServer


class Stacked:
    """A machine, and how far it is; a cloud for the tests of the gate."""

    def __init__(self, machine: Machine, keystone: Keystone,
                 web: WebServer, image: pathlib.Path) -> None:
        self.machine = machine
        self.keystone = keystone
        self.web = web
        self.image = image
        self.said: dict[str, str] = {}
        self.failed = ''

    def reach(self, *stages: str) -> None:
        """Have these done, each once, in this order.

        What was gone past does not come back: the tests of a stage run
        before those of the next.
        """
        if self.failed:
            pytest.fail(f'{self.failed} failed, see the first test of it')
        assert list(self.said) == list(stages)[:len(self.said)], (
            f'the machine is past this: {list(self.said)}')
        for stage in stages[len(self.said):]:
            run = {'unstacked': self.machine.unstack,
                   'cleaned': self.machine.clean}
            self.failed = stage
            self.said[stage] = run.get(stage, self.machine.stack)()
            self.failed = ''

    def client(self, user: str, project: str) -> Client:
        """Glance, as a user with a token of Keystone."""
        return Client(self.machine.glance_url, Token(  # type: ignore[arg-type]
            self.keystone.token(user, project)))


class Cloud:
    """What the matrix of the gate asks of a cloud."""

    def __init__(self, stacked: Stacked) -> None:
        self.glance = self
        self.client = stacked.client('alice', 'atlas')
        self.site = PluginSite(stacked.machine)
        self.web = stacked.web
        self._places = stacked.machine.data / 'glance'

    def stored_files(self) -> list[pathlib.Path]:
        """All files with image bytes: of the store and of staging."""
        return [path for path in self._places.rglob('*') if path.is_file()]


@pytest.fixture(scope='session')
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A Keystone with users of two projects."""
    with Keystone(tmp_path_factory.mktemp('identity') / 'k') as keystone:
        for user, project in (('demo', 'demo'), ('alice', 'atlas')):
            keystone.project(project)
            keystone.add_user(user, project, 'member')
        yield keystone


@pytest.fixture(scope='session')
def stage(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory,
          ) -> Iterator[Stacked]:
    """A machine that has an image to load, as DevStack has CirrOS."""
    folder = tmp_path_factory.mktemp('devstack')
    raw = folder / 'loaded.raw'
    raw.write_bytes(bytes(1 << 20))
    image = images.qcow2(raw, folder / 'loaded.qcow2')
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(WebServer())
        machine = stack.enter_context(Machine(
            folder / 'm', keystone, web.port,
            settings={'IMAGE_URLS': f'file://{image}'}))
        yield Stacked(machine, keystone, web, image)


@pytest.fixture
def stacked(stage: Stacked) -> Stacked:
    """The same after stack.sh."""
    stage.reach('stacked')
    return stage


@pytest.fixture
def restacked(stage: Stacked) -> Stacked:
    """The same after stack.sh ran once more."""
    stage.reach('stacked', 'restacked')
    return stage


@pytest.fixture
def unstacked(stage: Stacked) -> Stacked:
    """The same after unstack.sh."""
    stage.reach('stacked', 'restacked', 'unstacked')
    return stage


@pytest.fixture
def cleaned(stage: Stacked) -> Stacked:
    """The same after clean.sh."""
    stage.reach('stacked', 'restacked', 'unstacked', 'cleaned')
    return stage


@pytest.fixture
def gate(stacked: Stacked) -> Iterator[Cloud]:
    """Its Glance, with what the plugin made; as it was for the next test."""
    # What it changes at its own time is not what is looked at.
    stacked.machine.units.stop('devstack@hepix-sync')
    cloud = Cloud(stacked)
    yield cloud
    cloud.site.restore()


@pytest.fixture(scope='session')
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which no phase runs; nobody asks its Keystone."""
    nowhere = cast(Keystone, types.SimpleNamespace(
        url='http://127.0.0.1:9', add_endpoint=lambda *endpoint: None))
    folder = tmp_path_factory.mktemp('functions') / 'm'
    with Machine(folder, nowhere,
                 settings={'HEPIX_VM_REQUIRE_TRAIT': 'True'}) as machine:
        yield machine


@pytest.fixture
def functions(idle: Machine) -> Functions:
    """The functions of the plugin, and nothing else from the last test."""
    functions = Functions(idle)
    functions.forget()
    return functions
