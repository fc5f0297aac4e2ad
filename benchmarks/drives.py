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

"""Config drives: our program against those of others, whole processes."""

from collections.abc import Sequence
import concurrent.futures
import os
import pathlib
import statistics
import subprocess
import sys
import time

from benchmarks import measure
from benchmarks.measure import Figure
from benchmarks.workspace import Run
from hepix_vm.context import bundle
from hepix_vm.context import facts
from hepix_vm.context import iso
from hepix_vm.nova_ctx import drive
from hepix_vm.sitecontext import compiled
from tests.testbed.contexts import ARGUMENTS
from tests.testbed.contexts import ContextSite
from tests.testbed import daemon
from tests.testbed.drives import NovaDrives
from tests.testbed.glance import program

_DRIVES = 200  # of the two at a time
_BATCH = 10  # of a pair: one alone is too short for the kernel's clock


def drives(run: Run) -> list[Figure]:
    """Measure the making of a drive, for Nova's files and a context."""
    site = ContextSite(run.folder / 'context')
    tree = run.folder / 'tree'
    tree.mkdir()
    with NovaDrives(run.folder / 'nova', site.environment, {}) as nova:
        failed = nova.make('tree', tree, user_data='#!/bin/sh\n')
        if failed:
            raise RuntimeError(str(failed))
    maker = _Maker(site, tree, run.folder / 'disk.config')
    ours = program('hepix-vm-mkisofs')
    return [
        _against(run, maker, 'genisoimage', ours, 7.0),
        _against(run, maker, program('pycdlib-genisoimage'), ours),
        _processor_time(run, maker, ours), _together(maker, ours),
        _warm(maker), _stages(maker)]


class _Maker:
    """Makes one drive of one folder, by one program or another."""

    def __init__(self, site: ContextSite, tree: pathlib.Path,
                 path: pathlib.Path) -> None:
        self.tree = tree
        self.path = path
        self._environment = {**daemon.clean_environment(),
                             **site.environment}

    def make(self, name: str, path: pathlib.Path | None = None) -> None:
        """Make a drive with a program."""
        self.run([name, '-o', str(path or self.path), *ARGUMENTS,
                  str(self.tree)])

    def run(self, command: Sequence[str]) -> None:
        """Run a command, with what leads it to our files."""
        subprocess.run(command, check=True, env=self._environment,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cost(self, name: str) -> float:
        """Return CPU seconds of some drives."""
        return measure.cpu_seconds(
            lambda: [self.make(name) for _ in range(_BATCH)])

    def least(self, command: Sequence[str]) -> float:
        """Return the least CPU of many runs of a command, in ms."""
        return min(measure.cpu_seconds(lambda: self.run(command))
                   for _ in range(3 * _BATCH)) * 1000


def _against(run: Run, maker: _Maker, peer: str, ours: str,
             limit: float | None = None) -> Figure:
    pairs = measure.interleave(
        lambda: maker.cost(peer), lambda: maker.cost(ours), run.pairs)
    name = os.path.basename(peer)
    return Figure(
        'drives', f'CPU of a drive, against {name}', pairs.ratio, limit,
        detail=f'{min(pairs.ratios):.2f} to {max(pairs.ratios):.2f} in '
               f'{run.pairs} pairs of {_BATCH} drives; median '
               f'{_each(pairs.bare):.1f} ms with {name}, '
               f'{_each(pairs.ours):.1f} ms with us')


def _each(costs: Sequence[float]) -> float:
    return statistics.median(costs) * 1000 / _BATCH


def _processor_time(run: Run, maker: _Maker, ours: str) -> Figure:
    costs = [maker.cost(ours) for _ in range(run.pairs)]
    return Figure('drives', 'CPU of a drive', _each(costs), 60.0, 'ms',
                  f'median of {run.pairs} times {_BATCH} drives, '
                  f'{min(costs) * 1000 / _BATCH:.1f} to '
                  f'{max(costs) * 1000 / _BATCH:.1f} ms; the drive has '
                  f'{maker.path.stat().st_size // 1024} KiB')


def _together(maker: _Maker, ours: str) -> Figure:
    def make(number: int) -> None:
        maker.make(ours, maker.path.with_suffix(f'.{number % 2}'))

    begin = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(make, range(_DRIVES)))
    taken = time.perf_counter() - begin
    return Figure('drives', 'time of a drive, two at a time',
                  taken * 1000 / _DRIVES, 40.0, 'ms',
                  f'{_DRIVES / taken:.0f} drives a second (at least 25)')


def _files(maker: _Maker) -> list[tuple[str, bundle.File]]:
    found = compiled.load()
    if found is None:
        raise RuntimeError('the context is not compiled')
    files = drive.read(str(maker.tree))
    context = found.context(facts.from_drive(
        files[facts.META_DATA].content, files[facts.NETWORK_DATA].content,
        files[facts.VENDOR_DATA].content, 'compute1'))
    return [*files.items(), *bundle.on_drive(context).items()]


def _warm(maker: _Maker) -> Figure:
    os.environ.update(maker._environment)
    files = _files(maker)
    taken = measure.milliseconds(
        lambda: iso.build(files, 'config-2', 'OpenStack Nova 34.0.0', 0), 30)
    return measure.times('drives', f'building a drive of {len(files)} files '
                         f'in a process that runs', taken, 15.0)


def _stages(maker: _Maker) -> Figure:
    """Say where the time goes: each stage has all before it in it."""
    paths = f'import sys; sys.path += {sys.path!r}; '
    start = maker.least([sys.executable, '-IS', '-c', 'pass'])
    imported = maker.least([
        sys.executable, '-IS', '-c', f'{paths}import hepix_vm.nova_ctx.mkisofs'
        f'; import os; os._exit(0)'])
    whole = maker.least([program('hepix-vm-mkisofs'), '-o', str(maker.path),
                         *ARGUMENTS, str(maker.tree)])
    gathered = measure.milliseconds(lambda: _files(maker), 30)
    return Figure(
        'drives', 'where the time goes: the least for a whole drive', whole,
        None, 'ms',
        f'the bare interpreter {start:.1f} ms; with all imports, those '
        f'included that are put off else, {imported:.1f} ms; gathering files '
        f'and context {statistics.median(gathered):.1f} ms')
