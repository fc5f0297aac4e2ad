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

"""A folder that stands for a server, in which parts of the context run.

It is for what needs no server: the values that a part refuses, the files
that it writes, the services that it calls. Whether programs understand what
is written is shown in a guest, by tests/functional/test_context_parts.py.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from hepix_vm.context import template

ROOT = pathlib.Path(__file__).parents[2]
CONTEXT = ROOT / 'etc' / 'hepix_vm' / 'context'
# That which installs host certificates has a page and tests of its own.
PARTS = sorted({path.name for path in CONTEXT.iterdir()} - {'05-hostcert.sh'})
SHELLS = {'dash': ('dash',), 'busybox': ('busybox', 'sh')}

_FAKE = """\
#!{shell}
echo "$0 $*" >> {calls}
{script}
"""


def variables(text: str) -> set[str]:
    """Return the variables of the context that a text names."""
    return set(re.findall(r'\bHEPIX_\w*', text))


def all_variables() -> set[str]:
    """Return the variables that the parts name."""
    return variables(''.join(
        (CONTEXT / part).read_text() for part in PARTS))


def applets(folder: pathlib.Path) -> pathlib.Path:
    """Fill a folder with the programs of busybox, links to a copy of it."""
    busybox = shutil.which('busybox')
    assert busybox, 'busybox is not installed: see bindep.txt'
    own = shutil.copy(busybox, folder / 'busybox')
    subprocess.run([own, '--install', '-s', folder], check=True, timeout=20)
    return folder


@dataclasses.dataclass
class Server:
    """A folder with programs of busybox, and nothing of this machine.

    :param applets: links to busybox, made by :func:`applets`
    :param shell: the command that runs the parts
    """

    root: pathlib.Path
    applets: pathlib.Path
    shell: tuple[str, ...]

    def path(self, name: str) -> pathlib.Path:
        """Return where a path of the server is, its folder made."""
        path = self.root / name.lstrip('/')
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str = '') -> pathlib.Path:
        """Write a file of the server, never through a link out of it."""
        path = self.path(name)
        assert path.resolve().is_relative_to(self.root.resolve())
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        """Read a file of the server."""
        return self.path(name).read_text()

    def program(self, name: str, script: str = '') -> None:
        """Install a program that records how it is called."""
        path = self.write(f'bin/{name}', _FAKE.format(
            shell=self.applets / 'sh', script=script,
            calls=shlex.quote(str(self.root / 'calls'))))
        path.chmod(0o755)

    def calls(self) -> list[str]:
        """Return the calls of such programs so far, and forget them."""
        path = self.root / 'calls'
        if not path.exists():
            return []
        found = [line.removeprefix(f'{self.root}/bin/')
                 for line in path.read_text().splitlines()]
        path.unlink()
        return found

    def files(self) -> dict[str, tuple[str, int]]:
        """Return the files of /etc, /run and /var with their modes."""
        return {
            f'/{path.relative_to(self.root)}': (
                path.read_text(), path.stat().st_mode & 0o777)
            for top in ('etc', 'run', 'var')
            for path in sorted((self.root / top).rglob('*'))
            if path.is_file()}

    def run(self, part: str, verb: str = 'start', **values: str,
            ) -> subprocess.CompletedProcess[str]:
        """Run a part.

        :param values: of variables, without the HEPIX_ that all begin with
        """
        script = self.path(f'context/prolog.d/{part}')
        text = re.sub(r'^PATH=.*', f'PATH={self.root}/bin:{self.applets}',
                      (CONTEXT / part).read_text(), flags=re.MULTILINE)
        script.write_text(re.sub(
            r'(?<![\w.*])(?=/(?:etc|run|usr|lib|var|proc)/)',
            str(self.root), text))
        environment = {'PATH': os.environ['PATH']} | dict.fromkeys(
            template.NAMES | all_variables(), '')
        environment |= {f'HEPIX_{name}': value
                        for name, value in values.items()}
        return subprocess.run(
            [*self.shell, str(script), verb], cwd=self.root,
            env=environment, timeout=60, capture_output=True, text=True,
            umask=0o077)
