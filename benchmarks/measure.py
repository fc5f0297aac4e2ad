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

"""Interleaved measurements, and what is said of them."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import gc
import resource
import statistics
import time

MIB = 1024 * 1024

Cost = Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One line of the table.

    :param benchmark: its name on the command line
    :param what: what was measured
    :param value: the figure that the limit speaks of, such as a ratio
    :param limit: what the figure may be at most; None where nothing is
        asked for
    :param unit: of value and limit; nothing for a ratio
    :param detail: what the figure was made of
    """

    benchmark: str
    what: str
    value: float
    limit: float | None = None
    unit: str = ''
    detail: str = ''

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        return None if self.limit is None else self.value <= self.limit

    def show(self, value: float | None) -> str:
        """Return the value, or the limit, with its unit."""
        if value is None:
            return '-'
        return f'{value:.1f} {self.unit}' if self.unit else f'{value:.3f}'


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Costs of interleaved runs, the first of both without us."""

    bare: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """What we cost over what it costs without us, pair by pair."""
        return tuple(ours / bare for bare, ours in zip(
            self.bare, self.ours, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    def figure(self, benchmark: str, what: str, limit: float) -> Figure:
        """Return the line of the table."""
        ratios = self.ratios
        return Figure(
            benchmark, what, self.ratio, limit,
            detail=f'{min(ratios):.3f} to {max(ratios):.3f} in '
                   f'{len(ratios)} pairs; median CPU '
                   f'{statistics.median(self.bare):.3f} s without, '
                   f'{statistics.median(self.ours):.3f} s with us')


def interleave(bare: Cost, ours: Cost, pairs: int) -> Pairs:
    """Measure A B A B ..., after one run of each that does not count.

    What disturbs the machine for a while disturbs both alike.

    :param bare: does the work without us and returns what it cost
    :param ours: the same with us
    """
    bare()
    ours()
    costs = [(bare(), ours()) for _ in range(pairs)]
    return Pairs(*map(tuple, zip(*costs, strict=True)))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this thread and of programs that ended.

    What the work returns is freed in the time that counts; what was left
    before is not.
    """
    gc.collect()
    before = time.thread_time() + _children()
    work()
    return time.thread_time() + _children() - before


def milliseconds(work: Callable[[], object], runs: int) -> Sequence[float]:
    """Return how long each of several runs took, after one more."""
    work()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def times(benchmark: str, what: str, taken: Sequence[float],
          limit: float | None = None) -> Figure:
    """Return the line of the table for times in milliseconds."""
    return Figure(benchmark, what, statistics.median(taken), limit, 'ms',
                  f'median of {len(taken)} runs, {min(taken):.1f} to '
                  f'{max(taken):.1f} ms')


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
