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

"""``hepix-vm-sync import-config``: lists that another program followed."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from hepix_vm.cmd import common
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import atrope
from hepix_vm.exchange.importing import cloudkeeper
from hepix_vm.exchange.importing import render
from hepix_vm.exchange.importing import vmcatcher
from hepix_vm.exchange.report import ALL_WELL
from hepix_vm.exchange.report import REFUSED

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[common.Parser]

_READERS = {'atrope': atrope.read, 'cloudkeeper': cloudkeeper.read,
            'vmcatcher': vmcatcher.read}


def add_parser(subparsers: '_Parsers') -> None:
    """Add the subcommand to a command line."""
    parser = subparsers.add_parser(
        'import-config', help='write subscriptions.yaml from what vmcatcher, '
        'atrope or cloudkeeper knew',
        description='Writes subscriptions.yaml from what another program '
        'knew. What is lacking is said in the file; nothing is guessed, and '
        'nobody is asked.', examples=[
            'hepix-vm-sync import-config --from atrope --output '
            'subscriptions.yaml /etc/atrope/hepix.yaml'])
    parser.add_argument(
        'file', metavar='FILE',
        help='the database of vmcatcher or its dump, hepix.yaml of atrope, '
             'or cloudkeeper.yml')
    parser.add_argument('--from', dest='tool', required=True,
                        choices=sorted(_READERS), help='whose it is')
    parser.add_argument(
        '--mapping', metavar='FILE',
        help='mapping.json of cloudkeeper-os, or voms.json of atrope: the '
             'project of each VO')
    parser.add_argument(
        '--output', metavar='FILE',
        help='where it is written; it must not exist (standard output by '
             'default)')
    parser.set_defaults(work=run, parser=parser)


def run(given: argparse.Namespace) -> int:
    """Read one file, and write the other.

    :returns: the exit status
    :raises ConfigError: a file cannot be read or written
    """
    projects = (cloudkeeper.read_mapping(_read(given.mapping), given.mapping)
                if given.mapping else {})
    sources = _READERS[given.tool](_read(given.file), given.file)
    if not sources:
        print(f'{given.file} names no list', file=sys.stderr)
        return REFUSED
    done = render.render(sources, given.tool, projects)
    if given.output:
        _write(given.output, done.text)
    else:
        print(done.text, end='')
    left = ('1 is commented out, see its reasons' if done.left == 1 else
            f'{done.left} are commented out, see their reasons')
    print(f'lists taken over: {done.taken}'
          f'{f"; {left}" if done.left else ""}', file=sys.stderr)
    return REFUSED if done.left else ALL_WELL


def _read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.', path,
                          remedy='Name a file that can.') from error


def _write(path: str, text: str) -> None:
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with open(descriptor, 'w', encoding='utf-8') as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f'It cannot be written: {error.strerror}.', path,
                          remedy='Name a file that is not there yet.'
                          ) from error
