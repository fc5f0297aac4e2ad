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

"""What hepix-vm-mkisofs refuses, in one line, and what is left then."""

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest

from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import write_tree
from tests.testbed import daemon
from tests.testbed.glance import program

SECRET = 's3cret-pa55'
BIG = 'x' * 65536


@pytest.fixture
def site(tmp_path: pathlib.Path) -> ContextSite:
    return ContextSite(tmp_path / 'site')


def refused(site: ContextSite, tree: pathlib.Path, *message: str,
            status: int = 1, drive: pathlib.Path | None = None) -> str:
    """Check that a drive is refused, and return what was said."""
    drive = drive or site.folder / 'drive'
    finished = site.mkisofs(drive, tree)
    said = finished.stderr
    assert (finished.returncode, finished.stdout) == (status, ''), said
    assert said.startswith('hepix-vm-mkisofs: ')
    assert said.count('\n') == 1 and said.endswith('\n'), said
    assert len(said) < 1000
    for part in message:
        assert part in said
    for secret in (SECRET, 'Traceback', BIG[:1000]):
        assert secret not in said
    assert not drive.is_file() or drive.stat().st_size == 0
    return said


@pytest.mark.parametrize('scripts, message', [
    ({'10-log.sh': '#!/bin/sh\r\n'}, ['10-log.sh', 'Windows', 'dos2unix']),
    ({'10-log.sh': 'echo\n'}, ['10-log.sh', '#!/bin/sh']),
    ({'10-log.sh': b'\x7fELF\0'}, ['10-log.sh', 'binary', 'files']),
    ({'10-log.sh': b'#!/bin/sh\n\xff\n'}, ['10-log.sh, line 2', 'UTF-8']),
    ({'10-log.sh': '#!/bin/sh\n$HEPIX_SITE_LOGS\n'},
     ['10-log.sh, line 2', 'HEPIX_SITE_LOGS', 'context.yaml'])])
def test_scripts_that_could_not_run(
        site: ContextSite, tmp_path: pathlib.Path,
        scripts: dict[str, Any], message: list[str]) -> None:
    site.write(scripts=scripts)
    refused(site, write_tree(tmp_path / 'tree'), *message)


@pytest.mark.parametrize('yaml, message', [
    ('rules: [', ['context.yaml:1', 'not YAML']),
    ('rules:\n  - match: {}\n    prolog: [none.sh]\n',
     ['context.yaml:3', 'There is no', 'none.sh']),
    ('variables: {a: [b]}', ['context.yaml:1', 'text or a number'])])
def test_rules_that_cannot_be_read(
        site: ContextSite, tmp_path: pathlib.Path, yaml: str,
        message: list[str]) -> None:
    site.write(yaml)
    refused(site, write_tree(tmp_path / 'tree'), *message)


def test_a_link_that_leaves_the_folder(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    (site.parts / '10-log.sh').unlink()
    (site.parts / '10-log.sh').symlink_to('/etc/shadow')
    refused(site, write_tree(tmp_path / 'tree'), 'leaves the folder')


# As root, who reads everything, but for that.
_UNPRIVILEGED = (
    'setpriv', '--bounding-set', '-dac_override,-dac_read_search',
    '--inh-caps', '-dac_override,-dac_read_search',
    ) if os.geteuid() == 0 else ()


@pytest.mark.parametrize('name', ['context.yaml', 'context/10-log.sh',
                                  'hepix-vm.conf'])
def test_files_that_nova_may_not_read(
        site: ContextSite, tmp_path: pathlib.Path, name: str) -> None:
    (site.folder / name).chmod(0)
    finished = site.mkisofs(tmp_path / 'drive', write_tree(tmp_path / 'tree'),
                            prefix=_UNPRIVILEGED)
    assert finished.returncode == 1
    assert str(site.folder / name) in finished.stderr
    assert finished.stderr.count('\n') == 1
    assert not (tmp_path / 'drive').exists()


def test_files_of_nova_that_cannot_be_read(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    tree = write_tree(tmp_path / 'tree')
    (tree / 'openstack/latest/meta_data.json').chmod(0)
    finished = site.mkisofs(tmp_path / 'drive', tree, prefix=_UNPRIVILEGED)
    assert finished.returncode == 1
    assert 'meta_data.json cannot be read: Permission denied' in (
        finished.stderr)


def test_settings_that_cannot_be_read(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    tree = write_tree(tmp_path / 'tree')
    site.write_settings(context_failure='ignore')
    refused(site, tree, 'context_failure')
    site.write_settings(context_time='3')
    refused(site, tree, 'context_time')
    site.config.unlink()
    refused(site, tree, 'HEPIX_VM_CONFIG')


@pytest.mark.parametrize('documents, message', [
    ({'vendor_data2': b'{"hepix_vm": "s3cret-pa55"}'}, 'vendor_data2.json'),
    ({'vendor_data2': b'["s3cret-pa55"]'}, 'vendor_data2.json'),
    ({'vendor_data2': b's3cret-pa55'}, 'vendor_data2.json is not JSON'),
    ({'vendor_data2': {'hepix_vm': {'image': {'vo': 7}}}}, 'vo is not a'),
    ({'network_data': b'{"links": 1}'}, 'network_data.json'),
    ({'meta_data': b'{"admin_pass": "s3cret-pa55'}, 'meta_data.json'),
    ({'meta_data': b'\xff\xfe'}, 'meta_data.json'),
    ({'name': 'a\0b', 'admin_pass': SECRET}, 'HEPIX_SERVER_NAME has a NUL'),
    ({'name': BIG}, 'HEPIX_SERVER_NAME is 65536 bytes'),
    ({'name': '\ud800'}, 'HEPIX_SERVER_NAME is not Unicode'),
    ({'name': ['x']}, 'name is not a text')])
def test_files_of_nova_that_are_not_nova_s(
        site: ContextSite, tmp_path: pathlib.Path,
        documents: dict[str, Any], message: str) -> None:
    refused(site, write_tree(tmp_path / 'tree', **documents), message)


def test_what_users_may_write_is_no_reason_to_refuse(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    tree = write_tree(
        tmp_path / 'tree', name='\n$(id) `id` \'"', hostname=';reboot',
        meta={'x': BIG, 'y': '\0', '\ud800': '$(id)'})
    assert site.mkisofs(tmp_path / 'drive', tree).returncode == 0


@pytest.mark.parametrize('name', ['prolog.sh', 'epilog.sh', 'user-data',
                                  'meta-data.json', 'context/variables.sh'])
def test_no_file_of_nova_s_is_overwritten(
        site: ContextSite, tmp_path: pathlib.Path, name: str) -> None:
    tree = write_tree(tmp_path / 'tree')
    for path in (name, 'ec2/latest/user-data', 'ec2/latest/meta-data.json'):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text('{}')
    refused(site, tree, f'{name} stands twice')


def test_a_folder_that_is_no_config_drive(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    refused(site, tmp_path, 'no config drive')
    refused(site, tmp_path / 'none', 'cannot be read: No such file')


@pytest.mark.parametrize('kind', ['link', 'pipe', 'dangling'])
def test_what_is_no_file_is_not_put_on_a_drive(
        site: ContextSite, tmp_path: pathlib.Path, kind: str) -> None:
    tree = write_tree(tmp_path / 'tree')
    path = tree / 'openstack' / 'x'
    if kind == 'pipe':
        os.mkfifo(path)
    else:
        path.symlink_to('/etc/shadow' if kind == 'link' else 'none')
    refused(site, tree, 'neither a file nor a folder')


@pytest.mark.parametrize('arguments, message', [
    ([], 'There is no output'), (['-o', 'd', '-V', 'x'], 'no folder'),
    (['-o', 'd', 'tree'], 'no label'), (['-V', 'x', 'tree'], 'no output'),
    (['-o'], '-o has no value'), (['-o', '', '-V', 'x', 't'], 'no value'),
    (['-o', 'd', '-V', 'x', ''], 'FOLDER has no value'),
    (['-o', 'd', '-V', 'x', 't', 'u'], 'two of folder'),
    (['-o', 'd', '-o', 'e', '-V', 'x', 't'], 'two of output'),
    (['-o', 'd', '-V', 'x', '-graft-points', 't'], '-graft-points'),
    (['-o', 'd', '-V', 'x', '-b', 'boot', 't'], '-b is unknown'),
    (['-o', 'd', '-V', 'x', '--help'], '--help is unknown'),
    (['-o', 'd', '-V', 'x', '-rational-rock', 't'], 'unknown')])
def test_other_arguments(site: ContextSite, tmp_path: pathlib.Path,
                         arguments: list[str], message: str) -> None:
    finished = subprocess.run(
        [program('hepix-vm-mkisofs'), *arguments], capture_output=True,
        text=True, cwd=tmp_path, timeout=60,
        env={**daemon.clean_environment(), **site.environment})
    assert finished.returncode == 2
    assert message in finished.stderr
    assert 'Usage: hepix-vm-mkisofs -o DRIVE' in finished.stderr
    assert finished.stderr.count('\n') == 1
    assert list(tmp_path.iterdir()) == [site.folder]


def test_a_label_that_cannot_be_written(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    tree = write_tree(tmp_path / 'tree')
    finished = subprocess.run(
        [program('hepix-vm-mkisofs'), '-o', str(tmp_path / 'd'), '-V',
         'x' * 17, str(tree)], capture_output=True, text=True, timeout=60,
        env={**daemon.clean_environment(), **site.environment})
    assert finished.returncode == 1
    assert 'label' in finished.stderr


@pytest.mark.parametrize('where', ['none/drive', '.', 'read-only'])
def test_an_output_that_cannot_be_written(
        site: ContextSite, tmp_path: pathlib.Path, where: str) -> None:
    path = tmp_path / where
    if where == 'read-only':
        path = pathlib.Path('/proc/self/drive')
    refused(site, write_tree(tmp_path / 'tree'), str(path),
            'cannot be written', drive=path)


def test_a_device_is_no_output(site: ContextSite,
                               tmp_path: pathlib.Path) -> None:
    refused(site, write_tree(tmp_path / 'tree'), 'cannot be written',
            drive=pathlib.Path('/dev/full'))


@pytest.mark.parametrize('kilobytes', [1, 33, 40, 100])
def test_of_a_full_disk_no_half_drive_is_left(
        site: ContextSite, tmp_path: pathlib.Path, kilobytes: int) -> None:
    tree = write_tree(tmp_path / 'tree', meta={'padding': BIG})
    drive = tmp_path / 'drive'
    assert site.mkisofs(drive, tree).returncode == 0
    assert drive.stat().st_size > 100 * 1024
    # A limit on the length of files is a disk that is full after so much.
    finished = site.mkisofs(drive, tree, prefix=(
        'prlimit', f'--fsize={kilobytes * 1024}'))
    assert finished.returncode == 1
    assert 'cannot be written: File too large' in finished.stderr
    assert finished.stderr.count('\n') == 1
    assert drive.stat().st_size == 0


def test_an_old_drive_is_left_alone_when_there_is_no_new_one(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    drive = tmp_path / 'drive'
    drive.write_bytes(b'old')
    site.write('rulez: []')
    assert site.mkisofs(drive, write_tree(tmp_path / 'tree')).returncode == 1
    assert drive.read_bytes() == b'old'


def test_a_failure_is_journalled_without_secrets(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    tree = write_tree(tmp_path / 'tree', uuid='u-7', admin_pass=SECRET,
                      name=BIG)
    refused(site, tree)
    record, = site.journal
    assert record['service'] == 'nova-compute'
    assert (record['event'], record['outcome'], record['server']) == (
        'context', 'failed', 'u-7')
    assert 'HEPIX_SERVER_NAME is 65536 bytes' in record['reason']
    assert any('template.py:' in place for place in record['where'])
    assert SECRET not in json.dumps(record)
    assert BIG[:1000] not in json.dumps(record)


def test_where_the_journal_cannot_be_written_the_line_is_the_same(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    site.write_settings(state_dir='/proc/none')
    refused(site, write_tree(tmp_path / 'tree', name=BIG),
            'HEPIX_SERVER_NAME is 65536 bytes')


@pytest.mark.parametrize('broken', ['yaml', 'name'])
def test_with_warn_the_drive_has_nova_s_files_only(
        site: ContextSite, tmp_path: pathlib.Path, broken: str) -> None:
    site.write_settings(context_failure='warn')
    if broken == 'yaml':
        site.write('rulez: []')
    tree = write_tree(tmp_path / 'tree', name=BIG)
    (tree / 'ec2' / 'latest').mkdir(parents=True)
    (tree / 'ec2' / 'latest' / 'user-data').write_text('x')
    finished = site.mkisofs(tmp_path / 'drive', tree)
    assert finished.returncode == 0
    assert finished.stderr.startswith(
        'hepix-vm-mkisofs: warning: no context is on the drive: ')
    assert finished.stderr.count('\n') == 1
    listed = subprocess.run(
        ['isoinfo', '-R', '-f', '-i', str(tmp_path / 'drive')], check=True,
        capture_output=True, text=True).stdout.splitlines()
    assert '/openstack/latest/meta_data.json' in listed
    assert not {'/prolog.sh', '/epilog.sh', '/context', '/user-data'} & set(
        listed)
    record, = site.journal
    assert (record['event'], record['outcome']) == ('context', 'left-out')


def test_with_warn_a_disk_that_is_full_is_a_failure(
        site: ContextSite, tmp_path: pathlib.Path) -> None:
    site.write_settings(context_failure='warn')
    finished = site.mkisofs(
        tmp_path / 'drive', write_tree(tmp_path / 'tree'),
        prefix=('prlimit', '--fsize=50000'))
    assert finished.returncode == 1
    assert (tmp_path / 'drive').stat().st_size == 0
