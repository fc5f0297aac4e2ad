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

"""The table, for the terminal and for the documentation."""

from collections.abc import Iterable
from collections.abc import Sequence
import datetime
import importlib.metadata
import os
import pathlib
import platform
import ssl
import textwrap

from benchmarks.measure import Figure
from benchmarks.workspace import Run

_HEAD = ('Benchmark', 'What', 'Figure', 'Limit', 'Met', 'Details')
_WIDTHS = (11, 30, 10, 9, 6, 34)  # percent
_MET = {True: 'yes', False: 'NO', None: '-'}


def line(figure: Figure) -> str:
    """Return a figure as the terminal shows it."""
    cells = _cells(figure)
    return (f'{cells[0]:13} {cells[2]:>10}  limit {cells[3]:>9}  '
            f'met: {cells[4]:3}  {cells[1]}\n{"":13} {cells[5]}')


def machine(run: Run) -> str:
    """Return when, on what and how much was measured, as sentences."""
    load = ', '.join(f'{value:.1f}' for value in os.getloadavg())
    versions = ', '.join(
        f'{name} {importlib.metadata.version(name)}'
        for name in ('glance', 'glance-store', 'webob', 'uwsgi',
                     'cryptography', 'asn1crypto'))
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    today = datetime.datetime.now(datetime.UTC).date()
    return (f'Measured on {today} with {run.pairs} pairs of runs. '
            f'Machine: {_processor()}, {os.cpu_count()} processors, '
            f'{memory / 2**30:.0f} GiB of memory, Linux '
            f'{platform.release()}. Python {platform.python_version()}, '
            f'{ssl.OPENSSL_VERSION}, {versions}. Load averages at the '
            f'end: {load}.')


def rst(figures: Iterable[Figure], run: Run) -> str:
    """Return the text that the documentation includes."""
    lines = [*_wrap(machine(run), ''), '', '.. list-table::',
             '   :header-rows: 1',
             f'   :widths: {" ".join(map(str, _WIDTHS))}', '']
    for cells in (_HEAD, *map(_cells, figures)):
        for number, cell in enumerate(cells):
            # A lone hyphen would be an empty list.
            cell = '\\-' if cell == '-' else cell
            lead = '   * - ' if number == 0 else '     - '
            lines += [(lead if first else ' ' * 7) + text for first, text
                      in _marked(_wrap(cell, ' ' * 7))]
    return '\n'.join(lines) + '\n'


def _cells(figure: Figure) -> Sequence[str]:
    return (figure.benchmark, figure.what, figure.show(figure.value),
            figure.show(figure.limit), _MET[figure.met], figure.detail)


def _marked(lines: Sequence[str]) -> Iterable[tuple[bool, str]]:
    return ((number == 0, text) for number, text in enumerate(lines))


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 79 - len(indent)) or ['']


def _processor() -> str:
    for text in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
        if text.startswith('model name'):
            return text.partition(':')[2].strip()
    return platform.machine()
