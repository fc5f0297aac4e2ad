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


"""The whole cloud that tools/stack.sh keeps in the background."""

from collections.abc import Iterator
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
import yaml

from tests.testbed import cache
from tests.testbed.client import wait
from tests.testbed import guest
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.testbed import standing

_LIMIT = 600  # seconds


class Script:
    """Runs tools/stack.sh.

    :param folder: where the cloud is
    """

    # What tools/stack.sh does before was done for these tests.
    START = (sys.executable, '-m', 'tests.testbed.standing', 'start')

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def __call__(self, command: str, status: int = 0, *more: str) -> str:
        """Run a command, and return what it prints."""
        program = self.START if command == 'start' else (
            'bash', str(cache.ROOT / 'tools' / 'stack.sh'), command)
        done = subprocess.run(
            [*program, '--folder', str(self.folder), *more],
            cwd=cache.ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, 'HEPIX_VM_VENV': sys.prefix},
            stderr=subprocess.STDOUT, timeout=_LIMIT)
        assert done.returncode == status, done.stdout
        return done.stdout

    def openstack(self, words: str) -> str:
        """Run a command of openstack as the file says that it prints."""
        return subprocess.run(
            ['bash', '-euc', f'. "$1"; openstack {words}', 'bash',
             str(self.folder / 'openrc')], check=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            timeout=_LIMIT).stdout.strip()


def process_ended(pid: int) -> bool:
    """Say whether the kernel is done with a process."""
    return ' Z ' in pathlib.Path(f'/proc/{pid}/stat').read_text()


@pytest.fixture
def script(tmp_path: pathlib.Path) -> Iterator[Script]:
    made = Script(tmp_path / 'stack')
    yield made
    made('clean')


def accept_alice(script: Script) -> None:
    """Let the site of a new cloud accept what Alice endorses."""
    # It begins as a site does that accepts nobody yet.
    policy = script.folder / 'site' / 'policy.yaml'
    shipped = cache.ROOT / 'etc' / 'hepix_vm' / 'policy.yaml'
    assert policy.read_text() == shipped.read_text()
    policy.write_text(yaml.safe_dump(
        {'endorsers': [{'dn': ALICE, 'ca': CA}]}))


def upload(script: Script, disk: pathlib.Path) -> None:
    """Bring in an image that boots, and that Alice endorses."""
    keys = script.folder / 'site' / 'keys'
    guest.disk(disk)
    script.openstack(
        f'image endorsement create {disk} --upload mine --title Mine '
        '--distro debian --distro-version 12 --architecture x86_64 '
        '--hypervisor kvm --image-version 1 --disk-format raw '
        f'--expires +2d --certificate {keys}/alice.pem '
        f'--key {keys}/alice.key')


def glance_urls(script: Script) -> str:
    """Return where Glance answers."""
    return script.openstack('--os-cloud admin catalog show image '
                            '-c endpoints -f value')


def running(script: Script) -> dict[str, int]:
    """Return what runs, and its processes."""
    return {name: int(pid) for name, pid in re.findall(
        r'(?m)^(\S+) +runs +(\d+) ', script('status'))}


def test_a_cloud_is_gone_on_with(
        script: Script, tmp_path: pathlib.Path) -> None:
    """One with MariaDB: those of the other modules have sqlite."""
    assert 'It does not run.' in script('status', 3)
    assert f'. {script.folder}/openrc' in script(
        'start', 0, '--database', 'mariadb')
    parts = running(script)
    assert {'keystone', 'glance', 'placement', 'nova', 'nova-compute',
            'nova-scheduler', 'rabbitmq', 'libvirt', 'vendordata',
            'mariadb'} <= {*parts}
    accept_alice(script)
    upload(script, tmp_path / 'disk.raw')
    script.openstack('server create kept --image mine --flavor small '
                     '--nic none --wait')
    url = glance_urls(script)
    # One that was started is not started twice.
    script('start')
    assert running(script) == parts
    pid = parts['nova-compute']
    os.kill(pid, signal.SIGKILL)
    wait(lambda: process_ended(pid), bool)
    assert re.search(r'(?m)^nova-compute +ENDED ', script('status', 1))

    assert str(script.folder) in script('stop')
    assert 'It does not run.' in script('status', 3)
    assert 'It does not run.' in script('stop')
    script('start')
    # Its server runs again.
    wait(lambda: script.openstack('console log show kept'),
         lambda said: 'welcomes' in said)
    assert glance_urls(script) != url
    assert list(script.folder.rglob('*.sqlite')) == []
    script('clean')
    assert not script.folder.exists()


def test_a_start_that_fails_says_why(script: Script) -> None:
    script.folder.mkdir()
    (script.folder / 'glance').write_text('in the way')
    said = script('start', 1)
    assert 'The cloud did not start' in said
    assert 'FileExistsError' in said
    assert 'It does not run.' in script('status', 3)


def test_a_start_that_is_interrupted_leaves_nothing(script: Script) -> None:
    start = subprocess.Popen(
        [*Script.START, '--folder', str(script.folder)], cwd=cache.ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with start:
        wait(lambda: standing.Standing(script.folder).pid(), bool)
        start.send_signal(signal.SIGINT)
        said = start.communicate(timeout=_LIMIT)[0]
    assert start.returncode == 130
    assert said == f'Stopped. What it has stays in {script.folder}\n'
    assert 'It does not run.' in script('status', 3)


def test_what_its_databases_are_is_said_once(script: Script) -> None:
    script.folder.mkdir()
    (script.folder / 'mariadb').write_text('in the way')
    said = script('start', 1, '--database', 'mariadb')
    assert f"File exists: '{script.folder}/mariadb'" in said
    # It is gone on with as it was made, and not as something else.
    assert f"File exists: '{script.folder}/mariadb'" in script('start', 1)
    said = script('start', 1, '--database', 'sqlite')
    assert 'has its databases in mariadb' in said
    assert 'Traceback' not in said


@pytest.mark.parametrize(('arguments', 'status'), [
    ((), 2), (('restart',), 2), (('--help',), 0)])
def test_usage(arguments: tuple[str, ...], status: int) -> None:
    done = subprocess.run(
        ['bash', str(cache.ROOT / 'tools' / 'stack.sh'), *arguments],
        capture_output=True, text=True, timeout=_LIMIT)
    assert done.returncode == status
    assert 'usage: tools/stack.sh' in (done.stderr if status
                                       else done.stdout)


def test_nothing_is_set_up_to_say_that_nothing_runs(
        tmp_path: pathlib.Path) -> None:
    for command, status in (('status', 3), ('stop', 0), ('clean', 0)):
        done = subprocess.run(
            ['bash', str(cache.ROOT / 'tools' / 'stack.sh'), command],
            capture_output=True, text=True, timeout=_LIMIT, env={
                **os.environ, 'HEPIX_VM_VENV': str(tmp_path / 'none'),
                'HEPIX_VM_CACHE': str(tmp_path)})
        assert done.returncode == status, done.stderr
        assert 'It does not run.' in done.stdout
        assert list(tmp_path.iterdir()) == []
