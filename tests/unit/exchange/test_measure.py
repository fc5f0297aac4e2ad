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

"""What files say of themselves: format, digest and size."""

import hashlib
import os
import struct

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.exchange import contents
from hepix_vm.exchange import measure

QCOW2 = b'QFI\xfb' + struct.pack('>I', 3) + bytes(1024)
ISO = bytearray(64 * 1024)
ISO[0x8000:0x8006] = b'\x01CD001'


@pytest.mark.parametrize(('data', 'found', 'fitting'), [
    (b'x' * 99, {'raw'}, {'raw', 'aki', 'ari', 'ami', 'ploop'}),
    (QCOW2, {'qcow2'}, {'qcow2'}),
    (bytes(ISO), {'iso'}, {'iso', 'raw', 'aki', 'ari', 'ami', 'ploop'}),
])
def test_formats(tmp_path, data, found, fitting):
    path = tmp_path / 'image'
    path.write_bytes(data)
    assert contents.formats_in(str(path)) == found
    assert {stated for stated in (
        'raw', 'qcow2', 'vmdk', 'vdi', 'vhd', 'vhdx', 'iso', 'ploop', 'aki',
        'ari', 'ami') if not contents.contradicts(stated, found)} == fitting


@pytest.mark.parametrize(('stated', 'found'), [
    ('qcow2', {'qcow2', 'vmdk'}), ('iso', {'iso', 'qcow2'}),
    ('raw', {'qed'}), ('qcow2', {'qcow2', 'iso'})])
def test_two_images_in_one_file(stated, found):
    assert contents.contradicts(stated, found)


@pytest.mark.parametrize('stated', ['iso', 'raw'])
def test_an_iso_from_which_disks_boot(stated):
    assert not contents.contradicts(stated, {'iso', 'gpt'})


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / 'none'):
        with pytest.raises(ConfigError, match='cannot be read'):
            contents.formats_in(str(path))


def test_digest_and_size(tmp_path):
    path = tmp_path / 'image'
    data = os.urandom(3 * 1024 * 1024 + 1)
    path.write_bytes(data)
    told = []
    found = measure.of_file(str(path), told.append)
    assert (found.sha512, found.size) == (
        hashlib.sha512(data).hexdigest(), len(data))
    assert (sum(told), len(told) > 1) == (len(data), True)
    found.check_unchanged()


def rewrite(path):
    with open(path, 'r+b') as file:
        file.write(b'other')


def append(path):
    with open(path, 'ab') as file:
        file.write(b'more')


def replace(path):
    new = path.with_name('new')
    new.write_bytes(path.read_bytes())
    times = path.stat()
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize('change', [rewrite, append, replace])
def test_it_must_not_change_while_it_is_read(tmp_path, change):
    path = tmp_path / 'image'
    path.write_bytes(b'first')
    os.utime(path, (1, 1))

    def once(count):
        nonlocal change
        change, to = None, change
        if to:
            to(path)

    with pytest.raises(ConfigError, match='changed since it was read'):
        measure.of_file(str(path), once)


def test_nor_afterwards(tmp_path):
    path = tmp_path / 'image'
    path.write_bytes(b'first')
    os.utime(path, (1, 1))
    found = measure.of_file(str(path))
    rewrite(path)
    with pytest.raises(ConfigError, match='changed since it was read'):
        found.check_unchanged()


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for name in ('', 'pipe'):
        with pytest.raises(ConfigError, match='It is no file'):
            measure.of_file(str(tmp_path / name))
