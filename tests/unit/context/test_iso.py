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

"""Drives, read back by the library that wrote them."""

import io
import time

import pycdlib
import pytest

from hepix_vm.context.bundle import File
from hepix_vm.context import iso
from hepix_vm.errors import ContextError

NOON = 1_000_000_000


def build(files, label='config-2', publisher='OpenStack Nova 34.0.0',
          seconds=NOON):
    return bytes(iso.build(files, label, publisher, seconds))


def tree(drive, kind):
    """Return path and content of all files in one of the three trees."""
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(drive))
    found = {}
    for folder, _, names in image.walk(**{f'{kind}_path': '/'}):
        for name in names:
            path = f'{folder.rstrip("/")}/{name}'
            content = io.BytesIO()
            image.get_file_from_iso_fp(content, **{f'{kind}_path': path})
            found[path[1:]] = content.getvalue()
    image.close()
    return found


FILES = [('prolog.sh', File(b'p', 0o755)), ('context/hostkey.pem',
                                           File(b'k', 0o400)),
         ('openstack/latest/meta_data.json', File(b'{}')),
         ('openstack/latest/user_data', File(b'')),
         ('openstack/content/0000', File(b'x' * 5000))]


@pytest.mark.parametrize('kind', ['rr', 'joliet'])
def test_what_is_written_is_read(kind):
    assert tree(build(FILES), kind) == {
        path: file.content for path, file in FILES}


def test_permissions():
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(build(FILES)))
    for path, mode in (('/prolog.sh', 0o100755), ('/context', 0o040755),
                       ('/context/hostkey.pem', 0o100400),
                       ('/openstack/latest/user_data', 0o100644)):
        record = image.get_record(rr_path=path)
        assert record.rock_ridge.get_file_mode() == mode, path


def test_equal_input_gives_equal_bytes_whenever_and_wherever(monkeypatch):
    # Of long names, which one is cut to which short one depends on order.
    long = [('x' * 200 + end, File(end.encode())) for end in 'abc']
    first = build(FILES + long)
    monkeypatch.setenv('TZ', 'Pacific/Auckland')
    time.tzset()
    try:
        assert build(reversed(FILES + long)) == first
    finally:
        monkeypatch.undo()
        time.tzset()
    assert build(FILES + long, seconds=NOON + 1) != first
    assert b'20010909014640' in first


def test_the_clock_is_given_back():
    build(FILES)
    with pytest.raises(ContextError):
        build([('a', File(b'')), ('a', File(b''))])
    for module in (pycdlib.pycdlib, pycdlib.dates, pycdlib.headervd,
                   pycdlib.utils):
        assert module.time is time


@pytest.mark.parametrize('files, message', [
    (['a', 'a'], 'a stands twice'), (['d/a', 'd/a'], 'd/a stands twice'),
    (['a', 'a/b'], 'a is a file and a folder'),
    (['d/a', 'd/a/b'], 'd/a is a file and a folder'),
    ([''], 'cannot be the name'), (['a//b'], 'cannot be the name'),
    (['../a'], 'cannot be the name'), (['./a'], 'cannot be the name'),
    (['a\0b'], 'cannot be the name'), (['x' * 256], 'cannot be the name'),
    (['ü' * 128], 'cannot be the name'),
    (['1/2/3/4/5/6/7/8/a'], 'folders can be')])
def test_names_that_no_drive_can_have_are_refused(files, message):
    with pytest.raises(ContextError, match=message):
        build([(path, File(b'')) for path in files])


@pytest.mark.parametrize('label', ['', 'x' * 17, 'ü'])
def test_a_label_that_cannot_be_written_is_refused(label):
    with pytest.raises(ContextError, match='label'):
        build(FILES, label)


def test_the_longest_label():
    assert b'CD001' in build(FILES, 'x' * 16)


def test_a_publisher_that_cannot_be_written_is_refused():
    with pytest.raises(ContextError, match='cannot be written'):
        build(FILES, publisher='x' * 129)


@pytest.mark.parametrize('length', [64, 65, 72, 73, 119, 120, 200, 255])
def test_long_names_keep_their_content(length):
    names = [f'{"n" * (length - 1)}{end}' for end in 'abc']
    drive = build([(f'openstack/content/{name}', File(name.encode()))
                   for name in names])
    assert tree(drive, 'rr') == {
        f'openstack/content/{name}': name.encode() for name in names}
    joliet = tree(drive, 'joliet')
    assert sorted(joliet.values()) == [name.encode() for name in names]
    assert all(len(path.rpartition('/')[2]) <= 64 for path in joliet)


def test_long_folders_and_names_in_other_alphabets():
    files = {f'{"d" * 100}/ü ö.txt': b'1', f'{"d" * 99}e/漢字': b'2',
             'with space "and" $(quotes)': b'3', "it's": b'4'}
    drive = build([(path, File(data)) for path, data in files.items()])
    assert tree(drive, 'rr') == files
    assert sorted(tree(drive, 'joliet').values()) == [b'1', b'2', b'3', b'4']


def test_a_short_name_that_a_long_one_would_take_stays():
    long = 'x' * 200
    files = {long: b'long', 'x' * 62 + '~1': b'short'}
    drive = build([(path, File(data)) for path, data in files.items()])
    assert tree(drive, 'rr') == files
    assert tree(drive, 'joliet')['x' * 62 + '~1'] in (b'long', b'short')
    assert len(tree(drive, 'joliet')) == 2


def test_eight_levels_of_folders():
    path = '1/2/3/4/5/6/7/a'
    assert tree(build([(path, File(b'x'))]), 'rr') == {path: b'x'}
