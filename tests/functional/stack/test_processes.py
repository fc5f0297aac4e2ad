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

"""Nothing is left of a whole cloud, however it ends."""

from collections.abc import Iterator
import pathlib
import signal
import subprocess
import sys
import tempfile

import libvirt
import pytest

from tests.testbed import cache
from tests.testbed.client import wait
from tests.testbed.hypervisor import Libvirt
from tests.testbed.keystone import Keystone
from tests.testbed.stack import Stack

# What holds a server without a disk: it is not to get anywhere.
_SERVER = """\
<domain type='qemu'><name>idle</name><memory unit='MiB'>64</memory>
  <os><type machine='pc'>hvm</type></os></domain>"""

_KILLED = """\
import os
import pathlib
import signal
import sys
import tempfile

from tests.testbed.hypervisor import Libvirt

folder = pathlib.Path(sys.argv[1])
tempfile.tempdir = str(folder)
Libvirt(folder).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def tmp_path() -> Iterator[pathlib.Path]:
    """A folder whose name is short: it is told, or names sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


def processes(text: str) -> list[str]:
    """Return what runs with a text in its arguments or its folder's name."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            command = (path / 'cmdline').read_text().replace('\0', ' ')
            folder = (path / 'cwd').readlink()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # It ended while it was looked at, or is not ours.
        if text in command or text in str(folder):
            found.append(command)
    return found


def test_servers_end_with_their_hypervisor(tmp_path: pathlib.Path) -> None:
    with Libvirt(tmp_path) as hypervisor:
        home = hypervisor.uri.partition('socket=')[2].removesuffix(
            '/libvirt/libvirt-sock')
        connection = libvirt.open(hypervisor.uri)
        connection.createXML(_SERVER)
        assert len(processes(f'{home}/libvirt/qemu')) == 1
        connection.close()
    wait(lambda: processes(home), lambda found: not found)
    assert not pathlib.Path(home).exists()


def test_a_run_that_is_killed_takes_its_hypervisor_along(
        tmp_path: pathlib.Path) -> None:
    finished = subprocess.run(
        [sys.executable, '-c', _KILLED, str(tmp_path)], cwd=cache.ROOT)
    assert finished.returncode == -signal.SIGKILL
    wait(lambda: processes(str(tmp_path)), lambda found: not found)


def test_a_start_that_fails_stops_what_was_started(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(tmp_path)

    def fail(self: Keystone, timeout: float = 0.0) -> None:
        wait(stack.compute.libvirt.answers, bool)
        assert len(processes(str(tmp_path))) > 2
        raise RuntimeError('Keystone does not start')

    monkeypatch.setattr(Keystone, 'start', fail)
    with pytest.raises(RuntimeError, match='Keystone does not start'):
        stack.__enter__()
    assert processes(str(tmp_path)) == []
