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

"""Config drives, made by the code of Nova that makes them."""

from collections.abc import Mapping
import pathlib
from typing import Any

from tests.testbed import daemon
from tests.testbed.database import Files
from tests.testbed import nova
from tests.testbed.nova import FakeNeutron
from tests.testbed import service
from tests.testbed.worker import Worker


class NovaDrives:
    """A process that does what nova-compute does for drives.

    :param folder: where its files are
    :param environment: of the process, and so of ``mkisofs_cmd``
    :param options: of nova.conf, by group
    """

    def __init__(self, folder: pathlib.Path, environment: Mapping[str, str],
                 options: Mapping[str, Mapping[str, str]]) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._neutron = FakeNeutron()
        self._environment = {**daemon.clean_environment(), **environment}
        self._options = options
        self._worker: Worker | None = None

    def __enter__(self) -> 'NovaDrives':
        files = Files()
        settings = nova.databases(self.folder, files)
        files.prepare('nova', nova.prepare, *(
            self.folder / name for name in nova.DATABASES))
        settings['neutron'] = {'auth_type': 'none',
                               'endpoint_override': self._neutron.url}
        for group, options in self._options.items():
            settings[group] = {**settings.get(group, {}), **options}
        conf = self.folder / 'nova.conf'
        conf.write_text(service.ini(settings))
        self._neutron.__enter__()
        self._worker = Worker('nova_drive.py', conf,
                              self.folder / 'drives.log', self._environment)
        return self

    def __exit__(self, *unused: object) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._neutron.__exit__()

    @property
    def log(self) -> str:
        """What Nova logged."""
        return (self.folder / 'drives.log').read_text()

    def make(self, task: str, path: pathlib.Path,
             **server: Any) -> dict[str, str]:
        """Make a drive, or the files for one.

        :param task: ``libvirt``, ``ironic`` or ``tree``
        :param path: of the drive, or of an empty folder
        :param server: what ``server/nova_drive.py`` takes
        :returns: nothing, or name and text of Nova's exception
        """
        if self._worker is None:
            raise RuntimeError('it is not running')
        return self._worker.ask(task, {'path': str(path), **server}) or {}
