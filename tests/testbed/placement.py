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
import shutil

from tests.testbed import cache
from tests.testbed.keystone import Keystone
from tests.testbed import service

_DATABASE = 'placement.sqlite'


class Placement(service.Service):
    """A Placement.

    :param folder: where its files are
    :param keystone: knows the user ``placement``
    """

    def __init__(self, folder: pathlib.Path, keystone: Keystone) -> None:
        super().__init__(folder, 'placement.wsgi.api:application', {
            'OS_PLACEMENT_CONFIG_DIR': str(folder)})
        self._command[:0] = service.IN_LINE
        if not (self.folder / _DATABASE).exists():
            shutil.copyfile(
                cache.prepared('openstack-placement', prepare) / _DATABASE,
                self.folder / _DATABASE)
        (self.folder / 'placement.conf').write_text(service.ini({
            **database(self.folder),
            'keystone_authtoken': keystone.middleware('placement')}))


def database(folder: pathlib.Path) -> dict[str, dict[str, str]]:
    """Return the option that says where the database is."""
    return {'placement_database': {
        'connection': f'sqlite:///{folder / _DATABASE}?timeout=60'}}


def prepare(folder: pathlib.Path) -> None:
    """Make the database."""
    settings = folder / 'placement.conf'
    settings.write_text(service.ini(database(folder)))
    service.manage('placement-manage', '--config-file', str(settings),
                   'db', 'sync')
    # Readers do not wait for the writer; the mode stays in the file.
    service.query(folder / _DATABASE, 'PRAGMA journal_mode=WAL')
