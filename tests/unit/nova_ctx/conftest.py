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

"""A site with a context, as the vendordata service reads it."""

import pathlib
from typing import Any

import pytest
import yaml

from hepix_vm import paths

SCRIPT = '#!/bin/sh\n'


class Site:
    """Files in a folder, and the environment variable that names them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.config = folder / 'hepix-vm.conf'
        self.scripts = folder / 'context'
        self.scripts.mkdir()
        self.write_config()
        self.write_context(rules=[])

    def write_config(self, more: str = '', **settings: str) -> None:
        """Write hepix-vm.conf."""
        self.config.write_text('[hepix_vm]\n' + ''.join(
            f'{name} = {value}\n' for name, value in {
                'context_file': str(self.folder / 'context.yaml'),
                **settings}.items())
            + '[service_credentials]\nauth_type = admin_token\n'
              'endpoint = http://127.0.0.1:1\ntoken = t\n' + more)

    def write_context(self, **keys: Any) -> None:
        """Write context.yaml."""
        (self.folder / 'context.yaml').write_text(yaml.safe_dump(keys))

    def write_script(self, name: str, text: str = SCRIPT,
                     mode: int = 0o755) -> None:
        """Write a script, or a file."""
        path = self.scripts / name
        path.write_text(text)
        path.chmod(mode)


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site without rules."""
    made = Site(tmp_path)
    monkeypatch.setenv(paths.ENVIRONMENT, str(made.config))
    return made
