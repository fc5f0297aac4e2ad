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
"""What the commands say of themselves, and the page that says the same."""

import argparse
import re
import shlex

import pytest

from hepix_vm.cmd import sync
from hepix_vm.exchange import report
from tests.unit.test_docs import plain
from tests.unit.test_docs import read
from tests.unit.test_docs import rows

PAGE = 'cli/hepix-vm-sync.rst'


def commands():
    """Return the parsers of the program and its commands, by name."""
    parser = sync._parser()
    action, = (each for each in parser._actions if isinstance(
        each, argparse._SubParsersAction))
    return {'': parser, **action.choices}


@pytest.mark.parametrize('name', commands())
def test_examples_can_be_typed_and_are_documented(name):
    parser = commands()[name]
    assert parser.description
    assert parser.examples
    for example in parser.examples:
        program, *arguments = shlex.split(example)
        given = sync._parser().parse_args(arguments)
        assert program == 'hepix-vm-sync'
        assert given.parser.prog == f'hepix-vm-sync {name}'.strip()
        assert f'  {example}\n' in parser.format_help()
        assert f'\n    {example}\n' in read(PAGE)
    lines = [line for line in parser.format_help().splitlines()
             if line.strip() not in parser.examples]
    assert [line for line in lines if len(line) > 80 and ' | ' not in line
            ] == []


def test_exit_statuses():
    documented = {cells[0]: plain(cells[1]).replace('`', '')
                  for cells in rows(PAGE) if cells[0].isdigit()}
    assert documented == {
        str(status): text for status, text in report.STATUSES.items()}
    shown = ' '.join(sync._parser().format_help().split())
    for status, text in report.STATUSES.items():
        assert f'{status} {text}' in shown


@pytest.mark.parametrize('arguments', [
    ['--nonsense'], ['nonsense'], ['block'], ['fetch'], ['adopt', '-x'],
    ['publish', 'x'], ['import-config', '--from', 'y', 'x'],
    ['lift', '--image', 'x'], ['-f', 'json'], ['-c', 'Why'],
    ['--dry-run', '-c', 'Nothing'],
    ['--dry-run', '-f', 'json', '-c', 'Why'], ['--sweep', '--no-fetch'],
    ['--sweep', '-c', 'Why'], ['adopt', '--reason', 'x']])
def test_a_command_line_that_cannot_be_used(arguments, capsys):
    """The status is not that of a failure, which a timer tries again."""
    with pytest.raises(SystemExit) as caught:
        sync.main(arguments)
    assert caught.value.code == report.MISCONFIGURED
    err = capsys.readouterr().err
    assert err.startswith('usage: hepix-vm-sync')
    assert re.search(r'^hepix-vm-sync.*: error: ', err, re.MULTILINE)
