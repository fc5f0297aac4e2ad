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

"""What the programs on PATH of a machine ask, by a socket.

``openstack`` runs in a process that has loaded it already, as DevStack's own
openstack-cli-server does: a command takes a third of a second. ``systemctl``
starts and stops what units say, which DevStack and the plugin write.
"""

from collections.abc import Callable
import configparser
import json
import pathlib
import shlex
import socket
import threading
from typing import Any
from typing import Self

from tests.testbed.process import ProcessGroup

_MOST = 1 << 20  # bytes of a question


class Answering:
    """Answers questions at a socket, in a thread; a context manager.

    :param path: of the socket
    :param answer: gets the arguments, and returns a status and a text
    """

    def __init__(self, path: pathlib.Path,
                 answer: Callable[[list[str]], tuple[int, str]]) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        # Wakes up who waits for questions.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # It was shut down.
            with connection:
                question = json.loads(connection.makefile().readline())
                status, text = self._answer(question)
                connection.sendall(json.dumps([status, text]).encode())


class Units:
    """Stands in for systemd.

    :param folder: of the units
    :param logs: a folder for what they print
    :param environment: what each of them gets
    """

    def __init__(self, folder: pathlib.Path, logs: pathlib.Path,
                 environment: dict[str, str]) -> None:
        self._folder = folder
        self._logs = logs
        self._environment = environment
        self.enabled: set[str] = set()
        self.running: dict[str, ProcessGroup] = {}
        self.asked: list[list[str]] = []

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        """Do what ``systemctl`` is called for."""
        self.asked.append(arguments)
        verb, *names = [each for each in arguments if each[:1] != '-']
        if verb == 'daemon-reload':
            return 0, ''
        known = {'enable': self.enabled.add, 'start': self.start,
                 'restart': self.restart, 'stop': self.stop,
                 'disable': self.enabled.discard, 'is-enabled': None,
                 'is-active': None, 'reset-failed': lambda name: None}
        if verb not in known or len(names) != 1:
            return 97, f'systemctl {arguments} is not expected here'
        name = names[0].removesuffix('.service')
        if verb == 'is-enabled':
            return (0, 'enabled') if name in self.enabled else (1, 'disabled')
        if verb == 'is-active':
            return (0, 'active') if self.active(name) else (3, 'inactive')
        try:
            known[verb](name)
        except (OSError, LookupError, configparser.Error) as error:
            return 5, f'{name}: {type(error).__name__}: {error}'
        return 0, ''

    def path(self, name: str) -> pathlib.Path:
        """The file of a unit."""
        return self._folder / f'{name}.service'

    def log(self, name: str) -> str:
        """What a unit has printed."""
        return (self._logs / f'{name}.log').read_text(errors='replace')

    def active(self, name: str) -> bool:
        """Whether it runs."""
        return (name in self.running
                and self.running[name].exit_status() is None)

    def start(self, name: str) -> None:
        """Run a unit, unless it runs."""
        if self.active(name) or not name.startswith('devstack@'):
            return  # What is not DevStack's is not on this machine.
        self.stop(name)
        service = self.service(name)
        self.running[name] = ProcessGroup(
            shlex.split(service['ExecStart']), self._logs / f'{name}.log',
            {**self._environment, **_assignments(
                service.get('Environment', ''))}, self._logs)

    def service(self, name: str) -> dict[str, str]:
        """The options of a unit.

        :raises LookupError: there is none
        """
        parser: Any = configparser.RawConfigParser(strict=True)
        parser.optionxform = str
        if not parser.read(self.path(name)):
            raise LookupError('no such unit')
        return dict(parser['Service'])

    def stop(self, name: str) -> None:
        """Stop a unit, if it runs."""
        if name in self.running:
            self.running.pop(name).stop()

    def restart(self, name: str) -> None:
        """Stop it, and start it."""
        self.stop(name)
        self.start(name)

    def kill(self) -> None:
        """Kill all of them."""
        while self.running:
            self.running.popitem()[1].kill()


def _assignments(text: str) -> dict[str, str]:
    return dict(word.split('=', 1) for word in shlex.split(text))
