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

"""What DevStack's plugin sets in the files of other services is taken back."""

import os
from pathlib import Path
import stat
import subprocess
import sys

import pytest

TOOL = Path(__file__).parents[2] / 'devstack' / 'tools' / 'inifile.py'

BEFORE = """\
# of the site
[DEFAULT]
debug = True
names =
    one, two,
# of others
    three

driver = log
driver = messagingv2
/v2/+: application

[paste]
pipeline = cors rootapp
"""


def run(*arguments: object) -> str:
    """Run the tool, and return what it prints."""
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], check=True, text=True,
        capture_output=True, timeout=30).stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file as a service has it."""
    path = tmp_path / 'service.conf'
    path.write_text(BEFORE)
    return path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Return where it is remembered what was there."""
    return tmp_path / 'record.json'


def change(file: Path, *pairs: tuple[str, str]) -> None:
    """Put other text into a file, where each text is."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


CHANGES = (
    ('debug = True', 'debug = False\nnew = 1'),
    ('driver = messagingv2', 'driver = messagingv2\ndriver = ours'),
    ('cors rootapp', 'cors ours rootapp'),
    ('names =\n    one, two,\n', 'names = one,two,three\n'),
    ('# of others\n    three\n', ''),
    ('rootapp\n', 'rootapp\n\n[filter:ours]\nuse = egg:ours\n'),
)


def said(text: str) -> list[str]:
    """Return the lines that are no comments, in no order."""
    return sorted(line.strip() for line in text.splitlines()
                  if line.strip() and not line.lstrip().startswith('#'))


def test_all_is_taken_back(file: Path, record: Path) -> None:
    """Values, lines that repeat, lines that go on, sections that are new."""
    run('note', record, file)
    change(file, *CHANGES)
    run('keep', record)
    run('undo', record)
    assert said(file.read_text()) == said(BEFORE)
    assert '[filter:ours]' not in file.read_text()
    assert not record.exists()


def test_what_was_broken_off_is_taken_back(file: Path, record: Path) -> None:
    """The plugin may end between note and keep."""
    run('note', record, file)
    change(file, *CHANGES)
    run('undo', record)
    assert said(file.read_text()) == said(BEFORE)


def test_what_was_broken_off_is_gone_on_with(file: Path,
                                             record: Path) -> None:
    """The first stack.sh ended early, the second did not."""
    run('note', record, file)
    change(file, *CHANGES)
    run('note', record, file)
    run('keep', record)
    run('undo', record)
    assert said(file.read_text()) == said(BEFORE)


def test_a_second_time_changes_nothing(file: Path, record: Path) -> None:
    """What was set already is not taken for what was there before."""
    for _ in range(2):
        run('note', record, file)
        if 'ours' not in file.read_text():
            change(file, *CHANGES)
        run('keep', record)
    run('undo', record)
    assert said(file.read_text()) == said(BEFORE)


def test_lines_alike_are_one(file: Path, record: Path) -> None:
    """DevStack's iniset sets each of several lines to the same value."""
    run('note', record, file)
    change(file, ('driver = log', 'driver = ours'))
    run('keep', record)
    # DevStack sets it anew, and the plugin after it.
    change(file, ('driver = ours', 'driver = messagingv2'))
    run('note', record, file)
    change(file, ('driver = messagingv2\ndriver = messagingv2',
                  'driver = messagingv2\ndriver = ours'))
    run('undo', record)
    assert file.read_text().count('driver = messagingv2') == 1
    assert 'ours' not in file.read_text()


def test_what_others_set_since_stays(file: Path, record: Path) -> None:
    """An operator may have changed it after the plugin did."""
    run('note', record, file)
    change(file, *CHANGES)
    run('keep', record)
    change(file, ('debug = False', 'debug = maybe'),
           ('use = egg:ours', 'use = egg:ours\nmore = of the site'))
    run('undo', record)
    assert 'debug = maybe' in file.read_text()
    assert '[filter:ours]\nmore = of the site' in file.read_text()
    assert 'use = egg:ours' not in file.read_text()


def test_a_copy_is_mended_too(file: Path, record: Path,
                              tmp_path: Path) -> None:
    """DevStack makes nova-cpu.conf of nova.conf when all is set."""
    run('note', record, file)
    change(file, *CHANGES)
    run('keep', record)
    copy = tmp_path / 'copy.conf'
    copy.write_text(file.read_text().replace('[paste]', '[paste]\nmore = 1'))
    missing = tmp_path / 'missing.conf'
    run('undo', record, '--copy', file, copy, '--copy', file, missing)
    assert said(copy.read_text()) == sorted([*said(BEFORE), 'more = 1'])
    assert not missing.exists()


def test_the_record_is_nobody_elses(file: Path, record: Path) -> None:
    """It has the passwords that are in the files."""
    old = os.umask(0)
    try:
        run('note', record, file)
    finally:
        os.umask(old)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_rights_and_owner_of_files_stay(file: Path, record: Path) -> None:
    """The services read them."""
    file.chmod(0o640)
    inode = file.stat().st_ino
    run('note', record, file)
    change(file, *CHANGES)
    run('undo', record)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_ino == inode


@pytest.mark.parametrize(('section', 'option', 'values'), [
    ('DEFAULT', 'debug', ['True']),
    ('DEFAULT', 'names', ['one, two, three']),
    ('DEFAULT', 'driver', ['log', 'messagingv2']),
    ('DEFAULT', '/v2/+', ['application']),
    ('DEFAULT', 'pipeline', []),
    ('none', 'debug', []),
])
def test_values_are_read(file: Path, section: str, option: str,
                         values: list[str]) -> None:
    """Each is in one line, whatever lines it has in the file."""
    assert run('get', file, section, option).splitlines() == values


@pytest.mark.parametrize(('option', 'values'), [
    ('debug', ['False']),
    ('names', ['one,two,three,four']),
    ('driver', ['log', 'messagingv2', 'ours']),
    ('new', ['of an', 'option']),
])
def test_values_are_set(file: Path, option: str, values: list[str]) -> None:
    """Nothing stays of one that went over several lines."""
    for _ in range(2):
        run('set', file, 'DEFAULT', option, *values)
        assert run('get', file, 'DEFAULT', option).splitlines() == values
    text = file.read_text()
    assert text.count(f'{option} = ') == len(values)
    assert text.index(f'{option} = ') < text.index('[paste]')
    assert option != 'names' or '    three' not in text


def test_a_section_is_added(file: Path) -> None:
    """It comes last."""
    run('set', file, 'more', 'option', 'value')
    assert file.read_text() == f'{BEFORE}\n[more]\noption = value\n'


def test_what_is_so_is_not_written(file: Path) -> None:
    """A value that goes over several lines keeps them."""
    run('set', file, 'DEFAULT', 'names', 'one, two, three')
    assert file.read_text() == BEFORE


def test_what_was_there_before_can_be_asked(file: Path,
                                            record: Path) -> None:
    """What the site had is merged again each time, not what was merged."""
    asked = ('get', '--before', record, file, 'DEFAULT', 'debug')
    assert run(*asked) == 'True\n'
    run('note', record, file)
    change(file, *CHANGES)
    run('keep', record)
    assert run(*asked) == 'True\n'
    change(file, ('debug = False', 'debug = maybe'))
    assert run(*asked) == 'maybe\n'


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """It says which, in one line."""
    missing = tmp_path / 'missing.conf'
    ended = subprocess.run(
        [sys.executable, TOOL, 'get', missing, 'DEFAULT', 'debug'],
        text=True, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"inifile: [Errno 2] No such file or directory: '{missing}'"]
