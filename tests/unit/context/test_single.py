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

"""Prolog and epilog as one script, in the shells that guests have."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.facts import Facts
from hepix_vm.context import single
from hepix_vm.context import template

SHELLS = (('dash',), ('bash',), ('bash', '--posix'), ('busybox', 'sh'))

OTHER = '/var/tmp'  # noqa: S108 of guests

# Letters whose UTF-8 has bytes that shells use for themselves.
LETTERS = ''.join(chr(number) for number in range(0xa0, 0x800)
                  if chr(number).isprintable())


def given(**prolog: bytes) -> Bundle:
    variables = template.of_server(Facts(uuid="it's $x", hostname='`h`\n'))
    return Bundle(
        dict(prolog),
        {'e': b'#!/bin/sh\necho epilog\n'},
        {bundle.VARIABLES: bundle.variables_file(variables),
         'files/text': File(f'{LETTERS}\n'.encode()),
         'files/binary': File(bytes(range(256)) * 9, 0o600)})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the prolog of a bundle as a guest does."""
    work = tmp_path / 'tmp'
    work.mkdir()
    monkeypatch.setenv('TMPDIR', str(work))

    def run(shell, bundle, *arguments):
        path = tmp_path / 'prolog'
        path.write_bytes(single.script('prolog', bundle))
        done = subprocess.run([*shell, path, *arguments], text=True,
                              capture_output=True, timeout=30, cwd='/',
                              umask=0o022)
        assert list(work.iterdir()) == []
        return done

    return run


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
def test_parts_have_their_files_variables_and_arguments(run, shell):
    part = (b'#!/bin/sh\n'
            b'echo "$1 $HEPIX_SERVER_UUID $HEPIX_SERVER_HOSTNAME"\n'
            b'cat context/files/text\numask\n'
            b'od -An -v -tu1 context/files/binary | tr -s "\\n " " "; echo\n'
            b'ls -l context/files/binary context/variables.sh | cut -c1-10\n'
            b'pwd; stat -c %a . context\n')
    done = run(shell, given(a=part))
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert lines[:4] == ["start it's $x `h`", '', LETTERS, '0022']
    assert bytes(map(int, lines[4].split())) == bytes(range(256)) * 9
    assert lines[5:7] == ['-rw-------'] * 2
    assert lines[8:] == ['700', '700']


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
def test_it_goes_on_and_keeps_the_first_status(run, shell):
    parts = given(a=b'#!/bin/sh\necho a $1\n', b=b'#!/bin/sh\nexit 3\n',
                  c=b'#!/bin/sh\necho c $1\nexit 4')
    done = run(shell, parts)
    assert (done.returncode, done.stdout) == (3, 'a start\nc start\n')
    assert 'prolog b failed with status 3' in done.stderr
    done = run(shell, parts, 'stop')
    assert (done.returncode, done.stdout) == (4, 'c stop\na stop\n')
    assert run(shell, parts, 'other').returncode == 2


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
@pytest.mark.parametrize('text', [
    b'echo END_OF_PART\nEND_OF_PART\nEND_OF_PART_2\n',
    b'echo "$(id)" \\\\ `id` ${x} \\\n',
    b'no line end', b'\\', b'\x01\x1b[0m\n', b''])
def test_files_arrive_as_they_are(run, shell, text):
    parts = given(a=b'#!/bin/sh\nod -An -v -tu1 context/files/odd\n')
    parts = parts._replace(files={**parts.files, 'files/odd': File(text)})
    done = run(shell, parts)
    assert bytes(map(int, done.stdout.split())) == text


def test_names_are_no_commands(run):
    parts = given(a=b"#!/bin/sh\ncat \"context/it's \\$(x)/y\"\n")
    parts = parts._replace(files={
        **parts.files, "it's $(x)/y": File(b'found\n')})
    assert run(('sh',), parts).stdout == 'found\n'


def test_without_a_folder_for_it_others_are_tried(run, monkeypatch):
    monkeypatch.setenv('TMPDIR', '/nowhere')
    done = run(('sh',), given(a=b'#!/bin/sh\npwd\n'))
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith(f'{OTHER}/hepix-vm.')
    assert not pathlib.Path(done.stdout.strip()).exists()


def test_a_folder_where_nothing_runs_is_passed_over(tmp_path):
    """Such as /tmp that is mounted with noexec."""
    tools, work = tmp_path / 'bin', tmp_path / 'tmp'
    tools.mkdir()
    work.mkdir()
    chmod = tools / 'chmod'
    chmod.write_text(f'#!/bin/sh\ncase $2 in {work}/*) exit ;; esac\n'
                     f'exec {shutil.which("chmod")} "$@"\n')
    chmod.chmod(0o755)
    path = tmp_path / 'prolog'
    path.write_bytes(single.script('prolog', given(
        a=b'#!/bin/sh\npwd\n')))
    done = subprocess.run(
        ['sh', path], capture_output=True, text=True, timeout=30,
        env={'PATH': f'{tools}:{os.environ["PATH"]}', 'TMPDIR': str(work)})
    assert done.returncode == 0, done.stderr
    assert list(work.iterdir()) == []
    assert done.stdout.startswith(f'{OTHER}/hepix-vm.')


def test_a_signal_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'prolog'
    path.write_bytes(single.script('prolog', given(
        a=b'#!/bin/sh\necho here\nsleep 1\n')))
    work = tmp_path / 'tmp'
    work.mkdir()
    running = subprocess.Popen(
        ['sh', path], stdout=subprocess.PIPE, start_new_session=True,
        env={**os.environ, 'TMPDIR': str(work)})
    assert running.stdout
    assert running.stdout.readline() == b'here\n'
    os.killpg(running.pid, signal.SIGTERM)
    assert running.wait(timeout=30) != 0
    running.stdout.close()
    deadline = time.monotonic() + 10
    while list(work.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(work.iterdir()) == []


def test_an_image_that_reads_the_drive_runs_nothing_twice(
        run, tmp_path, monkeypatch):
    runner = tmp_path / 'hepix-vm-context'
    runner.write_text('#!/bin/sh\n')
    runner.chmod(0o755)
    monkeypatch.setattr(single, 'RUNNER', str(runner))
    done = run(SHELLS[0], given(a=b'#!/bin/sh\necho twice\n'), 'start')
    assert (done.returncode, done.stdout, done.stderr) == (
        0, 'hepix-vm: this image runs the prolog of its drive\n', '')


def test_nothing_to_run_is_no_script():
    parts = given()
    assert single.script('prolog', parts) == b''
    assert b'epilog' in single.script('epilog', parts)
    assert b'prolog' not in single.script('epilog', parts)


def test_equal_bundles_are_equal_scripts():
    parts = given(a=b'#!/bin/sh\n', b=b'#!/bin/sh\n')
    turned = parts._replace(files=dict(reversed(parts.files.items())))
    assert single.script('prolog', parts) == single.script('prolog', turned)
