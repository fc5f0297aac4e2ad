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


"""A real cinder-api on loopback.

It has no cinder-volume: volumes and snapshots are put into its database as
that would have left them, and nothing has bytes.
"""

from collections.abc import Mapping
import datetime
import pathlib
import sys
import uuid

from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed.keystone import Keystone
from tests.testbed import service

_DATABASE = 'cinder.sqlite'


class CinderApi(service.Service):
    """A cinder-api and its database.

    :param folder: where its files are
    :param keystone: knows the user ``cinder``
    :param policy: its policy file; by default it has Cinder's own rules
    :param databases: has its own; by default it is a file of its folder
    :param more: options of ``[DEFAULT]`` of cinder.conf
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone,
                 policy: pathlib.Path | None = None,
                 databases: Databases | None = None,
                 **more: str) -> None:
        databases = databases or Files()
        self._keystone = keystone
        # Its WSGI application finds cinder.conf only as oslo.config does.
        super().__init__(folder, 'cinder.wsgi.api:application', {
            'HOME': str(folder.absolute())}, databases=databases)
        self._command[:0] = service.IN_LINE
        databases.prepare('cinder', prepare, self.folder / _DATABASE)
        self.conf = self.folder / 'cinder.conf'
        settings = _settings(self.folder, databases)
        self.conf.write_text(service.ini({
            **settings, 'DEFAULT': {**settings['DEFAULT'], **more},
            'keystone_authtoken': keystone.middleware('cinder'),
            'oslo_policy': {'policy_file': str(policy or 'policy.yaml')}}))

    def volume(self, project: str, image: Mapping[str, str] = {}) -> str:
        """Return the id of a new volume that can be booted.

        :param project: its name
        :param image: what Cinder says of the image that it was made of,
            such as ``image_id``
        """
        number = str(uuid.uuid4())
        self.query(_DATABASE, """
            INSERT INTO volumes (
                id, user_id, project_id, volume_type_id, created_at,
                deleted, size, bootable, multiattach, shared_targets,
                use_quota, host, availability_zone, status, attach_status)
            VALUES (?, ?, ?, ?, ?, 0, 1, 1, 0, 0, 1, 'host', 'nova',
                    'available', 'detached')
            """, (number, *self._whose(project)))
        for key, value in image.items():
            self.query(_DATABASE, """
                INSERT INTO volume_glance_metadata (
                    volume_id, `key`, value, deleted) VALUES (?, ?, ?, 0)
                """, (number, key, value))
        return number

    def snapshot(self, project: str, volume: str) -> str:
        """Return the id of a new snapshot of a volume."""
        number = str(uuid.uuid4())
        self.query(_DATABASE, """
            INSERT INTO snapshots (
                id, user_id, project_id, volume_type_id, created_at,
                volume_id, deleted, volume_size, use_quota, status, progress)
            VALUES (?, ?, ?, ?, ?, ?, 0, 1, 1, 'available', '100%')
            """, (number, *self._whose(project), volume))
        return number

    def delete(self, volume: str) -> None:
        """Let a volume be deleted, as cinder-volume would."""
        self.query(_DATABASE, "UPDATE volumes SET deleted = 1, "
                   "status = 'deleted' WHERE id = ?", (volume,))

    def _whose(self, project: str) -> tuple[str, str, str, str]:
        """Return its user, its project, its type, and when it was made."""
        (kind,), = self.query(_DATABASE, "SELECT id FROM volume_types "
                              "WHERE name = '__DEFAULT__'")
        return ('user', self._keystone.project(project), kind,
                datetime.datetime.now(datetime.UTC).strftime(
                    '%Y-%m-%d %H:%M:%S.%f'))


def prepare(folder: pathlib.Path, databases: Databases) -> None:
    """Make the database."""
    settings = folder / 'cinder.conf'
    settings.write_text(service.ini(_settings(folder, databases)))
    service.manage('cinder-manage', '--config-file', str(settings),
                   'db', 'sync')


def _settings(folder: pathlib.Path,
              databases: Databases) -> dict[str, dict[str, str]]:
    return {
        # Without a bus: a cast of the API is taken by nobody.
        'DEFAULT': {
            'transport_url': 'fake:/', 'state_path': str(folder),
            'auth_strategy': 'keystone', 'resource_query_filters_file': str(
                _installed() / 'resource_filters.json'),
            'api_paste_config': str(_installed() / 'api-paste.ini')},
        'database': {'connection': databases.url(folder / _DATABASE)},
        'coordination': {'backend_url': f'file://{folder / "coordination"}'},
        'oslo_concurrency': {'lock_path': str(folder / 'lock')}}


def _installed() -> pathlib.Path:
    return pathlib.Path(sys.prefix) / 'etc/cinder'
