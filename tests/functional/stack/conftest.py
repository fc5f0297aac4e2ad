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

"""A whole cloud, started once for all modules of this package."""

from collections.abc import Callable
from collections.abc import Iterator
import os
import pathlib

import pytest

from tests.testbed import guest
from tests.testbed.stack import Stack
from tests.testbed.user import User
from tests.testbed.web import WebServer


@pytest.fixture(scope='package')
def web() -> Iterator[WebServer]:
    """A web server of another site, from which this one may fetch."""
    with WebServer() as running:
        yield running


@pytest.fixture(scope='package')
def stack(tmp_path_factory: pytest.TempPathFactory,
          web: WebServer) -> Iterator[Stack]:
    """A whole cloud, with servers that boot."""
    with (Stack(tmp_path_factory.mktemp('stack'), (web.port,)) as running,
          pytest.MonkeyPatch.context() as patch):
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope='package')
def alice(stack: Stack) -> User:
    """A plain user of the project atlas."""
    return User(stack, 'alice')


@pytest.fixture(scope='package')
def bob(stack: Stack) -> User:
    """A plain user of the project cms."""
    return User(stack, 'bob')


@pytest.fixture(scope='package')
def admin(stack: Stack) -> User:
    """An operator."""
    return User(stack, 'admin')


@pytest.fixture(scope='package')
def disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], bytes]:
    """Make raw disks that boot, each with bytes of its own."""
    one = guest.disk(
        tmp_path_factory.mktemp('disk') / 'guest.raw').read_bytes()

    def make() -> bytes:
        # Behind the files of its file system.
        mark = os.urandom(32)
        return one[:-len(mark)] + mark

    return make


@pytest.fixture(scope='module')
def image(alice: User, disk: Callable[[], bytes]) -> str:
    """An endorsed image, of each module its own."""
    return alice.endorsed(disk())


@pytest.fixture(scope='module')
def other(alice: User, disk: Callable[[], bytes]) -> str:
    """Another one; what Glance looks at after an upload it has seen."""
    return alice.endorsed(disk())


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Callable[[str, bytes], pathlib.Path]:
    """Write files for commands."""
    def write(name: str, data: bytes) -> pathlib.Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(autouse=True)
def clean_site(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the next test the site as it was made."""
    yield
    if 'stack' in request.fixturenames:
        site = request.getfixturevalue('stack').site
        site.write_policy()
        site.write_anchors()
        site.write_subscriptions([])
