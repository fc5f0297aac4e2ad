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

"""What is shipped for systemd and logrotate, as these programs read it."""

import configparser
import grp
import json
import os
import pathlib
import pwd
import re
import shlex
import subprocess

import pytest

from hepix_vm.journal import Journal
from hepix_vm import opts

ROOT = pathlib.Path(__file__).parents[2]
ETC = ROOT / 'etc' / 'hepix_vm'
DOCS = ROOT / 'doc' / 'source'
STATE_DIR, = (opt.default for opt in opts.OPTS if opt.dest == 'state_dir')
SERVICES = ['hepix-vm-sync', 'hepix-vm-sweep']
# Who owns what, and the mode, in the words of install(1).
FOLDERS = {'': '0750', '/lists': '0750', '/previous': '0750',
           '/fetched': '0750', '/journal': '3770'}
PATH = f'{os.environ["PATH"]}:/usr/sbin:/sbin'


def run(*command, **more):
    return subprocess.run(
        command, text=True, timeout=60, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, 'PATH': PATH}, **more)


def unit(name):
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, delimiters='=')
    parser.optionxform = str
    parser.read(ETC / name)
    return parser


@pytest.mark.parametrize('name', SERVICES)
def test_systemd_understands_the_units(tmp_path, name):
    """It only warns of what it does not know, and goes on without."""
    program = tmp_path / 'hepix-vm-sync'
    program.write_text('#!/bin/sh\n')
    program.chmod(0o755)
    paths = []
    for kind in ('service', 'timer'):
        path = tmp_path / f'{name}.{kind}'
        path.write_text((ETC / path.name).read_text().replace(
            'ExecStart=hepix-vm-sync', f'ExecStart={program}'))
        paths.append(str(path))
    done = run('systemd-analyze', 'verify', *paths)
    assert (done.returncode, done.stdout) == (0, '')


@pytest.mark.parametrize(('name', 'arguments', 'when'), [
    ('hepix-vm-sync', [], 'hourly'), ('hepix-vm-sweep', ['--sweep'],
                                      '*:0/5')])
def test_what_the_units_do(name, arguments, when):
    service = unit(f'{name}.service')['Service']
    assert shlex.split(service['ExecStart']) == ['hepix-vm-sync', *arguments]
    assert (service['User'], service['Group']) == ('hepix-vm', 'glance')
    assert service['ReadWritePaths'].split()[0] == STATE_DIR
    assert service['Type'] == 'oneshot'
    assert service['UMask'] == '0027'
    assert service['Environment'] == (
        f'XDG_CACHE_HOME=/var/cache/{service["CacheDirectory"]}')
    timer = unit(f'{name}.timer')['Timer']
    assert timer['OnCalendar'] == when
    assert timer['RandomizedDelaySec']


def test_both_services_are_confined_alike():
    own = {'ExecStart', 'CacheDirectory', 'Environment', 'TimeoutStartSec',
           'ReadWritePaths'}
    sync, sweep = ({key: value for key, value in unit(
        f'{name}.service')['Service'].items() if key not in own}
        for name in SERVICES)
    assert sync == sweep
    assert {'ProtectSystem', 'NoNewPrivileges', 'CapabilityBoundingSet',
            'SystemCallFilter'} <= set(sync)


def made(root):
    """Make user and folders below a folder, as systemd does at boot."""
    (root / 'etc').mkdir(parents=True)
    for command in (['systemd-sysusers', ETC / 'hepix-vm.sysusers'],
                    ['systemd-tmpfiles', '--create',
                     ETC / 'hepix-vm.tmpfiles']):
        done = run(command[0], f'--root={root}', *map(str, command[1:]))
        assert done.returncode == 0, done.stdout
    users = {fields[0]: tuple(map(int, fields[2:4])) for fields in (
        line.split(':') for line in
        (root / 'etc' / 'passwd').read_text().splitlines())}
    groups = {fields[0]: int(fields[2]) for fields in (
        line.split(':') for line in
        (root / 'etc' / 'group').read_text().splitlines())}
    return users, groups


def test_the_user_and_the_folders(tmp_path):
    lines = (ETC / 'hepix-vm.tmpfiles').read_text().splitlines()
    declared = {fields[1]: fields[2:] for fields in map(str.split, lines)
                if fields and fields[0] == 'd'}
    assert declared == {
        f'{STATE_DIR}{path}': [mode, 'hepix-vm', 'glance', '-']
        for path, mode in FOLDERS.items()}
    if os.geteuid() == 0:  # nobody else may give files away
        users, groups = made(tmp_path / 'root')
        assert users['hepix-vm'][1] == groups['glance']
        for path, mode in FOLDERS.items():
            found = pathlib.Path(f'{tmp_path}/root{STATE_DIR}{path}').stat()
            assert (found.st_uid, found.st_gid) == users['hepix-vm']
            assert found.st_mode & 0o7777 == int(mode, 8)


def as_user(uid, gid, work):
    """Return what some work answers that is done as another user."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            answer = work()
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        answer = json.load(file)
    os.waitpid(child, 0)
    return answer


@pytest.fixture
def reachable(tmp_path):
    """Let other users reach the folder of a test."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path / 'root'


def test_what_glance_may_do_there(reachable):
    """It reads the lists, and writes a journal of its own, no more."""
    if os.geteuid():
        declared = (ETC / 'hepix-vm.tmpfiles').read_text()
        assert 'glance glance' not in declared
        return
    users, groups = made(reachable)
    state = pathlib.Path(f'{reachable}{STATE_DIR}')
    keeper, glance = users['hepix-vm'], (12345, groups['glance'])

    def journal(service):
        def work():
            Journal(str(state), service).record({'event': 'verdict'})
            return (state / 'journal' / f'{service}.jsonl').read_text()
        return work

    def store():
        os.umask(0o027)
        (state / 'lists' / 'a.smime').write_text('a list')

    as_user(*keeper, store)
    assert 'verdict' in as_user(*keeper, journal('hepix-vm-sync'))
    assert 'verdict' in as_user(*glance, journal('glance-api'))
    assert as_user(
        *glance, (state / 'lists' / 'a.smime').read_text) == 'a list'
    for path in ('lists/a.smime', 'lists/b.smime', 'told.db',
                 'fetched/a.json', 'journal/hepix-vm-sync.jsonl'):
        assert as_user(*glance, lambda path=path: (
            state / path).open('a').close()) == 'PermissionError', path
    for path in ('lists/a.smime', 'journal/hepix-vm-sync.jsonl'):
        assert as_user(*glance, (state / path).unlink) == 'PermissionError'
    assert as_user(*glance, lambda: (state / 'lists').rename(
        state / 'journal' / 'lists')) == 'PermissionError'


SHIPPED = {'hepix-vm.logrotate': ('hepix-vm-sync', 'glance-api'),
           'hepix-vm-nova.logrotate': (
               'nova-api', 'nova-scheduler', 'nova-compute')}


def rotation(folder, name='hepix-vm.logrotate'):
    """Return a shipped file for journals below a folder, and by us."""
    us = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    text = (ETC / name).read_text()
    assert set(re.findall(r'^ *su (.*)', text, re.MULTILINE)) <= {
        'hepix-vm glance', 'glance glance', 'nova hepix-vm'}
    text = re.sub(r'^ *su .*', f'su {us} {group}', text,
                  flags=re.MULTILINE)
    path = folder / name
    path.write_text(text.replace(STATE_DIR, str(folder)))
    path.chmod(0o644)
    return path


@pytest.mark.parametrize('name, blocks', [
    ('hepix-vm.logrotate', 2), ('hepix-vm-nova.logrotate', 1)])
def test_logrotate_understands_its_file(tmp_path, name, blocks):
    done = run('logrotate', '-d', str(rotation(tmp_path, name)))
    assert done.returncode == 0, done.stdout
    assert 'error' not in done.stdout.lower()
    assert done.stdout.count('weekly (52 rotations)') == blocks


@pytest.mark.parametrize('name', SHIPPED)
def test_journals_are_rotated_and_go_on(tmp_path, name):
    config, state = rotation(tmp_path, name), tmp_path / 'rotated'
    services = SHIPPED[name]
    for number in range(3):
        for service in services:
            Journal(str(tmp_path), service).record({'number': number})
        done = run('logrotate', '-f', '-s', str(state), str(config))
        assert (done.returncode, done.stdout) == (0, '')
    folder = tmp_path / 'journal'
    assert {path.name for path in folder.iterdir()} == {
        f'{service}.jsonl.{end}' for service in services
        for end in ('1', '2.gz', '3.gz')}
    for service in services:
        assert '"number": 2' in (
            folder / f'{service}.jsonl.1').read_text()
        assert (folder / f'{service}.jsonl.1').stat().st_mode & 0o777 == (
            0o640)


def test_nova_takes_nothing_from_glance():
    """The steps of Nova are done where those of Glance were."""
    for page in ('nova', 'cinder'):
        text = (DOCS / 'install' / f'{page}.rst').read_text()
        commands = text.replace('\\\n', ' ').splitlines()
        ours = [command for command in commands if re.search(
            rf'install .*({STATE_DIR}|/etc/hepix-vm|\$folder)', command)]
        for command in ours:
            assert re.match(r' *test -[de] .*\|\| +install ', command) or (
                '-d' not in command), command
            assert '-o root -g hepix-vm' in command
        assert bool(ours) == (page == 'nova')
    # The shipped files of Glance, as the page changes them.
    text = (DOCS / 'install' / 'nova.rst').read_text()
    for name, left in (('tmpfiles', 'glance -'), ('logrotate', 'glance$')):
        change, = re.findall(
            rf"sed -i '(.*)' /etc/{name}\.d/hepix-vm", text)
        done = run('sed', change, str(ETC / f'hepix-vm.{name}'))
        assert not re.search(f'hepix-vm {left}', done.stdout, re.MULTILINE)
        assert 'su glance hepix-vm' in done.stdout or name == 'tmpfiles'


def test_pages_speak_of_the_same_user():
    """Nobody is told to run the commands, or to own the lists, as glance."""
    pages = [ROOT / 'README.md', *DOCS.rglob('*.rst')]
    for page in pages:
        text = page.read_text()
        assert 'sudo -u glance hepix-vm-sync' not in text, page
        assert 'install -o root -g glance -m 0640 image.list' not in text
    install = (DOCS / 'install' / 'index.rst').read_text()
    for name in ('sysusers', 'tmpfiles', 'logrotate'):
        assert f'hepix-vm.{name}' in install
    for path, mode in FOLDERS.items():
        assert (f'``{STATE_DIR}{path}/``\n     - hepix-vm:glance {mode}'
                in install), path
