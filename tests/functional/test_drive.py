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

"""Drives made for Nova and by Nova, read by the programs of others."""

from collections.abc import Iterator
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pycdlib
import pytest

from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import LABEL
from tests.testbed.contexts import PUBLISHER
from tests.testbed.contexts import write_tree
from tests.testbed.drives import NovaDrives
from tests.testbed.glance import program

UUID = '83679162-1378-4288-a2d4-70e13ec132aa'
MARK = '/tmp/hepix-vm-hostile'  # noqa: S108 nothing must make it
HOSTILE = f"it's a \"server\" $(touch {MARK}) `touch {MARK}`; reboot\n"
OURS = {'prolog.sh': 0o755, 'epilog.sh': 0o755,
        'context/variables.sh': 0o600,
        'context/prolog.d/10-log.sh': 0o755,
        'context/epilog.d/20-mon.sh': 0o755,
        'meta-data.json': 0o644, 'user-data': 0o644}
SERVER: dict[str, Any] = {
    'name': HOSTILE, 'user_data': '#!/bin/sh\necho from the user\n',
    'password': 's3cret-pa55', 'files': [['/etc/motd', 'hello']],
    'metadata': {'key': 'value'}}


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> ContextSite:
    return ContextSite(tmp_path_factory.mktemp('site'))


@pytest.fixture(autouse=True)
def as_it_was(site: ContextSite) -> Iterator[None]:
    yield
    site.write_settings()
    site.write()


@pytest.fixture(scope='module')
def nova(tmp_path_factory: pytest.TempPathFactory,
         site: ContextSite) -> Iterator[NovaDrives]:
    with NovaDrives(
            tmp_path_factory.mktemp('nova'), site.environment,
            {'DEFAULT': {'mkisofs_cmd': program('hepix-vm-mkisofs')}},
            ) as drives:
        yield drives


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory,
         nova: NovaDrives) -> pathlib.Path:
    """The files of a drive, as Nova lays them out."""
    folder = tmp_path_factory.mktemp('tree')
    assert nova.make('tree', folder, **SERVER) == {}
    return folder


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory, site: ContextSite,
          tree: pathlib.Path) -> pathlib.Path:
    path = tmp_path_factory.mktemp('drive') / 'disk.config'
    finished = site.mkisofs(path, tree)
    assert (finished.returncode, finished.stdout, finished.stderr) == (
        0, '', '')
    return path


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*') if path.is_file()}


def extract(drive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Unpack a drive with bsdtar."""
    folder.mkdir(exist_ok=True)
    subprocess.run(['bsdtar', '-xpf', str(drive), '-C', str(folder)],
                   check=True)
    return folder


def run(*command: str | pathlib.Path) -> str:
    return subprocess.run(list(map(str, command)), check=True, text=True,
                          capture_output=True).stdout


def test_nova_s_files_are_as_nova_wrote_them(
        drive: pathlib.Path, tree: pathlib.Path,
        tmp_path: pathlib.Path) -> None:
    found = files_of(extract(drive, tmp_path / 'drive'))
    wanted = files_of(tree)
    assert len(wanted) > 45
    assert {path: found.get(path) for path in wanted} == wanted
    assert found.keys() - wanted.keys() == OURS.keys()
    assert found['user-data'] == SERVER['user_data'].encode()
    assert found['meta-data.json'] == wanted['ec2/latest/meta-data.json']


def test_bsdtar_sees_permissions(drive: pathlib.Path,
                                 tmp_path: pathlib.Path) -> None:
    folder = extract(drive, tmp_path / 'drive')
    assert {path: (folder / path).stat().st_mode & 0o777
            for path in OURS} == OURS


def test_xorriso_reads_the_same(drive: pathlib.Path,
                                tmp_path: pathlib.Path) -> None:
    run('xorriso', '-osirrox', 'on', '-indev', drive, '-extract', '/',
        tmp_path / 'xorriso')
    subprocess.run(['chmod', '-R', 'u+w', str(tmp_path / 'xorriso')],
                   check=True)
    assert files_of(tmp_path / 'xorriso') == files_of(
        extract(drive, tmp_path / 'bsdtar'))


@pytest.mark.parametrize('flag', ['-R', '-J'])
def test_isoinfo_reads_the_same(flag: str, drive: pathlib.Path,
                                tmp_path: pathlib.Path) -> None:
    wanted = files_of(extract(drive, tmp_path / 'bsdtar'))
    listed = run('isoinfo', flag, '-f', '-i', drive).splitlines()
    assert {f'/{path}' for path in wanted} <= set(listed)
    for path in ('prolog.sh', 'openstack/latest/meta_data.json'):
        shown = subprocess.run(
            ['isoinfo', flag, '-i', str(drive), '-x', f'/{path}'],
            check=True, capture_output=True).stdout
        assert shown == wanted[path]


def test_pycdlib_reads_the_same(drive: pathlib.Path,
                                tmp_path: pathlib.Path) -> None:
    image = pycdlib.PyCdlib()
    image.open(str(drive))
    found = {}
    for folder, _, names in image.walk(rr_path='/'):
        for name in names:
            path = f'{folder.rstrip("/")}/{name}'
            content = io.BytesIO()
            image.get_file_from_iso_fp(content, rr_path=path)
            found[path[1:]] = content.getvalue()
    image.close()
    assert found == files_of(extract(drive, tmp_path / 'bsdtar'))


def test_label_type_and_publisher(drive: pathlib.Path) -> None:
    assert run('blkid', '-p', '-o', 'value', '-s', 'LABEL', '-s', 'TYPE',
               drive).split() == [LABEL, 'iso9660']
    described = run('isoinfo', '-d', '-i', drive)
    assert f'Publisher id: {PUBLISHER}' in described
    assert 'Joliet with UCS level 3 found' in described
    assert 'Rock Ridge signatures version 1 found' in described


def test_a_guest_has_the_facts_and_nothing_is_run(
        drive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = extract(drive, tmp_path / 'drive')
    prolog = run(folder / 'prolog.sh', 'start')
    assert prolog == 'log to log.example.org: start\n'
    assert run(folder / 'epilog.sh', 'stop') == f'monitor {HOSTILE}: stop\n'
    variables = run('sh', '-c', '. "$1"; env', 'sh',
                    folder / 'context/variables.sh')
    for line in (f'HEPIX_SERVER_UUID={UUID}', 'HEPIX_SERVER_ZONE=nova',
                 'HEPIX_SERVER_HOSTNAME=from-the-name.novalocal',
                 f'HEPIX_SERVER_PROJECT={"p" * 32}', 'HEPIX_SERVER_INDEX=0',
                 'HEPIX_SERVER_MACS=fa:16:3e:00:00:01',
                 'HEPIX_SERVER_ADDRESSES=192.0.2.5/28',
                 'HEPIX_SERVER_ROUTES=0.0.0.0/0,192.0.2.1',
                 'HEPIX_SERVER_DNS=192.0.2.53', 'HEPIX_SERVER_MTU=1450',
                 'HEPIX_IMAGE_VO='):
        assert f'{line}\n' in variables
    assert not os.path.exists(MARK)


def test_nova_makes_its_drives_with_it(
        nova: NovaDrives, tmp_path: pathlib.Path) -> None:
    for task in ('libvirt', 'ironic'):
        path = tmp_path / task
        # Of a rebuild: longer than the new one.
        path.write_bytes(b'x' * 10_000_000)
        assert nova.make(task, path, **SERVER) == {}
        assert path.stat().st_size < 1_000_000
        folder = extract(path, tmp_path / f'{task}.d')
        assert files_of(folder).keys() >= OURS.keys()
        document = json.loads(
            (folder / 'openstack/latest/meta_data.json').read_text())
        assert document['admin_pass'] == SERVER['password']


def test_a_refusal_reaches_nova_and_tells_no_secret(
        nova: NovaDrives, site: ContextSite, tmp_path: pathlib.Path) -> None:
    site.write('rulez: []')
    answer = nova.make('libvirt', tmp_path / 'drive', **SERVER)
    assert answer['error'] == 'ProcessExecutionError'
    assert 'context.yaml:1: The key rulez is unknown' in answer['text']
    assert 'Traceback' not in answer['text']
    assert not (tmp_path / 'drive').exists()
    record, = site.journal
    assert (record['event'], record['outcome'], record['server']) == (
        'context', 'failed', UUID)
    assert 'rulez' in record['reason']
    for text in (answer['text'], nova.log, json.dumps(site.journal)):
        assert SERVER['password'] not in text
        assert 'from the user' not in text


def test_fifty_at_once_are_fifty_equal_drives(
        site: ContextSite, tree: pathlib.Path, drive: pathlib.Path,
        tmp_path: pathlib.Path) -> None:
    def make(number: int) -> str:
        path = tmp_path / str(number)
        finished = site.mkisofs(path, tree)
        assert (finished.returncode, finished.stderr) == (0, '')
        return hashlib.sha512(path.read_bytes()).hexdigest()

    # All of them find that it has to be compiled.
    site.cache.unlink()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        digests = set(pool.map(make, range(50)))
    assert digests == {hashlib.sha512(drive.read_bytes()).hexdigest()}
    assert {path.name for path in site.cache.parent.iterdir()} == {
        site.cache.name, f'{site.cache.name}.lock'}


def test_what_the_vendordata_service_said_counts(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    image = {'uuid': 'i', 'identifier': 'd', 'endorser': '/CN=Alice',
             'vo': 'vo.example.org'}
    tree = write_tree(tmp_path / 'tree', vendor_data2={
        'hepix_vm': {'version': 1, 'image': image}})
    assert site.mkisofs(tmp_path / 'drive', tree).returncode == 0
    folder = extract(tmp_path / 'drive', tmp_path / 'out')
    assert run(folder / 'epilog.sh').splitlines() == [
        'monitor : start', 'for vo.example.org: start']
    assert (folder / 'context/files/repositories').read_text() == (
        'atlas.cern.ch\n')


def test_on_the_way_of_a_boot_little_is_imported(
        site: ContextSite, tree: pathlib.Path,
        tmp_path: pathlib.Path) -> None:
    # Whatever was changed before is compiled now.
    assert site.mkisofs(tmp_path / 'first', tree).returncode == 0
    code = (f'import sys; sys.path += {sys.path!r}\n'
            f'from hepix_vm.nova_ctx import mkisofs\n'
            f'mkisofs.main(sys.argv[1:]); print(*sys.modules)')
    loaded = set(subprocess.run(
        [sys.executable, '-IS', '-c', code, '-o', str(tmp_path / 'drive'),
         '-V', LABEL, str(tree)], check=True, text=True,
        capture_output=True, env=site.environment).stdout.split())
    assert 'pycdlib' in loaded
    assert loaded & {
        'argparse', 'configparser', 'cryptography', 'dataclasses', 'oslo_log',
        'oslo_config', 'pathlib', 'pkg_resources', 'socket', 'stevedore',
        'subprocess', 'tempfile', 'yaml'} == set()


def test_changes_count_at_once(site: ContextSite, tree: pathlib.Path,
                               tmp_path: pathlib.Path) -> None:
    for number, text in enumerate(('one', 'two')):
        site.write(scripts={'10-log.sh': f'#!/bin/sh\necho {text}\n'})
        path = tmp_path / str(number)
        assert site.mkisofs(path, tree).returncode == 0
        folder = extract(path, tmp_path / text)
        assert run(folder / 'prolog.sh') == f'{text}\n'
