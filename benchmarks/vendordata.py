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

"""How many answers the vendordata service gives, and where the time goes."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import http.client
import json
import pathlib
import threading
import time
import uuid

import yaml

from benchmarks.measure import Figure
from benchmarks.measure import times
from benchmarks.workspace import environment
from benchmarks.workspace import Run
from hepix_vm import config
from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.nova_ctx import vendor
from hepix_vm.sitecontext import compiler
from tests.testbed import client as testbed_client
from tests.testbed.glance import Glance
from tests.testbed.keystone import Keystone
from tests.testbed.keystone import Token
from tests.testbed.site import ALICE
from tests.testbed.site import Site
from tests.testbed.vendordata import PASTE
from tests.testbed.vendordata import Vendordata

RATE = 300.0  # answers in a second, at least
P99 = 50.0  # ms
CACHED = 3.0  # ms

_SECONDS = 5.0  # for which it is kept busy
_CLIENTS = 4
_CALLS = 6  # of Nova for a config drive
_SERVERS = 200  # whose first answer is measured
_SCRIPTS = 10
_SCRIPT = '#!/bin/sh\n' + 'echo "$HEPIX_SITE_SQUID"  # as long as most\n' * 20


class Client:
    """Asks on one connection, as a session of Nova's does."""

    def __init__(self, service: Vendordata, token: str) -> None:
        self._connection = http.client.HTTPConnection(
            '127.0.0.1', service.port, timeout=60)
        self._headers = {'X-Auth-Token': token,
                         'Content-Type': 'application/json'}

    def ask(self, server: str, image: str) -> float:
        """Ask for a server; return the milliseconds it took."""
        body = json.dumps({
            'project-id': 'project', 'instance-id': server,
            'image-id': image, 'user-data': 'x' * 4096, 'hostname': 'host',
            'metadata': {}, 'boot-roles': 'member'})
        start = time.perf_counter()
        self._connection.request('POST', '/hepix_vm', body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        taken = (time.perf_counter() - start) * 1000
        assert answer.status == 200 and b'"epilog"' in data, data
        return taken

    def root(self) -> float:
        """Ask whether it is there; return the milliseconds it took."""
        start = time.perf_counter()
        self._connection.request('GET', '/')
        assert self._connection.getresponse().read() == b'{}'
        return (time.perf_counter() - start) * 1000

    def close(self) -> None:
        """Leave."""
        self._connection.close()


def vendordata(run: Run) -> list[Figure]:
    """Ask as the builds of many servers do: six times for each."""
    with _running(run) as (service, token, image):
        with contextlib.closing(Client(service, token)) as client:
            for _ in range(_CALLS):
                client.ask('warm', image)
            first = [client.ask(str(uuid.uuid4()), image)
                     for _ in range(_SERVERS)]
            cached = [client.ask('warm', image) for _ in range(1000)]
            root = [client.root() for _ in range(1000)]
        builds, busy = _busy(service, token, image, _CALLS)
        same, _ = _busy(service, token, image, 0)
        parts = list(_parts(image))
    taken = sorted(builds)
    return [
        # A limit is an upper one: time for each, not answers in a second.
        Figure('vendordata', f'each answer of builds ({_CALLS} calls a '
               f'server), {_CLIENTS} clients at once',
               busy * 1000 / len(builds), 1000 / RATE, 'ms',
               f'{len(builds) / busy:.0f} answers/s; asked for the same '
               f'server, {len(same) / _SECONDS:.0f} answers/s'),
        Figure('vendordata', 'p99 of these', taken[len(taken) * 99 // 100],
               P99, 'ms', f'p50 {taken[len(taken) // 2]:.1f} ms, longest '
               f'{taken[-1]:.1f} ms'),
        times('vendordata', 'an answer that is kept', cached, CACHED),
        times('vendordata', 'the first answer for a server, of an image that '
              'was asked for just before', first),
        times('vendordata', 'of it: HTTP, and what gunicorn does (GET /)',
              root),
        *parts]


def _busy(service: Vendordata, token: str, image: str,
          calls: int) -> tuple[list[float], float]:
    """Have clients ask at once; return milliseconds, and seconds in all.

    :param calls: for each server; 0 for one server for all
    """
    taken: list[list[float]] = [[] for _ in range(_CLIENTS)]
    end = time.perf_counter() + _SECONDS

    def work(mine: list[float]) -> None:
        with contextlib.closing(Client(service, token)) as client:
            while time.perf_counter() < end:
                server = str(uuid.uuid4()) if calls else 'warm'
                mine += [client.ask(server, image)
                         for _ in range(calls or _CALLS)]

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ([one for mine in taken for one in mine],
            time.perf_counter() - start)


def _parts(image: str) -> Iterator[Figure]:
    """Measure what an answer is made of, without our server."""
    conf = config.load()
    site = compiler.compile_context(conf)
    facts = Facts(uuid='u', project='p', image=Image('i', 'x', 'e', 'vo'))
    made = vendor.Vendor(conf)
    made._image = (  # type: ignore[method-assign]
        lambda image: facts.image)
    server = vendor.Server('u', 'p', 'i', 'host')
    body = json.dumps({'instance-id': 'u', 'project-id': 'p',
                       'user-data': 'x' * 4096}).encode()
    for what, work in (
            ('Glance shows an image',
             lambda: made._catalogue.find(image)),
            ('reading the question', lambda: vendor.question(body)),
            ('seeing that no file has changed', site.current),
            ('choosing parts and variables', lambda: site.public(facts)),
            ('all of an answer, besides what Glance says',
             lambda: made._make(server)),
            ('an answer that is kept, without HTTP and keystonemiddleware',
             lambda: made.answer('hepix_vm', vendor.question(body))),
            ('compiling the context, once after a change',
             lambda: compiler.compile_context(conf))):
        yield Figure('vendordata', f'of it: {what}', _mean(work), None, 'ms',
                     'mean of many runs in one thread')


def _mean(work: Callable[[], object]) -> float:
    work()
    runs, start = 0, time.perf_counter()
    while runs < 20 or time.perf_counter() - start < 0.3:
        work()
        runs += 1
    return (time.perf_counter() - start) * 1000 / runs


@contextlib.contextmanager
def _running(run: Run) -> Iterator[tuple[Vendordata, str, str]]:
    """Run Keystone, a Glance with an image, and the service."""
    folder = run.folder / 'vendordata'
    folder.mkdir()
    site = run.site('vendordata-site')
    context = folder / 'context.yaml'
    _write_context(context)
    site.write_config(vendordata_paste=str(PASTE), context_file=str(context))
    with Keystone(folder / 'keystone') as keystone, Glance(
            folder / 'glance', filters=(), import_plugins=(),
            authtoken=keystone.middleware('glance')) as glance:
        _write_accounts(site, keystone, glance)
        image = _image(keystone, glance)
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment(site))
            service = stack.enter_context(
                Vendordata(folder / 'service', site.config))
            yield service, keystone.token('nova', 'service'), image


def _write_context(path: pathlib.Path) -> None:
    names = [f'{number:02}-part.sh' for number in range(_SCRIPTS)]
    path.write_text(yaml.safe_dump({
        'variables': {'squid': 'http://squid.example.org:3128'},
        'rules': [{'match': {}, 'prolog': names[::2]},
                  {'match': {'vo': 'vo.example.org'}, 'epilog': names[1::2]}],
        }))
    folder = path.with_name('context')
    folder.mkdir()
    for name in names:
        (folder / name).write_text(_SCRIPT)
        (folder / name).chmod(0o755)


def _write_accounts(site: Site, keystone: Keystone, glance: Glance) -> None:
    site.write_credentials({**keystone.account('admin', 'admin'),
                            'image_endpoint': glance.url})
    with site.config.open('a') as file:
        file.write('[keystone_authtoken]\n' + ''.join(
            f'{name} = {value}\n' for name, value
            in keystone.middleware('glance').items()))


def _image(keystone: Keystone, glance: Glance) -> str:
    token = Token(keystone.token('admin', 'admin'))
    return testbed_client.Client(
        glance.url, token).create(  # type: ignore[arg-type]
        hepix_state='endorsed', hepix_image_id=str(uuid.uuid4()),
        hepix_endorser_dn=ALICE, hepix_vo='vo.example.org')
