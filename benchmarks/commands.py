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

"""What the openstack commands cost those who start them, and those who do not.

``openstack`` imports all modules of commands at each start.
"""

from importlib import metadata
import os
import pathlib
import statistics
import subprocess
import sys

from benchmarks.measure import cpu_seconds
from benchmarks.measure import Figure
from benchmarks.measure import interleave
from benchmarks.workspace import Run
from hepix_vm import paths
from tests.testbed.site import file_entry

MILLISECONDS = 15.0
RATIO = 1.15

_STARTS = 4  # for each pair of runs: starts are short
_GROUP = 'openstack.hepix_vm.v1'
# What the program has imported before it looks for commands.
_IMPORTS = """
import importlib, sys, time
from cliff import columns
from openstackclient import shell
from osc_lib.cli import format_columns
from osc_lib.command import command
start = time.process_time()
for name in sys.argv[1:]:
    importlib.import_module(name)
print((time.process_time() - start) * 1000)
"""


def commands(run: Run) -> list[Figure]:
    """Import the modules of our commands, and verify a small file."""
    return [_importing(run), _verifying(run)]


def _environment(run: Run) -> dict[str, str]:
    """Return that of a user: modules are compiled as pip leaves them."""
    return {**{name: value for name, value in os.environ.items()
               if not name.startswith(('OS_', 'PYTHON'))},
            'PYTHONPYCACHEPREFIX': str(run.folder / 'compiled')}


def _importing(run: Run) -> Figure:
    modules = sorted({entry.module for entry in metadata.entry_points(
        group=_GROUP)} | {'hepix_vm.osc.plugin'})
    # The first one compiles.
    taken = [float(subprocess.run(
        [sys.executable, '-c', _IMPORTS, *modules], capture_output=True,
        text=True, check=True, env=_environment(run)).stdout)
        for _ in range(run.pairs * _STARTS + 1)][1:]
    return Figure(
        'commands', f'what our {len(modules)} modules add to the start of '
        f'openstack, CPU', statistics.median(taken), MILLISECONDS, 'ms',
        f'{min(taken):.1f} to {max(taken):.1f} ms in {len(taken)} starts')


def _verifying(run: Run) -> Figure:
    site, image = run.site('commands-site'), run.image(1)
    endorsement = site.folder / 'image.endorsement'
    endorsement.write_bytes(site.sign(site.image_list(
        file_entry(image.sha512, image.size)), site.alice))
    program = pathlib.Path(sys.executable).with_name('openstack')
    environment = {**_environment(run),
                   paths.ENVIRONMENT: str(site.config)}

    def start(*arguments: str) -> float:
        return cpu_seconds(lambda: subprocess.run(
            [program, *arguments], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=True,
            env=environment))

    return interleave(
        lambda: start('module', 'list'),
        lambda: start('image', 'endorsement', 'verify', str(image.path),
                      '--endorsement', str(endorsement)),
        run.pairs * _STARTS).figure(
            'commands', 'openstack image endorsement verify of 1 MiB, to '
            'openstack module list', RATIO)
