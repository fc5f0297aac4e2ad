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

"""A whole cloud in the background, kept from start to start.

What ``tools/stack.sh`` runs: python -m tests.testbed.standing COMMAND
"""

import argparse
from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from tests.testbed import cache

_LIMIT = 600.0  # seconds, of a start on a busy machine
_POLL = 0.2  # seconds
_TAIL = 30  # lines
KINDS = ('sqlite', 'mariadb')  # of databases
# Statuses, as init scripts have them, and as shells say SIGINT.
_RUNS, _FAILED, _NOT, _INTERRUPTED = 0, 1, 3, 130


class Standing:
    """The cloud of one folder.

    :param folder: where all its files are
    :param database: of :data:`KINDS`; by default what its databases are
        already, or else the first
    """

    def __init__(self, folder: pathlib.Path, database: str = '') -> None:
        self._wanted = database
        self.folder = folder
        self.log = folder / 'log'
        self._lock = folder / 'lock'
        self._state = folder / 'state.json'
        self._database = folder / 'database'
        self.openrc = folder / 'openrc'
        self._process: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """Return the process that runs it, or None.

        That process holds a lock, which ends with it: its number in the
        file is not believed of another one.
        """
        try:
            lock = self._lock.open()
        except FileNotFoundError:
            return None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
        return None

    def state(self) -> dict[str, Any]:
        """Return what it says of itself; nothing before it is ready."""
        try:
            return dict(json.loads(self._state.read_text()))
        except FileNotFoundError:
            return {}

    @property
    def database(self) -> str:
        """What its databases are, or will be."""
        try:
            return self._database.read_text()
        except FileNotFoundError:
            return self._wanted or KINDS[0]

    def start(self) -> int:
        """Start it, unless it runs, and wait until it is ready."""
        if self._wanted not in ('', self.database):
            print(f'The cloud in {self.folder} has its databases in '
                  f'{self.database}, which does not change: go on without '
                  '--database, or begin anew with clean.', file=sys.stderr)
            return _FAILED
        if self.pid() is None:
            self._spawn()
        try:
            started = self._wait()
        except KeyboardInterrupt:
            return self._interrupted()
        if not started:
            tail = self.log.read_text(errors='replace').splitlines()
            print('\n'.join([*tail[-_TAIL:], 'The cloud did not start; the '
                             f'whole log: {self.log}']), file=sys.stderr)
            self.stop()
            return _FAILED
        print(self.state()['help'])
        return _RUNS

    def _interrupted(self) -> int:
        """Stop what this command started; what another did goes on."""
        if self._process is None:
            print(f'It starts all the same; the log: {self.log}',
                  file=sys.stderr)
        else:
            self._process.terminate()
            self._process.wait(_LIMIT)
            print(f'Stopped. What it has stays in {self.folder}',
                  file=sys.stderr)
        return _INTERRUPTED

    def _wait(self) -> bool:
        """Wait until it is ready; return whether it is."""
        deadline = time.monotonic() + _LIMIT
        while not self.state():
            if self._ended() or time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def stop(self) -> int:
        """Stop it and wait; the folder stays."""
        number = self.pid()
        if number is None:
            print('It does not run.')
            return _RUNS
        os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + _LIMIT
        while self.pid() is not None:
            if time.monotonic() > deadline:
                print(f'Process {number} does not end; the log: {self.log}',
                      file=sys.stderr)
                return _FAILED
            time.sleep(_POLL)
        print(f'Stopped. What it has stays in {self.folder}')
        return _RUNS

    def status(self) -> int:
        """Say what of it runs."""
        number = self.pid()
        if number is None:
            print('It does not run.')
            return _NOT
        if not self.state():
            print(f'It starts (process {number}); the log: {self.log}')
            return _FAILED
        dead = False
        for name, part in self.state()['parts'].items():
            alive = _runs(part['pid'])
            dead |= not alive
            print(f'{name:16} {"runs" if alive else "ENDED":6} '
                  f'{part["pid"]:>8}  {part["log"]}')
        print(self.state()['help'])
        return _FAILED if dead else _RUNS

    def clean(self) -> int:
        """Stop it, and remove all that it has."""
        failed = self.stop()
        if not failed and self.folder.exists():
            shutil.rmtree(self.folder)
            print(f'Removed {self.folder}')
        return failed

    def run(self) -> None:
        """Run it until SIGTERM; in the process that :meth:`start` makes."""
        # Only here: the other commands need nothing but Python.
        from tests.testbed.stack import Stack
        signal.signal(signal.SIGTERM, _end)
        new_site = not (self.folder / 'site').exists()
        with self._locked(), Stack(
                self.folder, database=self.database) as stack:
            if new_site:
                # As a site is that was installed just now.
                shutil.copy(cache.ROOT / 'etc' / 'hepix_vm' / 'policy.yaml',
                            stack.site.folder)
            # What starts a program of its own is found there.
            self.openrc.write_text(''.join(
                f'export {name}={shlex.quote(value)}\n'
                for name, value in {
                    **stack.environment,
                    cache.ENVIRONMENT: str(cache.directory())}.items())
                + f'PATH={shlex.quote(str(_programs()))}:$PATH\n')
            new = self._state.with_suffix('.new')
            new.write_text(json.dumps({
                'help': self._help(stack.site.folder),
                'parts': {daemon.folder.name: {
                    'pid': daemon.pid, 'log': str(daemon.log)}
                    for daemon in stack.daemons()}}))
            new.replace(self._state)
            while True:
                signal.pause()

    def _spawn(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._state.unlink(missing_ok=True)
        self._database.write_text(self.database)
        with self.log.open('wb') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', __spec__.name, 'run',
                 '--folder', str(self.folder)],
                cwd=cache.ROOT, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def _ended(self) -> bool:
        # Until it has the lock, only who made it knows of it.
        return (self._process.poll() is not None if self._process
                else self.pid() is None)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open('a+') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                self._state.unlink(missing_ok=True)

    def _help(self, site: pathlib.Path) -> str:
        return f"""\
The cloud runs. What leads the command openstack to it, as alice of the
project atlas (OS_CLOUD=bob, of cms; carol, of lhcb; admin):
  . {shlex.quote(str(self.openrc))}
The files of its site: {site}
An image that boots: tools/image.sh FILE
How to go on: doc/source/user/tutorial.rst, in a folder of your own that has
what it speaks of:
  ln -s {shlex.quote(str(site))} site
  ln -s {shlex.quote(str(cache.ROOT))} hepix-vm"""


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog='tools/stack.sh')
    parser.add_argument('command', choices=(
        'start', 'stop', 'status', 'clean', 'run'))
    parser.add_argument('--folder', type=pathlib.Path)
    parser.add_argument('--database', choices=KINDS, default='')
    arguments = parser.parse_args()
    standing = Standing(
        (arguments.folder or cache.directory() / 'stack').absolute(),
        arguments.database)
    return getattr(standing, arguments.command)() or 0


def _runs(pid: int) -> bool:
    """Say whether a process runs; who started it may not have looked."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The state follows the name, which is in parentheses (proc(5)).
    return text[text.rindex(')') + 2] != 'Z'


def _end(*unused: object) -> None:
    sys.exit(0)


def _programs() -> pathlib.Path:
    return pathlib.Path(sys.executable).parent


if __name__ == '__main__':
    sys.exit(main())
