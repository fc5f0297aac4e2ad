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

"""A real nova-api on loopback, on sqlite and without Keystone.

Beside it runs Nova's own code that would run in nova-compute
(``server/nova_driver.py``); there is no hypervisor.
"""

import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any

import requests

from tests.testbed import cache
from tests.testbed.glance import free_port
from tests.testbed.glance import program
from tests.testbed import process

_SERVER = pathlib.Path(__file__).parent / 'server'
_POLL = 0.1  # seconds
ADMIN_TOKEN = 'hepix:service:admin,member,reader'  # noqa: S105
SERVICE_TOKEN = 'nova:service:service'  # noqa: S105

_PASTE = """\
[composite:osapi_compute]
use = call:nova.api.openstack.urlmap:urlmap_factory
/: versions
/v2.1: compute
/neutron: neutron

[composite:compute]
use = call:nova.api.auth:pipeline_factory_v21
keystone = compute_req_id faultwrap sizelimit tokens context app

[filter:compute_req_id]
paste.filter_factory = nova.api.compute_req_id:ComputeReqIdMiddleware.factory

[filter:faultwrap]
paste.filter_factory = nova.api.openstack:FaultWrapper.factory

[filter:sizelimit]
paste.filter_factory = oslo_middleware:RequestBodySizeLimiter.factory

[filter:tokens]
paste.filter_factory = testbed_tokens:filter_factory

[filter:context]
paste.filter_factory = nova.api.auth:NovaKeystoneContext.factory

[app:app]
paste.app_factory = nova.api.openstack.compute:APIRouterV21.factory

[app:neutron]
paste.app_factory = testbed_neutron:app_factory

[app:versions]
paste.app_factory = nova.api.openstack.compute.versions:Versions.factory
"""

_CONFIG = """\
[DEFAULT]
transport_url = fake://
state_path = {folder}
host = testbed
[database]
connection = sqlite:///{folder}/main.sqlite?timeout=60
[api_database]
connection = sqlite:///{folder}/api.sqlite?timeout=60
[wsgi]
api_paste_config = {folder}/api-paste.ini
[oslo_concurrency]
lock_path = {folder}
[glance]
endpoint_override = {glance}
num_retries = 0
[neutron]
endpoint_override = http://127.0.0.1:{port}/neutron
[service_user]
send_service_user_token = {service_user}
auth_type = admin_token
endpoint = http://127.0.0.1:1
token = {token}
"""

_GUNICORN = """\
wsgi_app = 'nova.wsgi.osapi_compute:application'
bind = '127.0.0.1:{port}'
worker_class = 'gthread'
threads = 4
timeout = 120
control_socket_disable = True
"""

# Nova wants to be told how it shall run before anything else is imported.
_DRIVER = ('from nova import monkey_patch; '
           'monkey_patch.patch(backend="threading"); '
           'import nova_driver; nova_driver.main()')


class Refused(Exception):
    """What Nova's own code raised, in its words."""


class Nova:
    """One Nova in one folder; a context manager that starts and stops it.

    :param folder: made if missing, and left to the caller to remove
    :param glance: the URL of the Glance that it uses
    """

    def __init__(self, folder: pathlib.Path, glance: str) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self.log = self.folder / 'nova.log'
        self._glance = glance
        self._process: process.ProcessGroup | None = None
        self._drivers: dict[bool, subprocess.Popen[str]] = {}
        self._prepare()

    @property
    def url(self) -> str:
        """The endpoint of the compute service."""
        return f'http://127.0.0.1:{self.port}/v2.1'

    def __enter__(self) -> 'Nova':
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()
        for driver in self._drivers.values():
            driver.communicate(timeout=60)

    def start(self, timeout: float = 120.0) -> None:
        """Start nova-api and wait until it answers.

        :raises RuntimeError: it ended or did not answer
        """
        self._process = process.ProcessGroup(
            [program('gunicorn')], self.log, {
                **self._environment(),
                # nova-api reads the arguments of whoever runs it.
                'GUNICORN_CMD_ARGS': f'-c {self.folder}/gunicorn.py'},
            self.folder)
        deadline = time.monotonic() + timeout
        while not self._answers():
            if (self._process.exit_status() is not None
                    or time.monotonic() > deadline):
                self.stop()
                raise RuntimeError('nova-api does not answer; the end of its '
                                   f'log:\n{self.log.read_text()[-6000:]}')
            time.sleep(_POLL)

    def stop(self) -> None:
        """Stop nova-api; servers and their states stay on record."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def call(self, command: str, *, service_user: bool = True,
             **known: Any) -> Any:
        """Have Nova's own code do something.

        :param command: a function of ``server/nova_driver.py``
        :param service_user: whether Nova sends its service token
        :raises Refused: Nova raised an error
        """
        driver = self._driver(service_user)
        assert driver.stdin
        driver.stdin.write(json.dumps({'command': command, **known}) + '\n')
        driver.stdin.flush()
        return self._read(driver)

    def _driver(self, service_user: bool) -> subprocess.Popen[str]:
        if service_user not in self._drivers:
            config = self.folder / f'driver-{service_user}.conf'
            config.write_text(self._config(service_user))
            with (self.folder / 'driver.log').open('ab') as log:
                driver = subprocess.Popen(
                    ['setpriv', '--pdeathsig', 'TERM', '--', sys.executable,
                     '-c', _DRIVER, '--config-file', str(config)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    text=True, env=self._environment(), cwd=self.folder)
            self._read(driver)
            self._drivers[service_user] = driver
        return self._drivers[service_user]

    def _read(self, driver: subprocess.Popen[str]) -> Any:
        assert driver.stdout
        line = driver.stdout.readline()
        if not line:
            log = (self.folder / 'driver.log').read_text()
            raise RuntimeError(f'Nova ended:\n{log[-6000:]}')
        answer = json.loads(line)
        if 'failed' in answer:
            raise Refused(answer['failed'])
        return answer['done']

    def _config(self, service_user: bool) -> str:
        return _CONFIG.format(
            folder=self.folder, glance=self._glance, port=self.port,
            token=SERVICE_TOKEN,
            service_user=str(service_user).lower())

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'api-paste.ini').write_text(_PASTE)
        (self.folder / 'nova.conf').write_text(self._config(True))
        (self.folder / 'gunicorn.py').write_text(
            _GUNICORN.format(port=self.port))
        kept = cache.directory() / (
            f'nova-{importlib.metadata.version("nova")}')
        for name in ('api', 'main'):
            target = self.folder / f'{name}.sqlite'
            if (kept / f'{name}.sqlite').exists():
                shutil.copyfile(kept / f'{name}.sqlite', target)
                continue
            self._manage(*(('api_db', 'sync') if name == 'api' else
                           ('db', 'sync', '--local_cell')))
            kept.mkdir(exist_ok=True)
            shutil.copyfile(target, kept / f'{name}.new')
            (kept / f'{name}.new').replace(kept / f'{name}.sqlite')
        # All servers are in the one cell that needs nothing else.
        self._manage('cell_v2', 'map_cell0', '--database_connection',
                     f'sqlite:///{self.folder}/main.sqlite?timeout=60')

    def _manage(self, *arguments: str) -> None:
        finished = subprocess.run(
            [program('nova-manage'), '--config-file',
             str(self.folder / 'nova.conf'), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120, env=self._environment())
        if finished.returncode:
            raise RuntimeError(f'nova-manage {" ".join(arguments)}: '
                               f'{finished.stdout[-4000:]}')

    def _environment(self) -> dict[str, str]:
        return {
            'PATH': f'{pathlib.Path(sys.executable).parent}:/usr/bin:/bin',
            'HOME': str(self.folder), 'PYTHONPATH': str(_SERVER),
            'XDG_CACHE_HOME': str(self.folder),
            'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true',
            'OS_NOVA_CONFIG_DIR': str(self.folder)}

    def _answers(self) -> bool:
        session = requests.Session()
        session.trust_env = False
        try:
            return session.get(
                f'{self.url}/servers', timeout=10, headers={
                    'X-Auth-Token': ADMIN_TOKEN}).status_code == 200
        except requests.RequestException:
            return False
