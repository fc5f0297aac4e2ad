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

"""A program that runs in the background until it is stopped."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import time
from typing import Self

from tests.testbed import process

_LOG_TAIL = 60  # lines
_POLL = 0.1  # seconds


class Daemon:
    """Starts and stops it; a context manager.

    :param folder: where its files and its log are; made if missing
    :param command: the program and its arguments
    :param environment: of the process, besides ours
    """

    def __init__(self, folder: pathlib.Path, command: Sequence[str],
                 environment: Mapping[str, str] = {}) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / 'service.log'
        self._command = list(command)
        self._environment = {**clean_environment(), **environment}
        self._process: process.ProcessGroup | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The id of its process, while it was not stopped."""
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        """Start it, and do not wait: :meth:`start` does."""
        if self._process is None:
            self._process = process.ProcessGroup(
                self._command, self.log, self._environment, self.folder)

    def start(self, timeout: float = 120.0) -> None:
        """Start it, if it is not spawned yet, and wait until it answers.

        :param timeout: seconds
        :raises RuntimeError: it ended or did not answer; with the log's end
        """
        self.spawn()
        assert self._process
        try:
            self._wait(self._process, timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it as an administrator does: SIGTERM, and wait."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Kill all its processes at once: for what would take its time."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _wait(self, running: process.ProcessGroup, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self.answers():
            status = running.exit_status()
            if status is None and time.monotonic() < deadline:
                time.sleep(_POLL)
                continue
            what = (f'did not answer in {timeout:.0f} s' if status is None
                    else f'ended with status {status}')
            tail = self.log.read_text(errors='replace').splitlines()
            raise RuntimeError('\n'.join([
                f'{self.folder.name} {what}; the end of its log:',
                *tail[-_LOG_TAIL:]]))

    def answers(self) -> bool:
        """Say whether it does its work."""
        raise NotImplementedError


def clean_environment() -> dict[str, str]:
    """Our environment, without what leads away from 127.0.0.1."""
    return {name: value for name, value in os.environ.items()
            if not name.lower().endswith('_proxy')}
