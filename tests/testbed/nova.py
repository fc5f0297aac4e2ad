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


"""A real nova-api on loopback.

By itself it has no conductor, scheduler, compute or hypervisor; those are in
:mod:`tests.testbed.compute`. For :class:`Nova`, what nova-compute would do at
the end of a snapshot is done by ``server/nova_compute.py``, a process that
runs Nova's own code for it.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import json
import pathlib
import shutil
import sys
from typing import Any
from typing import Self

from hepix_vm import paths
from tests.testbed.database import Databases
from tests.testbed.keystone import Keystone
from tests.testbed import service
from tests.testbed import serving
from tests.testbed.worker import Worker

HOST = 'compute1'
_API, _CELL, _CELL0 = 'nova-api.sqlite', 'nova.sqlite', 'nova-cell0.sqlite'
DATABASES = (_API, _CELL, _CELL0)


class FakeNeutron(serving.Served):
    """A stand-in for Neutron, which has nothing: Nova asks for lists.

    Of ports a project may have any number.
    """

    def __init__(self) -> None:
        super().__init__(serving.web(_Nothing))
        self.url = f'http://127.0.0.1:{self.port}'


class _Nothing(serving.Quiet):
    def do_GET(self) -> None:
        *_, kind, name = self.path.partition('?')[0].rstrip('/').split('/')
        body = json.dumps(
            {'quota': {'port': -1}} if kind == 'quotas'
            else {name.replace('-', '_'): []}).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class NovaApi(service.Service):
    """A nova-api and its databases.

    :param folder: where its files are
    :param keystone: knows the user ``nova``
    :param neutron: where what stands in for Neutron answers
    :param more: options of nova.conf, by group; they win over ours
    :param store: has its databases; by default they are files of its folder
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone,
                 neutron: str, more: Mapping[str, Mapping[str, str]],
                 store: Databases | None = None) -> None:
        self._keystone = keystone
        self._neutron = neutron
        self._more = dict(more)
        super().__init__(folder, 'nova.wsgi.osapi_compute:application', {
            'OS_NOVA_CONFIG_DIR': str(folder),
            'OS_NOVA_DISABLE_EVENTLET_PATCHING': 'true'}, databases=store)
        self._command[:0] = service.IN_LINE
        self.conf = self.folder / 'nova.conf'
        if self._databases.prepare('nova', prepare, *(
                self.folder / name for name in DATABASES)):
            self.map_host(HOST)
        self.unguard()
        self.use('http://127.0.0.1:1')

    def use(self, glance: str) -> None:
        """Say which Glance it uses; it counts when it starts."""
        self._glance = glance
        settings = _settings(
            self.folder, self._keystone, glance, self._neutron,
            self._databases)
        for group, options in self._more.items():
            settings[group] = {**settings.get(group, {}), **options}
        self.conf.write_text(service.ini(settings))
        self._point_cells_here(settings['DEFAULT']['transport_url'])

    def map_host(self, host: str) -> None:
        """Have a compute host known to be in the cell."""
        self.query(_API, "INSERT INTO host_mappings (cell_id, host) SELECT "
                   "id, ? FROM cell_mappings WHERE name = 'cell1'", (host,))

    def unguard(self) -> None:
        """Have its pipelines as Nova does; it counts when it starts."""
        shutil.copy(pathlib.Path(sys.prefix) / 'etc/nova/api-paste.ini',
                    self.folder)

    def guard(self, config: pathlib.Path) -> None:
        """Put the boot gate into its pipelines; it counts when it starts.

        :param config: hepix-vm.conf
        """
        self.unguard()
        paste = self.folder / 'api-paste.ini'
        text = paste.read_text()
        for last in ('keystonecontext', 'legacy_v2_compatible'):
            text = text.replace(f' {last} osapi_compute_app_v21',
                                f' {last} hepix_boot osapi_compute_app_v21')
        paste.write_text(f'{text}\n[filter:hepix_boot]\n'
                         f'use = egg:hepix-vm#hepix_boot\n')
        self._environment[paths.ENVIRONMENT] = str(config)

    def configure(self, more: Mapping[str, Mapping[str, str]]) -> None:
        """Change options of nova.conf; who reads them has to start anew."""
        for group, options in more.items():
            self._more[group] = {**self._more.get(group, {}), **options}
        self.use(self._glance)

    def _point_cells_here(self, bus: str) -> None:
        """The database of the API says where those of the cells are."""
        self.query(_API, "UPDATE cell_mappings SET database_connection = ? "
                   "WHERE name = 'cell0'",
                   (self._databases.url(self.folder / _CELL0),))
        self.query(_API, "UPDATE cell_mappings SET database_connection = ?, "
                   "transport_url = ? WHERE name = 'cell1'",
                   (self._databases.url(self.folder / _CELL), bus))


class Nova(NovaApi):
    """A nova-api, and the process that stands in for nova-compute.

    :param folder: where its files are
    :param keystone: knows the user ``nova``
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone) -> None:
        self._stand_in = FakeNeutron()
        self._compute: Worker | None = None
        super().__init__(folder, keystone, self._stand_in.url, {
            'api': {'max_limit': '2'},  # servers in an answer
            'quota': {'driver': 'nova.quota.NoopQuotaDriver'}})

    def __enter__(self) -> Self:
        """Start all of it."""
        self._stand_in.__enter__()
        try:
            self.start()
            self._compute = Worker(
                'nova_compute.py', self.conf,
                self.folder / 'compute.log', self._environment)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop all of it."""
        if self._compute is not None:
            self._compute.stop()
            self._compute = None
        self.stop()
        self._stand_in.__exit__()

    def compute(self, task: str, **arguments: Any) -> Any:
        """Have the stand-in of nova-compute do something.

        :param task: as ``server/nova_compute.py`` names it
        :returns: what it answers; a refusal of Glance as the name and the
            text of Nova's exception
        """
        if self._compute is None:
            raise RuntimeError('nova is not running')
        return self._compute.ask(task, arguments)

    def action(self, token: str, server: str,
               body: Mapping[str, Any]) -> Any:
        """Ask nova-api for an action on a server, such as createImage."""
        return service.call(
            'POST', f'{self.url}/v2.1/servers/{server}/action', token, body)

    def forget(self, server: str) -> None:
        """Let a server be deleted, as nova-compute would."""
        self.query(_CELL, 'UPDATE instances SET deleted = id WHERE uuid = ?',
                   (server,))

    @contextlib.contextmanager
    def failing(self, table: str) -> Iterator[None]:
        """Have a table of the cell away: to Nova the cell is down."""
        self.query(_CELL, f'ALTER TABLE {table} RENAME TO away')
        try:
            yield
        finally:
            self.query(_CELL, f'ALTER TABLE away RENAME TO {table}')


def databases(folder: pathlib.Path,
              store: Databases) -> dict[str, dict[str, str]]:
    """Return the options that say where the databases are."""
    # Without a bus: a cast of the API is taken by nobody.
    return {
        'DEFAULT': {'transport_url': 'fake:/', 'state_path': str(folder)},
        'database': {'connection': store.url(folder / _CELL)},
        'api_database': {'connection': store.url(folder / _API)},
        'oslo_concurrency': {'lock_path': str(folder / 'lock')}}


def _settings(folder: pathlib.Path, keystone: Keystone, glance: str,
              neutron: str, store: Databases) -> dict[str, dict[str, str]]:
    account = keystone.account('nova', 'service')
    settings = databases(folder, store)
    settings['DEFAULT']['host'] = HOST
    return {
        **settings,
        'keystone_authtoken': keystone.middleware('nova'),
        'service_user': {**account, 'send_service_user_token': 'true'},
        'glance': {'endpoint_override': glance},
        'neutron': {**account, 'endpoint_override': neutron},
        'cinder': account, 'placement': account}


def prepare(folder: pathlib.Path, store: Databases) -> None:
    """Make the databases."""
    settings = folder / 'nova.conf'
    settings.write_text(service.ini(databases(folder, store)))
    for arguments in (
            ('api_db', 'sync'),
            ('cell_v2', 'map_cell0', '--database_connection',
             store.url(folder / _CELL0)),
            ('db', 'sync'),
            ('cell_v2', 'create_cell', '--name', 'cell1')):
        service.manage('nova-manage', '--config-file', str(settings),
                       *arguments)
