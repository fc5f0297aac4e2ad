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

"""atrope 2.0.0 from PyPI, in an environment of its own."""

import functools
import os
import pathlib
import subprocess

import yaml

from tests.testbed import cache
from tests.testbed import images

_LIMIT = 120  # seconds


@functools.cache
def python() -> str:
    """Its Python; the environment is made now if there is none."""
    folder = os.environ.get('HEPIX_VM_ATROPE_DIR')
    if not folder:
        images.run('bash', '-euc', '. "$1" && setup_atrope', 'bash',
                   str(cache.ROOT / 'tools' / 'lib.sh'), limit=600)
        folder = str(cache.directory() / 'atrope')
    return f'{folder}/bin/python'


class Atrope:
    """A subscriber with one list.

    :param folder: where its settings and images are
    :param anchors: folder of CA certificates
    :param url: of the list
    """

    def __init__(self, folder: pathlib.Path, anchors: pathlib.Path,
                 url: str, dn: str, ca: str) -> None:
        folder.mkdir()
        self.said = ''  # all that it wrote last
        self.images = folder / 'lists' / 'site' / 'images'
        self._config = folder / 'atrope.conf'
        sources = folder / 'hepix.yaml'
        sources.write_text(yaml.safe_dump({'site': {
            'url': url, 'endorser': {'dn': dn, 'ca': ca}}}))
        self._config.write_text(
            f'[DEFAULT]\nstate_path = {folder}\nca_path = {anchors}\n'
            f'[sources]\nhepix_sources = {sources}\n')

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one of its commands."""
        environment = {name: value for name, value in os.environ.items()
                       if not name.lower().endswith('_proxy')
                       and name != 'PYTHONPATH'}
        return subprocess.run(
            [python(), '-m', 'atrope.cmd.cli', '--config-file',
             str(self._config), command], capture_output=True, text=True,
            timeout=_LIMIT, env=environment)

    def shown(self) -> dict[str, str]:
        """Fetch and verify the list; return what it says of it."""
        done = self.run('imagelist-fetch')
        self.said = done.stdout
        return {cells[1].strip(): cells[2].strip()
                for line in done.stdout.splitlines()
                if len(cells := line.split('|')) == 4}
