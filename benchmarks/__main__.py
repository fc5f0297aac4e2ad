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

"""Runs the benchmarks: ``python -m benchmarks [NAME...]``."""

import argparse
from collections.abc import Sequence
import pathlib
import sys
import tempfile

from benchmarks import audit
from benchmarks import boot
from benchmarks import commands
from benchmarks import core
from benchmarks import drives
from benchmarks import exchange
from benchmarks import operators
from benchmarks import report
from benchmarks import service
from benchmarks import vendordata
from benchmarks.workspace import Benchmark
from benchmarks.workspace import Run

BENCHMARKS: dict[str, Benchmark] = {
    'put': service.route('put'),
    'import': service.route('import'),
    'web-download': service.route('web-download'),
    'memory': service.memory,
    'hashing': core.hashing,
    'lists': core.lists,
    'cas': core.cas,
    'verdict': core.verdict,
    'audit': audit.audit,
    'commands': commands.commands,
    'operators': operators.operators,
    'drives': drives.drives,
    'vendordata': vendordata.vendordata,
    'boot': boot.boot,
    'reading': exchange.reading,
    'following': exchange.following,
    'fetching': exchange.fetching,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print the table.

    :returns: 0 if all limits were met, 1 if one was missed
    """
    given = _parser().parse_args(arguments)
    unknown = set(given.names) - BENCHMARKS.keys()
    if unknown:
        print(f'error: there is no benchmark {", ".join(sorted(unknown))}; '
              f'there are {", ".join(BENCHMARKS)}', file=sys.stderr)
        return 2
    figures = []
    with tempfile.TemporaryDirectory(prefix='hepix-vm-', dir=given.folder
                                     ) as folder:
        run = Run(pathlib.Path(folder), given.anchors, given.size,
                  given.small, given.large, given.pairs)
        for name in given.names or BENCHMARKS:
            for figure in BENCHMARKS[name](run):
                print(report.line(figure), flush=True)
                figures.append(figure)
    print(report.machine(run))
    if given.rst:
        given.rst.write_text(report.rst(figures, run))
    return int(any(figure.met is False for figure in figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', description='Measures what the gate '
        'costs, with and without it, in turns. Without a NAME, all.')
    parser.add_argument('names', metavar='NAME', nargs='*',
                        help=', '.join(BENCHMARKS))
    for name, default, text in (
            ('size', Run.size, 'MiB of the image whose route is timed'),
            ('small', Run.small, 'MiB of the small image for memory'),
            ('large', Run.large, 'MiB of the large image for memory'),
            ('pairs', Run.pairs, 'interleaved runs with and without us')):
        parser.add_argument(f'--{name}', type=int, default=default,
                            metavar='N', help=f'{text} ({default})')
    parser.add_argument(
        '--folder', type=pathlib.Path, metavar='FOLDER',
        help='where images and servers are put for the time being')
    parser.add_argument(
        '--anchors', type=pathlib.Path, metavar='FOLDER',
        default=pathlib.Path('/etc/grid-security/certificates'),
        help='CAs of igtf-policy-classic (%(default)s)')
    parser.add_argument(
        '--rst', type=pathlib.Path, metavar='FILE',
        help='write the table for the documentation too')
    return parser


if __name__ == '__main__':
    sys.exit(main())
