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

"""Scripts that no guest could run are refused; the others are run."""

import subprocess

import pytest

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context import template
from hepix_vm.errors import ContextError

GOOD = b'#!/bin/sh\necho "$HEPIX_SERVER_NAME"\n'


def check(content):
    bundle.check_script('10-a.sh', content, template.NAMES)


@pytest.mark.parametrize('content', [
    GOOD, b'#! /bin/sh\n', b'#!/usr/bin/env python3\n', b'#!/bin/sh',
    '#!/bin/sh\n# Zürich\n'.encode(),
    GOOD + b'# HEPIX_SITE_NONE\n: "${HEPIX_SITE_NONE:=}"\n'])
def test_a_script_is_allowed(content):
    check(content)


@pytest.mark.parametrize('content, message, remedy', [
    (b'#!/bin/sh\necho\r\n', 'line 2: .*Windows', 'dos2unix'),
    (b'#!/bin/sh\r\n', 'line 1: .*Windows', 'dos2unix'),
    (b'echo\n', 'does not begin with #!', '#!/bin/sh'),
    (b'', 'does not begin with #!', '#!/bin/sh'),
    (b'#!sh\n', 'does not begin with #!', '#!/bin/sh'),
    (b'\xef\xbb\xbf#!/bin/sh\n', 'does not begin with #!', '#!/bin/sh'),
    (b'#!/bin/sh\n\0', 'is a binary file', 'files'),
    (b'\x7fELF\x02\x01\0', 'is a binary file', 'files'),
    (b'#!/bin/sh\n\nZ\xfcrich\n', 'line 3: .*not UTF-8', 'UTF-8'),
    (GOOD + b'echo $HEPIX_SITE_NONE', 'line 3: .*HEPIX_SITE_NONE',
     'context.yaml'),
    (GOOD + b'# HEPIX_TYPO', 'HEPIX_TYPO', 'context.yaml'),
    (b'#!/bin/sh\n' + b'#' * bundle.MAX_SCRIPT, 'at most', 'Correct')])
def test_a_script_is_refused(content, message, remedy):
    with pytest.raises(ContextError, match=message) as caught:
        check(content)
    assert '10-a.sh' in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize('name', ['a', '10-syslog.sh', 'A_b.c-1', 'x' * 64])
def test_a_name_is_allowed(name):
    bundle.check_name(name)


@pytest.mark.parametrize('name', [
    '', '.', '..', '.hidden', '-x', '../x', 'a/b', 'a b', 'a\n', 'ü', 'a$b',
    "a'b", 'a;b', 'x' * 65])
def test_a_name_is_refused(name):
    with pytest.raises(ContextError, match='name of a part'):
        bundle.check_name(name)


def test_two_sources_cannot_give_the_same():
    for kind in Bundle._fields:
        one = Bundle(**{kind: {'x': b''}})
        with pytest.raises(ContextError, match='Two sources .* x'):
            bundle.merge([one, one])


@pytest.mark.parametrize('kind', ['prolog', 'epilog'])
@pytest.mark.parametrize('name', ['x;reboot', '$(reboot)', '../x', 'a b'])
def test_no_name_of_a_part_is_a_command_of_the_driver(kind, name):
    with pytest.raises(ContextError, match='name of a part'):
        bundle.merge([Bundle(**{kind: {name: GOOD}})])


def test_prolog_and_epilog_can_be_the_same_script():
    merged = bundle.merge([Bundle({'x': GOOD}), Bundle(epilog={'x': GOOD})])
    assert merged.prolog == merged.epilog == {'x': GOOD}


def test_too_many_and_too_much_are_refused():
    many = Bundle({str(n): b'' for n in range(bundle.MAX_COUNT)})
    bundle.merge([many])
    with pytest.raises(ContextError, match='257 parts'):
        bundle.merge([many, Bundle(epilog={'x': b''})])
    half = b'x' * (bundle.MAX_TOTAL // 2)
    bundle.merge([Bundle({'a': half}, {'b': half})])
    with pytest.raises(ContextError, match='bytes'):
        bundle.merge([Bundle({'a': half}, {'b': half},
                             {'c': File(b'x')})])


def lay_out(folder, scripts, moment='prolog'):
    """Write a drive's files as a guest has them after it copied them."""
    given = bundle.merge([
        Bundle(**{moment: scripts}),
        Bundle(files={bundle.VARIABLES: bundle.variables_file(
            {'HEPIX_SERVER_NAME': "it's $(x)"})})])
    for path, file in bundle.on_drive(given).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)


def say(what, status=0):
    return (f'#!/bin/sh\necho {what} "$1" "$HEPIX_SERVER_NAME"\n'
            f'exit {status}\n').encode()


SHELLS = ('sh', 'bash', 'busybox sh')


@pytest.mark.parametrize('shell', SHELLS)
def test_the_driver_runs_the_parts_in_order(tmp_path, shell):
    lay_out(tmp_path, {'b': say('b'), 'a': say('a')})
    for action, expected in (('start', 'ba'), ('stop', 'ab'), ('', 'ba')):
        finished = subprocess.run(
            [*shell.split(), './prolog.sh', *filter(None, [action])],
            cwd=tmp_path, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.splitlines() == [
            f"{name} {action or 'start'} it's $(x)" for name in expected]


def test_the_driver_finds_its_folder(tmp_path):
    lay_out(tmp_path, {'a': say('a')}, 'epilog')
    finished = subprocess.run([tmp_path / 'epilog.sh', 'start'], cwd='/',
                              capture_output=True, text=True)
    assert (finished.returncode, finished.stdout) == (
        0, "a start it's $(x)\n")


def test_the_driver_goes_on_and_reports_the_first_failure(tmp_path):
    lay_out(tmp_path, {'a': say('a'), 'b': say('b', 3), 'c': say('c', 4)})
    finished = subprocess.run(['./prolog.sh', 'start'], cwd=tmp_path,
                              capture_output=True, text=True)
    assert finished.returncode == 3
    assert finished.stdout.count('start') == 3
    assert finished.stderr.splitlines() == [
        'hepix-vm: prolog b failed with status 3',
        'hepix-vm: prolog c failed with status 4']


@pytest.mark.parametrize('shell', SHELLS)
def test_sourced_it_leaves_the_shell_as_it_was(tmp_path, shell):
    lay_out(tmp_path, {'a': b'#!/bin/sh\ncd /\nexit 7\n'})
    finished = subprocess.run(
        [*shell.split(), '-c',
         'cd "$1"; set -- start; status=5; . ./prolog.sh start; '
         'echo "$? $status $# $PWD ${HEPIX_SERVER_NAME-unset}"', 'x',
         str(tmp_path)], capture_output=True, text=True)
    assert finished.stdout == f'7 5 1 {tmp_path} unset\n'


def test_the_driver_refuses_other_words(tmp_path):
    lay_out(tmp_path, {'a': say('a')})
    finished = subprocess.run(['./prolog.sh', 'restart'], cwd=tmp_path,
                              capture_output=True, text=True)
    assert finished.returncode == 2
    assert finished.stdout == ''
    assert 'start|stop' in finished.stderr


def test_without_parts_there_are_scripts_all_the_same(tmp_path):
    # amiconfig looks for prolog.sh.
    lay_out(tmp_path, {})
    for name in ('prolog.sh', 'epilog.sh'):
        subprocess.run([tmp_path / name, 'start'], check=True)


def test_who_may_read_what():
    drive = bundle.on_drive(Bundle(
        {'a': GOOD}, files={bundle.VARIABLES: bundle.variables_file({})}))
    assert {path: file.mode for path, file in drive.items()} == {
        'prolog.sh': 0o755, 'epilog.sh': 0o755, 'context/prolog.d/a': 0o755,
        'context/variables.sh': 0o600}
