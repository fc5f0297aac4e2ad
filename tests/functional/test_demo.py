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

"""The demo as people run it: right to the end, and nothing left behind."""

from collections.abc import Callable
from collections.abc import Iterator
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

from tests.testbed import images
from tools.demo import cases
from tools.demo import routes

ROOT = pathlib.Path(__file__).parents[2]
MARK = 'HEPIX_VM_TEST_MARK'
LIMIT = 120.0  # seconds

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def tmp_path() -> Iterator[pathlib.Path]:
    """A folder whose name is short: it is told, or names sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


@pytest.fixture
def mark() -> str:
    """What processes of one demo have in their environment."""
    return f'{MARK}={uuid.uuid4()}'


@pytest.fixture
def start(tmp_path: pathlib.Path, mark: str) -> Iterator[Start]:
    """Start demos whose temporary folder is the test's."""
    environment = {**os.environ, 'TMPDIR': str(tmp_path),
                   MARK: mark.partition('=')[2],
                   # Made here if need be, not in the demo.
                   'HEPIX_VM_KERNEL_DIR': str(images.kernel_folder())}
    started = []
    timers = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        started.append(subprocess.Popen(
            [sys.executable, '-m', 'tools.demo', *arguments], cwd=ROOT,
            env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        # A test that waits for a line must not wait for ever.
        timers.append(threading.Timer(LIMIT, started[-1].kill))
        timers[-1].start()
        return started[-1]

    yield start
    for timer in timers:
        timer.cancel()
    for process in started:
        with process:
            process.kill()
    for pid in running(mark, tmp_path):
        os.kill(pid, signal.SIGKILL)


def running(mark: str, folder: pathlib.Path) -> list[int]:
    """Return the processes of a demo.

    They have its mark; gunicorn writes its title over its environment,
    and is known by its working directory.
    """
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            environment = (path / 'environ').read_bytes()
            working = (path / 'cwd').readlink()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # It ended, or somebody else runs it.
        if (mark.encode() in environment.split(b'\0')
                or working.is_relative_to(folder)):
            found.append(int(path.name))
    return found


def read_until(process: subprocess.Popen[str], last: str) -> str:
    """Return what is printed up to a line that begins so."""
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if line.startswith(last):
            return ''.join(lines)
    raise AssertionError(''.join(lines))


def end(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal and return what is printed from then on."""
    process.send_signal(number)
    return process.communicate(timeout=LIMIT)[0]


def test_demo(start: Start, tmp_path: pathlib.Path, mark: str) -> None:
    process = start('--keep')
    printed = read_until(process, '# all images')
    assert process.stdout is not None
    printed += process.stdout.readline() + process.stdout.readline()
    assert max(map(len, printed.splitlines())) <= 79
    assert images.GREETING in printed
    attempts = len(cases.CASES) * len(routes.ROUTES)
    assert f'\n{attempts} attempts, {attempts} as expected, 0 not.' in printed
    assert len(re.findall(r'\n  .* \(direct upload, HTTP 422\):\n    Refused ',
                          printed)) == 7
    for line in ('| bring ', 'bring: "Demo" of "Images of Example Site"',
                 'total: 1 image came in'):
        assert f'\n    {line}' in printed
    assert len(running(mark, tmp_path)) > 1
    check_commands(printed[printed.index('\ncd '):])
    assert 'stopping Glance' in end(process, signal.SIGINT)
    assert process.returncode == 0
    assert running(mark, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def check_commands(commands: str) -> None:
    """Send what the demo says that one may send."""
    finished = subprocess.run(
        ['bash', '-euc', commands], text=True, timeout=LIMIT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert finished.returncode == 0, finished.stdout
    assert '"hepix_state": "endorsed"' in finished.stdout
    assert '[not-endorsed]' in finished.stdout
    assert '"status": "queued"' in finished.stdout
    assert re.search(r'\| blocked +\| [0-9a-f-]{36} \| trying +\|',
                     finished.stdout)
    assert '"hepix_state": "blocked"' in finished.stdout


def test_stopped_amid_the_table(start: Start, tmp_path: pathlib.Path,
                                mark: str) -> None:
    process = start('--server', 'gunicorn')
    read_until(process, 'endorsed, raw ')  # the first row
    assert len(running(mark, tmp_path)) > 1
    assert 'stopped by SIGTERM' in end(process, signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert running(mark, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_stopped_while_glance_starts(start: Start, tmp_path: pathlib.Path,
                                     mark: str) -> None:
    process = start()
    read_until(process, '== starting Glance')
    end(process, signal.SIGINT)
    assert process.returncode == 128 + signal.SIGINT
    assert running(mark, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
