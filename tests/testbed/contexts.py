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

"""A site that tells its servers something: settings, rules and scripts."""

from collections.abc import Mapping
import json
import pathlib
import subprocess
from typing import Any

from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from tests.testbed import daemon
from tests.testbed.glance import program

LABEL = 'config-2'
PUBLISHER = 'OpenStack Nova 34.0.0'

# What Nova passes, but for the drive and the folder.
ARGUMENTS = ('-ldots', '-allow-lowercase', '-allow-multidot', '-l',
             '-publisher', PUBLISHER, '-quiet', '-J', '-r', '-V', LABEL)

YAML = """\
variables: {log: log.example.org}
rules:
  - match: {}
    prolog: [10-log.sh]
    epilog: [20-mon.sh]
  - match: {vo: vo.example.org}
    epilog: [50-vo.sh]
    files: [repositories]
"""
SCRIPTS = {
    '10-log.sh': '#!/bin/sh\necho "log to $HEPIX_SITE_LOG: $1"\n',
    '20-mon.sh': '#!/bin/sh\necho "monitor $HEPIX_SERVER_NAME: $1"\n',
    '50-vo.sh': '#!/bin/sh\necho "for $HEPIX_IMAGE_VO: $1"\n',
    'repositories': 'atlas.cern.ch\n'}


class ContextSite:
    """A folder with all that hepix-vm-mkisofs reads.

    :param folder: made if missing
    :param settings: options of ``[hepix_vm]``
    """

    def __init__(self, folder: pathlib.Path, **settings: Any) -> None:
        self.folder = folder.absolute()
        self.config = self.folder / 'hepix-vm.conf'
        self.yaml = self.folder / 'context.yaml'
        self.parts = self.folder / 'context'
        self.state = self.folder / 'state'
        self.cache = self.folder / 'cache' / 'context.json'
        for path in (self.parts, self.cache.parent):
            path.mkdir(parents=True, exist_ok=True)
        # Whatever the umask is: who may write them is looked at.
        for path in (self.folder, self.parts):
            path.chmod(0o755)
        self.write_settings(**settings)
        self.write()

    @property
    def environment(self) -> dict[str, str]:
        """What leads our programs to this site."""
        return {paths.ENVIRONMENT: str(self.config),
                compiled.ENVIRONMENT: str(self.cache)}

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The journal of nova-compute."""
        path = self.state / 'journal' / 'nova-compute.jsonl'
        return [json.loads(line) for line in path.read_text().splitlines()
                ] if path.exists() else []

    def write_settings(self, **settings: Any) -> None:
        """Write hepix-vm.conf anew."""
        lines = {'context_file': self.yaml, 'state_dir': self.state,
                 **settings}
        self.config.write_text('[hepix_vm]\n' + ''.join(
            f'{key} = {value}\n' for key, value in lines.items()))
        self.config.chmod(0o644)

    def write(self, yaml: str = YAML,
              scripts: Mapping[str, str | bytes] = SCRIPTS) -> None:
        """Write context.yaml and its scripts."""
        self.yaml.write_text(yaml)
        self.yaml.chmod(0o644)
        for name, content in scripts.items():
            path = self.parts / name
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode())
            path.chmod(0o644)

    def mkisofs(self, drive: pathlib.Path | str, folder: pathlib.Path,
                prefix: tuple[str, ...] = (),
                environment: Mapping[str, str] = {},
                ) -> subprocess.CompletedProcess[str]:
        """Run hepix-vm-mkisofs as Nova does.

        :param prefix: a program that runs it
        :param environment: besides what leads to this site
        """
        return subprocess.run(
            [*prefix, program('hepix-vm-mkisofs'), '-o', str(drive),
             *ARGUMENTS, str(folder)], capture_output=True, text=True,
            timeout=120, stdin=subprocess.DEVNULL,
            env={**daemon.clean_environment(), **self.environment,
                 **environment})


def write_tree(folder: pathlib.Path, **documents: Any) -> pathlib.Path:
    """Write the least that a config drive has.

    :param documents: more keys of ``meta_data.json``; or, by their names,
        ``network_data`` and ``vendor_data2``, as bytes or as values
    """
    latest = folder / 'openstack' / 'latest'
    latest.mkdir(parents=True, exist_ok=True)
    files = {name: documents.pop(name) for name in
             ('meta_data', 'network_data', 'vendor_data2')
             if name in documents}
    files.setdefault('meta_data', {'uuid': 'u-1', **documents})
    for name, content in files.items():
        (latest / f'{name}.json').write_bytes(
            content if isinstance(content, bytes)
            else json.dumps(content).encode())
    return folder
