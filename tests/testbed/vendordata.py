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

"""The vendordata service, and those parts of Nova that ask it."""

from collections.abc import Mapping
import pathlib
from typing import Any

from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from tests.testbed import daemon
from tests.testbed.glance import program
from tests.testbed import service
from tests.testbed.worker import Worker

PASTE = (pathlib.Path(__file__).parents[2] / 'etc' / 'hepix_vm'
         / 'vendordata-paste.ini')


class Vendordata(service.Service):
    """The service.

    :param folder: where its files are
    :param config: the hepix-vm.conf, with vendordata_paste in it
    :param server: ``gunicorn`` or ``uwsgi``
    """

    def __init__(self, folder: pathlib.Path, config: pathlib.Path,
                 server: str = 'gunicorn') -> None:
        super().__init__(folder, 'hepix_vm.nova_ctx.wsgi:application',
                         {paths.ENVIRONMENT: str(config)}, server=server)

    def ask(self, target: str, token: str, body: Any) -> Any:
        """Ask as Nova does."""
        return service.call('POST', f'{self.url}/{target}', token, body)


class Metadata:
    """Nova's metadata of servers, in a process; a context manager.

    :param folder: where its files are
    :param account: of ``[vendordata_dynamic_auth]``
    :param config: the hepix-vm.conf of this compute host
    """

    def __init__(self, folder: pathlib.Path, account: Mapping[str, str],
                 config: pathlib.Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.log = folder / 'metadata.log'
        settings = folder / 'nova.conf'
        settings.write_text(service.ini({
            'DEFAULT': {'mkisofs_cmd': program('hepix-vm-mkisofs'),
                        'host': 'compute1', 'state_path': str(folder)},
            'vendordata_dynamic_auth': account}))
        self._worker = Worker('nova_metadata.py', settings, self.log, {
            **daemon.clean_environment(), paths.ENVIRONMENT: str(config),
            compiled.ENVIRONMENT: str(folder / 'context.json')})

    def __enter__(self) -> 'Metadata':
        return self

    def __exit__(self, *unused: object) -> None:
        self._worker.stop()

    def ask(self, task: str, targets: Mapping[str, str],
            server: Mapping[str, Any], fatal: bool = False,
            folder: pathlib.Path | None = None) -> Any:
        """Have Nova ask for the vendor data of a server.

        :param task: as ``server/nova_metadata.py`` names it
        :param targets: URLs by name
        :param server: what differs from others
        :param fatal: ``[api] vendordata_dynamic_failure_fatal``
        :param folder: for what is written
        :returns: what the task returns, or the name of an error
        """
        return self._worker.ask(task, {
            'targets': [f'{name}@{url}' for name, url in targets.items()],
            'server': server, 'fatal': fatal,
            'folder': str(folder or self.folder)})
