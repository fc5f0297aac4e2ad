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

"""What holds of all commands that ``openstack`` has of us."""

import argparse
import configparser
import fnmatch
import importlib
from importlib import metadata
import io
import re
import shlex
import subprocess
import sys
import warnings

from openstackclient import shell
import pytest

from hepix_vm.osc import base
from hepix_vm.osc import plugin
from tests.unit.test_docs import read
from tests.unit.test_docs import ROOT

GROUP = 'openstack.hepix_vm.v1'
PAGE = 'cli/openstack.rst'
# OpenStackClient's own, or such that it would take for them.
RESERVED = ('--os', '--version', '--format')


def declared():
    """Return where the commands are, by their names, as setup.cfg says."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    lines = config['entry_points'][GROUP].split('\n')
    return dict(map(str.strip, line.split('=')) for line in lines if line)


NAMES = [name.replace('_', ' ') for name in declared()]


def command(name):
    """Return a command as the program makes it."""
    module, _, kind = declared()[name.replace(' ', '_')].partition(':')
    found = getattr(importlib.import_module(module), kind)
    return found(shell.OpenStackShell(), None, cmd_name=name)


def parser(name):
    return command(name).get_parser(f'openstack {name}')


def options(of):
    return {option for action in of._actions
            for option in action.option_strings}


def of_cliff(made):
    """Return the options that a command has whatever it does."""
    kind = next(kind for kind in (base.Lister, base.ShowOne, base.Ours)
                if isinstance(made, kind))
    return options(kind.get_parser(made, 'x'))


def test_what_is_installed_is_what_is_declared():
    installed = metadata.entry_points(group=GROUP)
    assert {each.name: each.value for each in installed} == declared()


@pytest.mark.parametrize('name', NAMES)
def test_no_option_is_that_of_others(name):
    with warnings.catch_warnings():
        # Of two with one name cliff drops one, and says it here.
        warnings.simplefilter('error')
        made = command(name)
        parser = made.get_parser(name)
    app = plugin.build_option_parser(
        shell.OpenStackShell().build_option_parser('x', '1'))
    theirs = options(app) - {'-h', '--help'}
    own = options(parser) - of_cliff(made)
    assert own & theirs == set()
    # The program reads its options wherever they stand, and shortened.
    for option in own:
        assert not option.startswith(RESERVED)
        assert [other for other in theirs if other.startswith(option)] == []


@pytest.mark.parametrize('name', NAMES)
def test_everything_has_its_help(name):
    made = command(name)
    parser = made.get_parser(name)
    first = parser.description.splitlines()[0]
    assert first.endswith('.') and len(first) <= 79
    for action in parser._actions:
        assert action.help, action
    text = parser.format_help()
    assert '::' not in text
    for example in made.examples:
        assert f'\n  {example}\n' in text


@pytest.mark.parametrize('name', NAMES)
def test_examples_can_be_typed(name):
    made = command(name)
    start = ['openstack', *name.split()]
    # One may show what is done with the result.
    own = [words for words in map(shlex.split, made.examples)
           if words[:len(start)] == start]
    assert own
    assert all(line.startswith('openstack ') for line in made.examples)
    for words in own:
        try:
            made.get_parser(name).parse_args(words[len(start):])
        except SystemExit:
            pytest.fail(f'{words} cannot be read')


def test_every_command_is_documented():
    """By the directive, whose patterns have to match each once."""
    patterns = re.findall(
        r'^\.\. autoprogram-cliff:: openstack\.hepix_vm\.v1\n'
        r'   :application: openstack\n   :command: (.+)$', read(PAGE),
        re.MULTILINE)
    for name in NAMES:
        assert len([each for each in patterns if fnmatch.fnmatch(
            name, each)]) == 1, name


_LOADED = '''
import importlib, sys
from cliff import columns
from openstackclient import shell
from osc_lib.cli import format_columns
from osc_lib.command import command
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*set(sys.modules) - before)
'''


def test_openstack_stays_as_quick_as_it_was():
    """It imports all modules of commands, whatever it is asked."""
    modules = {place.partition(':')[0] for place in declared().values()}
    done = subprocess.run(
        [sys.executable, '-c', _LOADED, 'hepix_vm.osc.plugin', *modules],
        capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert modules < loaded
    ours = ('hepix_vm.osc', 'hepix_vm')
    assert [name for name in loaded if not name.startswith('hepix_vm.osc')
            and name not in ours] == []


@pytest.mark.parametrize('written', ['soon', '2026-02-30', '+1y'])
def test_a_time_that_is_none(written):
    made = argparse.ArgumentParser()
    made.add_argument('--at', type=base.moment())
    said = io.StringIO()
    with pytest.raises(SystemExit) as caught, pytest.MonkeyPatch.context(
            ) as patched:
        patched.setattr(sys, 'stderr', said)
        made.parse_args(['--at', written])
    assert caught.value.code == 2
    assert 'is no point in time. Write a day' in said.getvalue()
