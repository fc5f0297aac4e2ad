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

"""A real glance-api on loopback, without Keystone."""

import contextlib
import http.client
import os
import pathlib
import secrets
import socket
import subprocess
import sys
from typing import Any

from tests.testbed import cache
from tests.testbed import config
from tests.testbed.daemon import Daemon
from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed import process

_DATABASE = 'glance.sqlite'
SERVER = pathlib.Path(__file__).parent / 'server'  # imported by Glance

_LOWEST, _PORTS = 10_000, 22_000


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens now.

    None of those that the system gives to whoever connects: before it is
    listened on, somebody may. Tests run in several processes.
    """
    while True:
        port = _LOWEST + secrets.randbelow(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port


def program(name: str) -> str:
    """The path of a program of the environment that runs us.

    :raises FileNotFoundError: it is not installed there
    """
    path = pathlib.Path(sys.executable).parent / name
    if not path.exists():
        raise FileNotFoundError(
            f'{path} is missing: install test-requirements.txt')
    return str(path)


class Glance(Daemon):
    """One Glance in one folder; a context manager that starts and stops it.

    :param folder: where configuration, database, stores, staging and log
        are; made if missing, and left to the caller to remove
    :param databases: has its own; by default it is a file of its folder
    :param options: see :class:`tests.testbed.config.Options`
    """

    def __init__(self, folder: pathlib.Path,
                 databases: Databases | None = None, **options: Any) -> None:
        self._databases = databases or Files()
        self.options = config.Options(**options)
        self.port = free_port()
        super().__init__(folder, self._command_of(folder.absolute() / 'etc'))
        self.log = self.folder / 'glance.log'
        self._environment |= self._own_environment()
        self._prepare()

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f'http://127.0.0.1:{self.port}'

    @property
    def staging(self) -> pathlib.Path:
        """The staging folder of imports."""
        return self.folder / 'staging'

    def restart(self) -> None:
        """Stop it if it runs; start on the same folder and port."""
        self.stop()
        self.start()

    def log_text(self) -> str:
        """All that it has written so far, over all its starts."""
        return self.log.read_text(errors='replace')

    def stored_files(self) -> list[pathlib.Path]:
        """All files with image bytes: of the stores, staging, and tasks."""
        return sorted(
            path for name in ('stores', 'staging', 'tasks')
            for path in (self.folder / name).rglob('*') if path.is_file())

    def server_cpu_seconds(self) -> float:
        """CPU seconds that all its processes have used since the start."""
        return self._running().cpu_seconds()

    def server_rss(self) -> int:
        """Resident bytes of all its processes."""
        return self._running().rss()

    def server_peak_rss(self) -> int:
        """Peak resident bytes since the start or the last reset."""
        return self._running().peak_rss()

    def reset_peak_rss(self) -> None:
        """Begin a new measurement of :meth:`server_peak_rss`."""
        self._running().reset_peak_rss()

    def manage(self, *arguments: str) -> str:
        """Run ``glance-manage`` on it and return what it printed."""
        return _glance_manage(self.folder / 'etc' / 'glance-api.conf',
                              *arguments)

    def query(self, statement: str,
              parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one SQL statement on its database, to look or to age rows."""
        return self._databases.query(
            self.folder / _DATABASE, statement, parameters)

    def _prepare(self) -> None:
        for name in ('staging', 'tasks', 'cache', 'lock', 'home',
                     *(f'stores/{store}' for store in config.STORES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        database = self.folder / _DATABASE
        self._databases.prepare('glance', _prepare, database)
        config.write(self.folder, self.port, self.options,
                     self._databases.url(database))

    def _command_of(self, etc: pathlib.Path) -> list[str]:
        if self.options.server == 'gunicorn':
            return [program('gunicorn'), '-c', str(etc / 'gunicorn.conf.py')]
        return [program('uwsgi'), '--ini', str(etc / 'uwsgi.ini')]

    def _own_environment(self) -> dict[str, str]:
        environment = {
            'OS_GLANCE_CONFIG_DIR': str(self.folder / 'etc'),
            # stevedore trusts its cache of entry points: a private one.
            'XDG_CACHE_HOME': str(self.folder / 'home')}
        if self.options.hepix_config is not None:
            environment['HEPIX_VM_CONFIG'] = str(self.options.hepix_config)
        environment.update(self.options.environment)
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, (
            str(SERVER), str(cache.ROOT), environment.get('PYTHONPATH'))))
        return environment

    def _running(self) -> process.ProcessGroup:
        if self._process is None:
            raise RuntimeError('glance-api is not running')
        return self._process

    def answers(self) -> bool:
        """Say whether it does its work."""
        connection = http.client.HTTPConnection(
            '127.0.0.1', self.port, timeout=10)
        try:
            connection.request('GET', '/healthcheck')
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def make_database(path: pathlib.Path) -> None:
    """Make a database of sqlite with Glance's tables.

    :param path: its file, which lies in a folder of its own
    """
    Files().prepare('glance', _prepare, path)


def _prepare(folder: pathlib.Path, databases: Databases) -> None:
    """Make a database with Glance's tables."""
    settings = folder / 'manage.conf'
    settings.write_text('[database]\nconnection = '
                        f'{databases.url(folder / _DATABASE)}\n')
    _glance_manage(settings, 'db', 'sync')


def _glance_manage(settings: pathlib.Path, *arguments: str) -> str:
    finished = subprocess.run(
        [program('glance-manage'), '--config-file', str(settings),
         *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120)
    if finished.returncode:
        raise RuntimeError(f'glance-manage {" ".join(arguments)}: '
                           f'status {finished.returncode}\n{finished.stdout}')
    return finished.stdout
