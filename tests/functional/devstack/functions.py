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

"""Single functions of the plugin, on settings that a test writes.

They run after all of DevStack, or of the shim, is there, and before any phase.
"""

import pathlib
import shutil
import subprocess

from tests.functional.devstack.machine import Machine


class Functions:
    """Runs pieces of bash in which the functions of the plugin are known."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.etc = machine.root / 'etc'

    def try_run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a piece, however it ends."""
        path = self.machine.folder / 'call.sh'
        path.write_text(script)
        return self.machine.run('call', str(path))

    def run(self, script: str) -> str:
        """Run a piece that has to end well; return what it printed."""
        finished = self.try_run(script)
        assert finished.returncode == 0, finished.stdout
        assert self.machine.recorded('refused') == []
        return finished.stdout

    def die(self, script: str) -> str:
        """Run a piece that has to end stack.sh; return what it printed."""
        finished = self.try_run(script)
        assert finished.returncode != 0
        assert '[ERROR]' in finished.stdout
        return finished.stdout

    def write(self, name: str, text: str) -> pathlib.Path:
        """Write a file below /etc, as it is before the plugin runs."""
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def traced(self) -> str:
        """What DevStack's log has of the last piece, beside its output."""
        return (self.machine.record / 'call.trace').read_text(
            errors='replace')

    def owner(self, path: pathlib.Path) -> str:
        """Who was to be owner of a file last: USER:GROUP."""
        owners = dict(reversed(line.split(' ', 1))
                      for line in self.machine.recorded('owners'))
        return owners[str(path)]

    def forget(self) -> None:
        """Leave nothing to the next test."""
        for folder in (self.etc, self.machine.record,
                       self.machine.data / 'hepix-vm'):
            shutil.rmtree(folder, ignore_errors=True)
        (self.etc / 'apache2/sites-available').mkdir(parents=True)
        self.machine.record.mkdir()
