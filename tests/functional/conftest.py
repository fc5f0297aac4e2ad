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

"""A real Glance with the gate in it, shared by the tests of a module."""

from collections.abc import Callable
from collections.abc import Iterator
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from hepix_vm import paths
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.functional.following import followed
from tests.functional.following import Lists
from tests.functional.following import Ran
from tests.functional.following import runner
from tests.testbed.client import ADMIN
from tests.testbed.client import Client
from tests.testbed.client import LIMIT
from tests.testbed.follower import Follower
from tests.testbed.glance import Glance
from tests.testbed.glance import program
from tests.testbed.listserver import ListServer
from tests.testbed import pki
from tests.testbed import site as testbed_site
from tests.testbed.site import entry
from tests.testbed.site import Site
from tests.testbed.web import WebServer


class Cloud:
    """A site, its Glance, and a web server that the Glance may ask."""

    def __init__(self, site: Site, glance: Glance, web: WebServer) -> None:
        self.site = site
        self.glance = glance
        self.web = web
        self.client = Client(glance.url)

    def records(self) -> list[dict[str, Any]]:
        """The journal of this Glance."""
        return [json.loads(line) for line in
                self.site.journal.read_text().splitlines()]

    def command(self, name: str, *arguments: str, given: str = '',
                ) -> subprocess.CompletedProcess[str]:
        """Run one of our commands on this cloud.

        :param given: what it reads from standard input
        """
        environment = {**os.environ, 'HEPIX_VM_CONFIG': str(
            self.site.config), 'no_proxy': '127.0.0.1'}
        return subprocess.run(
            [program(name), *arguments], capture_output=True, text=True,
            env=environment, timeout=LIMIT, input=given)

    def endorsed(self, data: bytes, **changes: Any) -> str:
        """Bring in an endorsed image, and return its id.

        :param changes: as :meth:`tests.testbed.site.Site.endorse` has them
        """
        image_id = self.client.create(
            hepix_endorsement=self.site.endorse(data, **changes))
        response = self.client.put(image_id, data)
        assert response.status_code == 204, response.text
        return image_id

    def record(self, fact: Fact, kind: Blockable, value: str,
               **more: Any) -> str:
        """Write a record of the ledger, and return the id of its image."""
        record = Record(fact, kind, value, 'CVE-2026-0001',
                        'ops@example.org', pki.utcnow(), **more)
        return self.client.as_(ADMIN).create(
            name=record.name, owner='hepix-vm', visibility='private',
            os_hidden=True, protected=True, disk_format=None,
            container_format=None, hepix_ledger=ledger.serialize(record))

    def block(self, data: bytes) -> str:
        """Block these bytes."""
        return self.record(
            Fact.BLOCKED, Blockable.SHA512, entry(data).sha512)


def start(folder: pathlib.Path, **options: Any) -> Iterator[Cloud]:
    """Run a cloud in a folder, to be used by fixtures.

    :param options: what :class:`Glance` takes, and ``settings``, the
        options of ``[hepix_vm]``, and ``credentials``, those of
        ``[service_credentials]``
    """
    site = Site(folder / 'site', **options.pop('settings', {}))
    site.write_credentials(options.pop('credentials', {}))
    with WebServer() as web:
        glance = Glance(folder / 'glance', **{
            'hepix_config': site.config,
            'property_protections': testbed_site.PROPERTY_PROTECTIONS,
            'policy': testbed_site.POLICY, 'download_ports': (web.port,),
            **options})
        with glance:
            yield Cloud(site, glance, web)


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def either(request: pytest.FixtureRequest,
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud under each server, for what depends on the transport."""
    yield from start(tmp_path_factory.mktemp(request.param),
                     server=request.param)


@pytest.fixture(scope='module')
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud under uWSGI."""
    yield from start(tmp_path_factory.mktemp('cloud'))


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Iterator[Callable[..., Cloud]]:
    """Make clouds with options of their own, for one test."""
    running = []

    def make(**options: Any) -> Cloud:
        folder = tmp_path / str(len(running))
        running.append(start(folder, **options))
        return next(running[-1])

    yield make
    for each in reversed(running):
        # Resume behind the yield, where the cloud is stopped.
        next(each, None)


@pytest.fixture(autouse=True)
def clean_site(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the next test the site as it was made."""
    yield
    for name in {'cloud', 'either'} & set(request.fixturenames):
        site = request.getfixturevalue(name).site
        site.write_policy()
        site.write_anchors()
        site.write_subscriptions([])


@pytest.fixture(scope='module')
def open_glance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A Glance that lets everything in: no filter, plugin or sentinel."""
    yield from start(tmp_path_factory.mktemp('open'), filters=(),
                     import_plugins=())


@pytest.fixture
def bare(open_glance: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The same without images, and with an account for the commands."""
    for statement in ('DELETE FROM image_properties',
                      'DELETE FROM image_locations', 'DELETE FROM images'):
        open_glance.glance.query(statement)
    site = open_glance.site
    site.write_policy()
    site.write_anchors()
    site.write_subscriptions([])
    site.write_config()
    site.write_account(open_glance.glance.url, 'ops:s3cret:admin')
    for path in (*site.state.glob('lists/*'), *site.state.glob('journal/*')):
        path.unlink()
    monkeypatch.setenv(paths.ENVIRONMENT, str(site.config))
    return open_glance


@pytest.fixture
def lists(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lists]:
    """Lists that a cloud follows, which has no images yet."""
    yield from followed(Lists(cloud), monkeypatch)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command that follows them."""
    return runner(capsys)


@pytest.fixture(scope='module')
def list_server() -> Iterator[ListServer]:
    """A server over https, from which lists are fetched."""
    with ListServer() as running:
        yield running


@pytest.fixture
def bundle(list_server: ListServer, tmp_path: pathlib.Path) -> str:
    """The CA of that server, which was not asked for anything yet."""
    list_server.asked.clear()
    return list_server.bundle(tmp_path)


@pytest.fixture
def follower(list_server: ListServer, tmp_path: pathlib.Path,
             monkeypatch: pytest.MonkeyPatch) -> Follower:
    """A site that follows lists of that server."""
    made = Follower(tmp_path, list_server)
    monkeypatch.setenv(paths.ENVIRONMENT, str(made.site.config))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return made
