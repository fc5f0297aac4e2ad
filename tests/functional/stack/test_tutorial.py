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

"""Every command of the tutorial, in order, on a whole cloud."""

from collections.abc import Iterator
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
from typing import NamedTuple

import pytest

from tests.testbed import cache
from tests.testbed import daemon
from tests.testbed.stack import Stack

PAGE = cache.ROOT / 'doc' / 'source' / 'user' / 'tutorial.rst'
_LIMIT = 300  # seconds


class Step(NamedTuple):
    """A command of the page, and what the page says of its output."""

    command: str
    output: str


def steps(page: str) -> list[Step]:
    """Return what a page has after prompts, each with what follows it."""
    found: list[Step] = []
    for block in re.findall(
            r'\.\. code-block:: console\n\n((?:   .*\n|\n)+)', page):
        command, output = '', ''
        for line in [*textwrap.dedent(block).splitlines(), '$ ']:
            if line.startswith('> ') or command.endswith('\\\n'):
                command += line.removeprefix('> ') + '\n'
            elif line.startswith('$ '):
                if command:
                    found.append(Step(command, output.strip('\n')))
                command, output = line.removeprefix('$ ') + '\n', ''
            else:
                output += line + '\n'
    return found


def is_as_said(output: str, said: str) -> bool:
    """Say whether an output is what a page says.

    :param said: ``...`` stands for anything in a line, and on a line of its
        own for any lines; without a text nothing is said
    """
    pattern = ''.join(
        r'(?:.*\n)*?' if line == '...' else
        '.*'.join(map(re.escape, line.rstrip().split('...'))) + r' *\n'
        for line in said.splitlines())
    whole = output if output.endswith('\n') else output + '\n'
    return not said or re.fullmatch(pattern, whole) is not None


@pytest.mark.parametrize(('output', 'said'), [
    ('a\nb\n', 'a\nb'), ('a\nb', 'a\nb'), ('a  \n', 'a'),
    ('a\nb\nc\n', '...\nc'), ('a\n', '...\na\n...'), ('a 1 b\n', 'a ... b'),
    ('anything', '')])
def test_an_output_may_be_as_it_is_said(output: str, said: str) -> None:
    assert is_as_said(output, said)


@pytest.mark.parametrize(('output', 'said'), [
    ('a\n', 'b'), ('a\nb\n', 'a'), ('b\na\n', 'a\nb'), ('a\n', 'a\n...\nb'),
    ('', 'a'), ('a 1\nb', 'a ... b'), ('abc\n', 'a.c')])
def test_an_output_that_differs_is_seen(output: str, said: str) -> None:
    assert not is_as_said(output, said)


def test_commands_are_found_whole() -> None:
    assert steps('Text\n\n.. code-block:: console\n\n'
                 '   $ one \\\n       --option\n   said\n\n   more\n'
                 '   $ cat << END\n   > text\n   > END\n\nText\n') == [
        Step('one \\\n    --option\n', 'said\n\nmore'),
        Step('cat << END\ntext\nEND\n', '')]


@pytest.fixture
def folder(stack: Stack, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where a reader of the page begins."""
    site = stack.site
    shutil.copy(cache.ROOT / 'etc' / 'hepix_vm' / 'policy.yaml', site.folder)
    (tmp_path / 'site').symlink_to(site.folder)
    (tmp_path / 'hepix-vm').symlink_to(cache.ROOT)
    yield tmp_path
    site.write_policy()
    for path in site.anchors.glob('test-ca.*'):
        path.unlink()


def test_every_command_of_the_tutorial(
        stack: Stack, folder: pathlib.Path) -> None:
    environment = {
        **daemon.clean_environment(), **stack.environment,
        # Who has nothing there yet.
        'OS_CLOUD': 'carol',
        'HOME': str(folder), 'PATH': os.pathsep.join((
            str(pathlib.Path(sys.executable).parent), os.environ['PATH']))}
    page = steps(PAGE.read_text())
    assert len(page) > 20
    status = 0
    for step, after in zip(page, [*page[1:], Step('', '')], strict=True):
        done = subprocess.run(
            ['bash', '-c', f'(exit {status})\n{step.command}'], cwd=folder,
            env=environment, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT)
        seen = f'$ {step.command}{done.stdout}'
        assert is_as_said(done.stdout, step.output), seen
        # The page shows a status where it is another.
        status = done.returncode
        assert not status or after.command == 'echo $?\n', seen
