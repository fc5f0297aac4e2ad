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


"""What Cinder is asked of volumes, and how long it is waited for."""

import json
import threading
import time

import pytest

from hepix_vm import config
from hepix_vm.deadline import Deadline
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.volumes import Volume
from hepix_vm.nova_ctx.volumes import Volumes
from tests.testbed import serving

ID = 'aaaaaaaa-0000-4000-8000-000000000000'
OTHER = 'bbbbbbbb-0000-4000-8000-000000000000'
VOLUME = {'volume': {
    'id': ID, 'os-vol-tenant-attr:tenant_id': 'p1',
    'volume_image_metadata': {'image_id': 'i', 'min_ram': 0}}}
SNAPSHOT = {'snapshot': {
    'id': ID, 'volume_id': 'v',
    'os-extended-snapshot-attributes:project_id': 'p1'}}
LONG = Deadline(10 ** 6)


class Cinder(serving.Quiet):
    """Says what it is told, and remembers what it was asked."""

    def do_GET(self):
        self.asked.append((self.path, self.headers['X-Auth-Token']))
        self.silent.wait(20)
        status, body = self.says.get(self.path, (404, {}))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Asked:
    def __init__(self):
        self.says = {}
        self.asked = []
        self.silent = threading.Event()
        self.silent.set()


@pytest.fixture
def cinder():
    known = Asked()
    with serving.Served(serving.web(
            Cinder, says=known.says, asked=known.asked,
            silent=known.silent)) as served:
        known.port = served.port
        yield known
        known.silent.set()


@pytest.fixture
def make(site, cinder):
    def make(**settings):
        site.write_config(
            more=f'block_storage_endpoint = http://127.0.0.1:{cinder.port}\n',
            **settings)
        return Volumes(config.load())
    return make


def test_a_volume(cinder, make):
    volumes = make()
    cinder.says[f'/volumes/{ID}'] = 200, VOLUME
    expected = Volume('p1', metadata={'image_id': 'i', 'min_ram': '0'})
    assert volumes.volume(ID, LONG) == volumes.volume(ID, LONG) == expected
    assert cinder.asked == [(f'/volumes/{ID}', 't')]


def test_a_volume_of_another_id(cinder, make):
    """Nova may be given another one than whoever answers us found."""
    volumes = make()
    for kind, said in (('volumes', VOLUME), ('snapshots', SNAPSHOT)):
        cinder.says[f'/{kind}/{ID.upper()}'] = 200, said
        cinder.says[f'/{kind}/{OTHER}'] = 200, said
    for identifier in (ID.upper(), OTHER):
        assert volumes.volume(identifier, LONG) is None
        assert volumes.snapshot(identifier, LONG) is None
    # As Nova will ask.
    assert (f'/volumes/{ID.upper()}', 't') in cinder.asked


def test_a_snapshot(cinder, make):
    volumes = make()
    cinder.says[f'/snapshots/{ID}'] = 200, SNAPSHOT
    assert volumes.snapshot(ID, LONG) == Volume('p1', 'v')
    # Volumes and snapshots are told apart.
    assert volumes.volume(ID, LONG) is None


def test_one_that_there_is_not_is_asked_for_again(cinder, make):
    volumes = make()
    assert volumes.volume(ID, LONG) is None
    cinder.says[f'/volumes/{ID}'] = 200, VOLUME
    assert volumes.volume(ID, LONG) is not None


def test_it_is_kept_for_as_long_as_is_set(cinder, make):
    volumes = make(boot_cache='0')
    cinder.says[f'/volumes/{ID}'] = 200, VOLUME
    assert volumes.volume(ID, LONG) == volumes.volume(ID, LONG)
    assert len(cinder.asked) == 2


@pytest.mark.parametrize('answer', [
    (403, {}), (500, {}), (200, b'x'), (200, []), (200, {}),
    (200, {'volume': None}), (200, {'volume': []}), (200, {'volume': {}}),
    # An account that is not shown whose it is.
    (200, {'volume': {'id': ID}}),
    (200, {'volume': {**VOLUME['volume'], 'volume_image_metadata': [1]}})])
def test_what_is_no_answer(cinder, make, answer, caplog):
    cinder.says[f'/volumes/{ID}'] = answer
    with pytest.raises(Unknown, match='Cinder does not say now what'):
        make().volume(ID, LONG)
    assert 'Cinder' in caplog.text


@pytest.mark.parametrize('said', [
    {}, {'id': ID}, {'id': ID, 'volume_id': 'v'}])
def test_what_is_no_snapshot(cinder, make, said):
    cinder.says[f'/snapshots/{ID}'] = 200, {'snapshot': said}
    with pytest.raises(Unknown):
        make().snapshot(ID, LONG)


def test_it_says_nothing(cinder, make, caplog):
    volumes = make()
    cinder.silent.clear()
    start = time.monotonic()
    with pytest.raises(Unknown):
        volumes.volume(ID, Deadline(1))
    # keystoneauth1 alone would ask three times.
    assert time.monotonic() - start < 2.5
    assert 'Cinder does not answer within boot_timeout' in caplog.text


def test_there_is_none(make, site):
    make()
    site.write_config(
        boot_timeout='5', more='block_storage_endpoint = http://127.0.0.1:1')
    with pytest.raises(Unknown):
        Volumes(config.load()).volume(ID, LONG)


def test_many_ask_at_once(cinder, make):
    """One request serves all."""
    volumes = make()
    cinder.says[f'/volumes/{ID}'] = 200, VOLUME
    cinder.silent.clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(
        volumes.volume(ID, LONG))) for _ in range(200)]
    for thread in threads:
        thread.start()
    cinder.silent.set()
    for thread in threads:
        thread.join()
    assert len(found) == 200 and None not in found
    assert len(cinder.asked) == 1
