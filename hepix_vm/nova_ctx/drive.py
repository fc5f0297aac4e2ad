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

"""Files of a drive: those that Nova made, and the drive itself."""

import os

from hepix_vm.context.bundle import File
from hepix_vm.context import iso
from hepix_vm.errors import ContextError

# What a drive may hold; Nova's own limit for one of fixed size is 64 MiB.
MAX_TOTAL = 96 * 1024 * 1024  # bytes


def read(folder: str) -> dict[str, File]:
    """Return the files that Nova wants on the drive, by their path.

    :raises ContextError: one cannot be read, or is neither file nor folder
    """
    files: dict[str, File] = {}
    try:
        _read(folder, '', files)
    except OSError as error:
        raise ContextError(f'{error.filename} cannot be read: '
                           f'{error.strerror}.') from error
    return files


def _read(folder: str, path: str, files: dict[str, File]) -> None:
    for entry in os.scandir(os.path.join(folder, path)):
        name = os.path.join(path, entry.name)
        if entry.is_dir(follow_symlinks=False):
            _read(folder, name, files)
            continue
        if not entry.is_file(follow_symlinks=False):
            raise ContextError(f'{entry.path} is neither a file nor a '
                               f'folder.')
        with open(entry.path, 'rb') as file:
            content = file.read(MAX_TOTAL + 1)
        files[name] = File(content)
        if sum(len(file.content) for file in files.values()) > MAX_TOTAL:
            raise ContextError(f'There are more than {MAX_TOTAL} bytes in '
                               f'{folder}.')


def write(path: str, drive: memoryview) -> None:
    """Write a drive in place: Ironic passes a file that is open already.

    The volume descriptors come last. Until they are there, nothing takes
    the file for a drive.

    :raises ContextError: it cannot be written; what was there is gone then
    """
    try:
        # Passwords and keys are on it, and Nova's folders are often open to
        # everybody on the host. libvirt gives the file to QEMU's user.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC,
                             0o640)
        try:
            _write(descriptor, drive)
        finally:
            _close(descriptor, path)
    except OSError as error:
        raise ContextError(f'{path} cannot be written: {error.strerror}.',
                           remedy='Make room there, or let the user of '
                                  'nova-compute write it.') from error


def _write(descriptor: int, drive: memoryview) -> None:
    try:
        os.ftruncate(descriptor, 0)
        for begin, end in ((iso.DESCRIPTORS + iso.SECTOR, len(drive)),
                           (iso.DESCRIPTORS, iso.DESCRIPTORS + iso.SECTOR)):
            while begin < end:
                begin += os.pwrite(descriptor, drive[begin:end], begin)
    except BaseException:
        os.ftruncate(descriptor, 0)
        raise


def _close(descriptor: int, path: str) -> None:
    """Close a file; some file systems notice here that they are full."""
    try:
        os.close(descriptor)
    except OSError:
        os.truncate(path, 0)
        raise
