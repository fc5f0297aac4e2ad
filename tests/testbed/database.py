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

"""Where the services of a testbed keep what they know."""

from collections.abc import Callable
import getpass
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from typing import Any
from typing import Protocol

import pymysql

from tests.testbed import cache
from tests.testbed.daemon import clean_environment
from tests.testbed.daemon import Daemon

_SERVER = '/usr/sbin/mariadbd'


class Databases(Protocol):
    """What has databases, each known by a path in the folder of a service.

    That path is of a file for sqlite; elsewhere its stem names the database.
    """

    def url(self, path: pathlib.Path) -> str:
        """Return the option ``connection`` of oslo.db."""

    def query(self, path: pathlib.Path, statement: str,
              parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one SQL statement, with ``?`` for each parameter."""

    def prepare(self, package: str, make: 'Make', *paths: pathlib.Path,
                ) -> bool:
        """Have all databases of one service made, if they are not there.

        :param package: whose versions differ in what is made
        :param make: makes them, and what belongs to them, in a folder
        :param paths: of one folder
        :returns: whether they were made now
        """


Make = Callable[[pathlib.Path, Databases], None]


class Files:
    """Files of sqlite; what is made is kept in the cache, and copied."""

    def url(self, path: pathlib.Path) -> str:
        """Return the option ``connection`` of oslo.db."""
        return f'sqlite:///{path.absolute()}?timeout=60'

    def query(self, path: pathlib.Path, statement: str,
              parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one SQL statement."""
        connection = sqlite3.connect(path, timeout=60)
        try:
            with connection:
                return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def prepare(self, package: str, make: Make,
                *paths: pathlib.Path) -> bool:
        """Have all databases of one service made, if they are not there."""
        if paths[-1].exists():
            return False
        shutil.copytree(
            cache.prepared(package, lambda folder: make(folder, self)),
            paths[-1].parent, dirs_exist_ok=True)
        for path in paths:
            # Readers do not wait for the writer; the mode stays in the file.
            self.query(path, 'PRAGMA journal_mode=WAL')
        return True


class MariaDB(Daemon):
    """A server of MariaDB, which only its own user can ask.

    It is no port that anybody could connect to, and there is no password:
    the kernel says who is at the other end of its socket.

    :param folder: where its files are
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._user = getpass.getuser()
        # The path of a socket has a hundred characters at most.
        self._run = tempfile.TemporaryDirectory(prefix='hepix-vm-')
        self._socket = pathlib.Path(self._run.name) / 'socket'
        super().__init__(folder, [
            _SERVER, '--no-defaults', f'--user={self._user}',
            f'--datadir={folder.absolute() / "data"}',
            f'--socket={self._socket}', f'--pid-file={self._run.name}/pid',
            '--skip-networking', '--max-connections=500',
            '--character-set-server=utf8mb4',
            '--collation-server=utf8mb4_general_ci',
            # What a crash of the machine may lose is not what is tested.
            '--innodb-flush-log-at-trx-commit=0'])

    def spawn(self) -> None:
        """Start it, and do not wait; its own tables are made before."""
        data = self.folder / 'data'
        if not data.exists():
            made = subprocess.run(
                ['mariadb-install-db', '--no-defaults', f'--datadir={data}',
                 f'--user={self._user}', '--skip-name-resolve',
                 '--skip-test-db', '--auth-root-authentication-method=socket'],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=300, env=clean_environment())
            if made.returncode:
                raise RuntimeError(f'mariadb-install-db: {made.stdout}')
        super().spawn()

    def stop(self) -> None:
        """Stop it as an administrator does."""
        super().stop()
        self._run.cleanup()

    def answers(self) -> bool:
        """Say whether it takes statements."""
        # PyMySQL leaves a socket behind where nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self._socket)):
                return False
        try:
            self._ask('', 'SELECT 1', ())
        except pymysql.err.OperationalError:
            return False
        return True

    def url(self, path: pathlib.Path) -> str:
        """Return the option ``connection`` of oslo.db."""
        return (f'mysql+pymysql://{self._user}@localhost/{_name(path)}'
                f'?unix_socket={self._socket}&charset=utf8mb4')

    def query(self, path: pathlib.Path, statement: str,
              parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one SQL statement."""
        return self._ask(_name(path), statement.replace('?', '%s'),
                         parameters)

    def prepare(self, package: str, make: Make,
                *paths: pathlib.Path) -> bool:
        """Have all databases of one service made, if they are not there."""
        names = [_name(path) for path in paths]
        if (names[-1],) in self._ask('', 'SHOW DATABASES', ()):
            return False
        try:
            for name in names:
                self._ask('', f'CREATE DATABASE {name}', ())
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            make(paths[-1].parent, self)
        except BaseException:
            for name in names:
                self._ask('', f'DROP DATABASE IF EXISTS {name}', ())
            raise
        return True

    def _ask(self, name: str, statement: str,
             parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with pymysql.connect(
                unix_socket=str(self._socket), user=self._user,
                database=name or None, autocommit=True,
                ) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())


def _name(path: pathlib.Path) -> str:
    return path.stem.replace('-', '_')
