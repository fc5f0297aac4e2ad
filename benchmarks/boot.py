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


"""What the boot gate of nova-api costs a request for a server."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import gc
import io
import json
import pathlib
import re
import statistics
import threading
import time
import tracemalloc
from typing import Any

from oslo_config import cfg
import requests

from benchmarks.measure import Figure
from benchmarks.measure import MIB
from benchmarks.workspace import environment
from benchmarks.workspace import Run
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.boot_filter import BootFilter
from tests.testbed.client import Client
from tests.testbed.glance import Glance
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed.nova import Nova
from tests.testbed import service
from tests.testbed import site as testbed_site

P50 = 1.0  # ms
P99 = 3.0  # ms

_CALLS = 5000
_TRACED = 1000
_PAIRS = 150
_AT_ONCE = 200
_DATA = b'x' * 64


class _Cloud:
    """A Glance with the gate and an endorsed image, for one benchmark."""

    def __init__(self, run: Run, keystone: Keystone, glance: Glance,
                 site: testbed_site.Site) -> None:
        self.folder = run.folder / 'boot'
        self.keystone = keystone
        self.glance = glance
        self.site = site
        # It is there for as long as the benchmark takes.
        self.token = keystone.token('admin', 'admin')
        site.write_credentials({**keystone.account('admin', 'admin'),
                                'image_endpoint': glance.url})
        client = Client(glance.url, Token(  # type: ignore[arg-type]
            self.token))
        self.image = client.create(hepix_endorsement=site.endorse(_DATA))
        client.put(self.image, _DATA).raise_for_status()
        self.body = json.dumps({'server': {
            'name': 'new', 'flavorRef': '1', 'imageRef': self.image,
            'networks': 'none'}}).encode()

    def boots(self) -> Boots:
        """Return what judges, which knows nothing yet."""
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        return Boots.of('nova-api', conf)

    def asked(self) -> tuple[int, int]:
        """Return how often Glance was asked for the image and a list."""
        log = self.glance.log_text()
        return (len(re.findall(f'GET /v2/images/{self.image} ', log)),
                len(re.findall('GET /v2/images[?]', log)))


def boot(run: Run) -> list[Figure]:
    """Ask for servers as users do, with and without the filter."""
    with _running(run) as cloud:
        return [*_filter(cloud), *_at_once(cloud), *_whole(cloud)]


def _gate(cloud: _Cloud) -> tuple[Callable[[], float], list[bytes]]:
    """Return what asks a new filter for a server, and what passed it.

    It stands before an application that does nothing. Nothing is known to it
    yet. Who asks gets the milliseconds.
    """
    from nova import context

    who = context.RequestContext('user', 'project', roles=['member'],
                                 is_admin=False)
    passed: list[bytes] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        passed.append(environ['wsgi.input'].read())
        return []
    filter_ = BootFilter(app, cloud.boots())

    def ask() -> float:
        environ = {
            'REQUEST_METHOD': 'POST', 'PATH_INFO': '/servers',
            'SCRIPT_NAME': '/v2.1', 'QUERY_STRING': '', 'HTTP_HOST': 'x',
            'SERVER_NAME': 'x', 'SERVER_PORT': '80',
            'wsgi.url_scheme': 'http', 'CONTENT_TYPE': 'application/json',
            'CONTENT_LENGTH': str(len(cloud.body)),
            'wsgi.input': io.BytesIO(cloud.body), 'nova.context': who}
        start = time.perf_counter()
        filter_(environ, lambda *unused: None)
        return (time.perf_counter() - start) * 1000
    return ask, passed


def _filter(cloud: _Cloud) -> Iterator[Figure]:
    """Measure the filter alone."""
    ask, passed = _gate(cloud)
    before = cloud.asked()
    cold = ask()
    images, lists = _since(cloud, before)
    tracemalloc.start()
    ask()
    start, _ = tracemalloc.get_traced_memory()
    for _ in range(_TRACED):
        ask()
    passed[:] = set(passed)
    # What waits to be collected is not held.
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    warm = sorted(ask() for _ in range(_CALLS))
    if set(passed) != {cloud.body}:
        raise RuntimeError('The image does not boot.')
    yield Figure('boot', 'added to a create, p50', warm[_CALLS // 2], P50,
                 'ms', f'{_CALLS} calls of the filter, one after another')
    yield Figure('boot', 'added to a create, p99', warm[_CALLS * 99 // 100],
                 P99, 'ms', f'longest {warm[-1]:.1f} ms')
    yield Figure('boot', f'memory held after {_TRACED} more creates',
                 held / MIB, 1, 'MiB', 'of one process, as Python counts it')
    yield Figure('boot', 'requests to Glance for an image that is not known',
                 images, 1, 'GET', f'{cold:.0f} ms with the token and the '
                 f'whole ledger, which took {lists} more; then the ledger '
                 f'costs one list a boot_cache and process')


def _since(cloud: _Cloud, before: tuple[int, int]) -> tuple[int, int]:
    """Return how often Glance was asked since then."""
    image, list_ = cloud.asked()
    return image - before[0], list_ - before[1]


def _at_once(cloud: _Cloud) -> Iterator[Figure]:
    """Have many ask for servers of one image, of which nothing is known."""
    ask, passed = _gate(cloud)
    before = cloud.asked()
    together = threading.Barrier(_AT_ONCE)

    def wait_and_ask() -> None:
        together.wait()
        ask()
    threads = [threading.Thread(target=wait_and_ask)
               for _ in range(_AT_ONCE)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = (time.perf_counter() - start) * 1000
    if len(passed) != _AT_ONCE:
        raise RuntimeError('Not all were let pass.')
    images, lists = _since(cloud, before)
    yield Figure('boot', f'requests to Glance for one image, {_AT_ONCE} '
                 f'creates at once', images, 1, 'GET', f'all were answered '
                 f'within {taken:.0f} ms; the ledger took {lists} more')


def _whole(cloud: _Cloud) -> Iterator[Figure]:
    """Measure a create from end to end, in turns with and without us."""
    with contextlib.ExitStack() as stack:
        bare, ours = (stack.enter_context(each) for each in (
            _nova(cloud, 'bare'), _nova(cloud, 'ours')))
        bare()
        ours()
        pairs = [_pair(bare, ours, number % 2) for number in range(_PAIRS)]
    without = statistics.median(first for first, _ in pairs)
    added = statistics.median(second - first for first, second in pairs)
    yield Figure('boot', 'added to a create through nova-api, median of '
                 'pairs', added, None, 'ms', f'{_PAIRS} pairs; a create '
                 f'takes {without:.0f} ms without us')


def _pair(bare: Callable[[], float], ours: Callable[[], float],
          ours_first: int) -> tuple[float, float]:
    """Ask both; what the first still does is a burden to the second."""
    if ours_first:
        taken = ours()
        return bare(), taken
    return bare(), ours()


@contextlib.contextmanager
def _nova(cloud: _Cloud, name: str) -> Iterator[Any]:
    """Run a nova-api; give what asks it for a server, and says the ms."""
    nova = Nova(cloud.folder / name, cloud.keystone)
    nova.use(cloud.glance.url)
    if name == 'ours':
        nova.guard(cloud.site.config)
    with nova, requests.Session() as session:
        service.call('POST', f'{nova.url}/v2.1/flavors', cloud.token, {
            'flavor': {'name': 'small', 'id': '1', 'ram': 64, 'vcpus': 1,
                       'disk': 1}}).raise_for_status()
        session.trust_env = False
        session.headers.update({
            'X-Auth-Token': cloud.token, 'Content-Type': 'application/json',
            'OpenStack-API-Version': 'compute 2.90'})

        def ask() -> float:
            start = time.perf_counter()
            answer = session.post(f'{nova.url}/v2.1/servers', cloud.body,
                                  timeout=60)
            taken = (time.perf_counter() - start) * 1000
            if answer.status_code != 202:
                raise RuntimeError(answer.text)
            return taken
        yield ask


@contextlib.contextmanager
def _running(run: Run) -> Iterator[_Cloud]:
    """Run Keystone, and a Glance with the gate."""
    folder = run.folder / 'boot'
    folder.mkdir()
    site = run.site('boot-site')
    with contextlib.ExitStack() as stack:
        keystone = stack.enter_context(Keystone(folder / 'keystone'))
        glance = stack.enter_context(_glance(folder, keystone, site))
        stack.enter_context(environment(site))
        yield _Cloud(run, keystone, glance, site)


def _glance(folder: pathlib.Path, keystone: Keystone,
            site: testbed_site.Site) -> Glance:
    return Glance(
        folder / 'glance', hepix_config=site.config,
        property_protections=testbed_site.PROPERTY_PROTECTIONS,
        policy=testbed_site.POLICY, authtoken=keystone.middleware('glance'))
