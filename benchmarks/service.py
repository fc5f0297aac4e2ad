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

"""What a real Glance spends on an image, with the gate and without."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools

from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.measure import MIB
from benchmarks.workspace import endorsement
from benchmarks.workspace import Image
from benchmarks.workspace import Run
from tests.testbed import client as testbed_client
from tests.testbed.client import Client
from tests.testbed.glance import Glance
from tests.testbed import site as testbed_site
from tests.testbed.site import Site
from tests.testbed.web import WebServer

LIMIT = 1.35  # of what bare Glance spends
MEMORY = 20.0  # MiB above bare Glance

_WAIT = 900.0  # seconds for an import


class Server:
    """A Glance, and what its users send along.

    :param site: whose gate is in it; None for Glance as it is
    """

    def __init__(self, glance: Glance, web: WebServer,
                 site: Site | None) -> None:
        self.glance = glance
        self.web = web
        self.site = site
        self.client = Client(glance.url)

    def bring(self, route: str, image: Image) -> float:
        """Bring an image in, and delete it.

        :param route: a key of :data:`ROUTES`
        :returns: CPU seconds of the server from the first byte until the
            image is active
        """
        image_id = self.client.create(**(
            {'hepix_endorsement': endorsement(self.site, image)}
            if self.site else {}))
        before = self.glance.server_cpu_seconds()
        ROUTES[route](self, image_id, image)
        spent = self.glance.server_cpu_seconds() - before
        self._check(image_id, image)
        assert self.client.delete(image_id).status_code == 204
        return spent

    def wait(self, image_id: str) -> None:
        """Wait for the end of an import without asking the server."""
        # Polls through its API would be counted as what the import costs.
        testbed_client.wait(
            lambda: self.glance.query(
                'SELECT 1 FROM image_properties WHERE image_id = ? '
                'AND name = ? AND deleted = 0',
                (image_id, testbed_client.LOCK)),
            lambda locked: not locked, _WAIT)

    def _check(self, image_id: str, image: Image) -> None:
        """Check that the bytes arrived and that the gate saw them."""
        shown = self.client.image(image_id)
        assert shown['status'] == 'active', self.client.tasks(image_id)
        assert shown['os_hash_value'] == image.sha512
        expected = 'endorsed' if self.site else None
        assert shown.get('hepix_state') == expected


def _put(server: Server, image_id: str, image: Image) -> None:
    with image.path.open('rb') as body:
        response = server.client.put(image_id, body)
    assert response.status_code == 204, response.text


def _direct(server: Server, image_id: str, image: Image) -> None:
    with image.path.open('rb') as body:
        response = server.client.stage(image_id, body)
    assert response.status_code == 204, response.text
    response = server.client.import_(image_id)
    assert response.status_code == 202, response.text
    server.wait(image_id)


def _download(server: Server, image_id: str, image: Image) -> None:
    path = f'/{image.path.name}'
    server.web.contents[path] = image.path
    response = server.client.import_(image_id, uri=server.web.url(path))
    assert response.status_code == 202, response.text
    server.wait(image_id)


ROUTES: dict[str, Callable[[Server, str, Image], None]] = {
    'put': _put, 'import': _direct, 'web-download': _download}

WHAT = {'put': 'PUT of the bytes', 'import': 'stage and glance-direct import',
        'web-download': 'web-download import'}


def route(name: str) -> Callable[[Run], list[Figure]]:
    """Return the benchmark of a route into Glance."""
    return functools.partial(_time, name)


def memory(run: Run) -> list[Figure]:
    """Measure the peak of resident memory on all routes."""
    small, large = run.image(run.small), run.image(run.large)
    with _servers(run, 'memory') as (bare, ours):
        for server in (bare, ours):
            for name in ROUTES:
                # What is loaded at first use belongs to no size.
                server.bring(name, run.image(1))
        return [figure for name in ROUTES
                for figure in _memory(name, bare, ours, small, large)]


def _memory(name: str, bare: Server, ours: Server, small: Image,
            large: Image) -> list[Figure]:
    peaks = [[_peak(server, name, image) / MIB for server in (bare, ours)]
             for image in (small, large)]
    above = [with_us - without for without, with_us in peaks]
    detail = '; '.join(
        f'{image.size // MIB} MiB: {without:.1f} MiB without, '
        f'{with_us:.1f} MiB with us'
        for image, (without, with_us) in zip((small, large), peaks,
                                             strict=True))
    return [
        Figure('memory', f'{WHAT[name]}: peak above bare Glance, the '
               f'larger of both sizes', max(above), MEMORY, 'MiB', detail),
        Figure('memory', f'{WHAT[name]}: growth of the peak from '
               f'{small.size // MIB} to {large.size // MIB} MiB',
               peaks[1][1] - peaks[0][1], MEMORY, 'MiB',
               f'without us {peaks[1][0] - peaks[0][0]:.1f} MiB')]


def _peak(server: Server, name: str, image: Image) -> int:
    server.glance.reset_peak_rss()
    server.bring(name, image)
    return server.glance.server_peak_rss()


def _time(name: str, run: Run) -> list[Figure]:
    image = run.image(run.size)
    with _servers(run, name) as (bare, ours):
        pairs = interleave(lambda: bare.bring(name, image),
                           lambda: ours.bring(name, image), run.pairs)
    return [pairs.figure(name, f'{WHAT[name]}, {run.size} MiB', LIMIT)]


@contextlib.contextmanager
def _servers(run: Run, name: str) -> Iterator[tuple[Server, Server]]:
    """Run a Glance without and one with the gate, as the demo sets it up."""
    site = run.site(f'{name}-site')
    with WebServer() as web, Glance(
            run.folder / f'{name}-bare', filters=(), import_plugins=(),
            download_ports=(web.port,)) as bare, Glance(
            run.folder / f'{name}-ours', hepix_config=site.config,
            property_protections=testbed_site.PROPERTY_PROTECTIONS,
            policy=testbed_site.POLICY,
            download_ports=(web.port,)) as ours:
        yield Server(bare, web, None), Server(ours, web, site)
