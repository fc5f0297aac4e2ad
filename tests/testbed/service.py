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


"""A service of OpenStack under a web server, in a folder of its own."""

from collections.abc import Mapping
import pathlib
import subprocess
import sys
from typing import Any

import requests

from tests.testbed.daemon import clean_environment
from tests.testbed.daemon import Daemon
from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed.glance import free_port
from tests.testbed.glance import program
from tests.testbed.glance import SERVER

_GUNICORN = """\
wsgi_app = '{application}'
bind = '127.0.0.1:{port}'
worker_class = 'gthread'
workers = 1
threads = {threads}
timeout = 120
# Longer than anybody waits between two requests: a connection that is
# closed while the next one is on its way is an error for the client.
keepalive = 75
graceful_timeout = 10
control_socket_disable = True
"""
_UWSGI = """\
[uwsgi]
http-socket = 127.0.0.1:{port}
module = {application}
virtualenv = {prefix}
processes = 1
threads = {threads}
enable-threads = true
master = true
die-on-term = true
lazy-apps = true
need-app = true
buffer-size = 65535
socket-timeout = 30
add-header = Connection: close
"""

# What runs a program so that sqlite lets those wait who want to write.
IN_LINE = (sys.executable, str(SERVER / 'testbed_sqlite.py'))


class Service(Daemon):
    """Starts and stops it; a context manager.

    :param folder: where its files are
    :param application: module and name of its WSGI application
    :param environment: of the process
    :param threads: as a database of sqlite bears them
    :param server: ``gunicorn`` or ``uwsgi``
    :param databases: has its own; by default they are files of its folder
    """

    def __init__(self, folder: pathlib.Path, application: str,
                 environment: Mapping[str, str], threads: int = 4,
                 server: str = 'gunicorn',
                 databases: Databases | None = None) -> None:
        super().__init__(folder, [program(server)], environment)
        self._databases = databases or Files()
        self.port = free_port()
        settings = self.folder / f'{server}.conf.py'
        settings.write_text(
            (_UWSGI if server == 'uwsgi' else _GUNICORN).format(
                application=application, port=self.port, threads=threads,
                prefix=sys.prefix))
        if server == 'uwsgi':
            self._command += ['--ini', str(settings)]
        else:
            # Keystone and Nova read sys.argv, which has to be empty.
            self._environment['GUNICORN_CMD_ARGS'] = f'-c {settings}'

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f'http://127.0.0.1:{self.port}'

    def query(self, name: str, statement: str,
              parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one SQL statement on a database of its folder."""
        return self._databases.query(
            self.folder / name, statement, parameters)

    def answers(self) -> bool:
        """Say whether it does its work."""
        try:
            # What a service says at its root: 200 or 300.
            return call('GET', f'{self.url}/').status_code < 400
        except requests.ConnectionError:
            return False


def call(method: str, url: str, token: str = '',
         json: Any = None) -> requests.Response:
    """Make one request, past any proxy."""
    session = requests.Session()
    session.trust_env = False
    return session.request(method, url, json=json, timeout=120, headers={
        'Connection': 'close', **({'X-Auth-Token': token} if token else {})})


def manage(name: str, *arguments: str) -> None:
    """Run a program that prepares a service.

    :raises RuntimeError: it failed; with what it printed
    """
    finished = subprocess.run(
        [program(name), *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300,
        env=clean_environment())
    if finished.returncode:
        raise RuntimeError(f'{name} {" ".join(arguments)}: status '
                           f'{finished.returncode}\n{finished.stdout}')


def ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Return options as the text of a file."""
    return ''.join(
        f'[{name}]\n' + ''.join(f'{key} = {value}\n'
                                for key, value in options.items())
        for name, options in sections.items())
