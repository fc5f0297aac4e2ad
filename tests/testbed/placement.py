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

"""A real Placement on loopback."""

import pathlib

from tests.testbed.database import Databases
from tests.testbed.database import Files
from tests.testbed.keystone import Keystone
from tests.testbed import service

_DATABASE = 'placement.sqlite'


class Placement(service.Service):
    """A Placement.

    :param folder: where its files are
    :param keystone: knows the user ``placement``
    :param databases: has its own; by default it is a file of its folder
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone,
                 databases: Databases | None = None) -> None:
        databases = databases or Files()
        super().__init__(folder, 'placement.wsgi.api:application', {
            'OS_PLACEMENT_CONFIG_DIR': str(folder)}, databases=databases)
        self._command[:0] = service.IN_LINE
        databases.prepare(
            'openstack-placement', prepare, self.folder / _DATABASE)
        (self.folder / 'placement.conf').write_text(service.ini({
            **_database(self.folder, databases),
            'keystone_authtoken': keystone.middleware('placement')}))


def _database(folder: pathlib.Path,
              databases: Databases) -> dict[str, dict[str, str]]:
    """Return the option that says where the database is."""
    return {'placement_database': {
        'connection': databases.url(folder / _DATABASE)}}


def prepare(folder: pathlib.Path, databases: Databases) -> None:
    """Make the database."""
    settings = folder / 'placement.conf'
    settings.write_text(service.ini(_database(folder, databases)))
    service.manage('placement-manage', '--config-file', str(settings),
                   'db', 'sync')
