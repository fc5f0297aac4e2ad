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

"""The staged file while its owner does what he can to it."""

import hashlib
import os

import pytest

from hepix_vm.glance_hooks import staged

DATA = bytes(range(256)) * 5000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'image'
    path.write_bytes(DATA)
    return path


def test_what_nobody_writes_to_is_not_copied(path):
    inode = path.stat().st_ino
    taken = staged.take(str(path))
    assert os.stat(taken).st_ino == inode
    assert staged.digest(taken) == (
        hashlib.sha512(DATA).hexdigest(), len(DATA))
    assert not path.exists()


def test_an_upload_that_goes_on_writes_elsewhere(path):
    with path.open('ab') as upload:
        taken = staged.take(str(path))
        upload.write(b'more')
        upload.flush()
        with open(taken, 'rb') as file:
            assert file.read() == DATA


def test_the_old_name_made_anew_is_another_file(path):
    taken = staged.take(str(path))
    path.write_bytes(b'other')
    path.unlink()
    path.write_bytes(b'other')
    with open(taken, 'rb') as file:
        assert file.read() == DATA


def test_what_a_crash_left_is_replaced(path):
    for suffix in ('.hepix', '.hepix.copy'):
        path.with_name(path.name + suffix).write_bytes(b'old')
    with path.open('ab'):
        taken = staged.take(str(path))
    with open(taken, 'rb') as file:
        assert file.read() == DATA
    assert os.listdir(path.parent) == [os.path.basename(taken)]


def test_a_copy_without_room_leaves_nothing(path, monkeypatch):
    def full(*unused):
        raise OSError('no room')
    monkeypatch.setattr(os, 'sendfile', full)
    with path.open('ab'), pytest.raises(OSError, match='no room'):
        staged.take(str(path))
    assert not path.with_name('image.hepix.copy').exists()
