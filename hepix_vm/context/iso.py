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

"""Writing the drive: ISO 9660 with Rock Ridge and Joliet, by pycdlib.

Interchange level 4 (ISO 9660:1999) for names in lower case, Rock Ridge
1.09 as genisoimage writes it (with 1.12, bsdtar extracts wrong files),
Joliet level 3.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import io
import stat
from typing import Any

import pycdlib
from pycdlib import dates
from pycdlib import headervd
from pycdlib import pycdlib as implementation
from pycdlib import utils

from hepix_vm.context.bundle import File
from hepix_vm.errors import ContextError

SECTOR = 2048  # bytes
# Volume descriptors begin at sector 16 (ECMA-119, 6.2.1); what lies before
# has no use here.
DESCRIPTORS = 16 * SECTOR

MAX_LABEL = 16  # characters; Joliet has 32 bytes for it
MAX_DEPTH = 8  # folders, ECMA-119 6.8.2.1
_MAX_NAME = 255  # bytes, as Linux has it
# Bytes. A record has 255, and both names should fit into it: what goes on
# elsewhere is not read by libarchive 3.6 where two folders have such names.
_MAX_ISO = 72
_SHORT_ISO = 28
_MAX_JOLIET = 64  # characters; pycdlib counts them in UTF-8

_FOLDER = stat.S_IFDIR | 0o755


def build(files: Iterable[tuple[str, File]], label: str, publisher: str,
          seconds: int) -> memoryview:
    """Return a drive; equal input gives equal bytes.

    Not for several threads of a process at once: pycdlib has its clock in
    global names.

    :param files: with their paths, ``folder/name``
    :param label: of the volume
    :param publisher: of the volume
    :param seconds: since the epoch; all dates on the drive
    :raises ContextError: a path stands twice, a name or a label cannot be
        written
    """
    if not label or len(label) > MAX_LABEL or not label.isascii():
        raise ContextError(f'The label {label!r} cannot be written: 1 to '
                           f'{MAX_LABEL} ASCII characters are possible.')
    target = io.BytesIO()
    with _clock(seconds):
        try:
            image = pycdlib.PyCdlib()
            image.new(interchange_level=4, joliet=3, rock_ridge='1.09',
                      vol_ident=label, pub_ident_str=publisher)
            for add, arguments in _entries(sorted(files)):
                getattr(image, add)(**arguments)
            image.write_fp(target)
        except (pycdlib.pycdlibexception.PyCdlibException,
                UnicodeError) as error:
            raise ContextError(
                f'The drive cannot be written: {error}.') from error
    return target.getbuffer()


def _entries(files: list[tuple[str, File]],
             ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the calls of pycdlib that write folders and files."""
    names = _Names()
    for path, file in files:
        for entry in names.folders(path):
            yield 'add_directory', {**entry, 'file_mode': _FOLDER}
        yield 'add_fp', {
            **names.entry(path), 'fp': io.BytesIO(file.content),
            'length': len(file.content),
            'file_mode': stat.S_IFREG | file.mode}


class _Names:
    """The names of an entry in the three trees of a drive."""

    def __init__(self) -> None:
        self._iso = {'': ''}
        self._joliet = {'': ''}
        self._files: set[str] = set()
        self._taken: set[str] = set()

    def folders(self, path: str) -> Iterator[dict[str, str]]:
        """Return the folders of a path that are not there yet."""
        steps = path.split('/')
        if len(steps) > MAX_DEPTH:
            raise ContextError(f'{path[:_MAX_NAME]}: folders can be '
                               f'{MAX_DEPTH - 1} deep.')
        for end in range(1, len(steps)):
            folder = '/'.join(steps[:end])
            if folder in self._files:
                raise ContextError(f'{folder} is a file and a folder.')
            if folder not in self._iso:
                yield self._named(folder)

    def entry(self, path: str) -> dict[str, str]:
        """Return the names of a file.

        :raises ContextError: it has them already
        """
        if path and path in self._iso:
            raise ContextError(f'{path} stands twice.')
        self._files.add(path)
        return self._named(path)

    def _named(self, path: str) -> dict[str, str]:
        folder, _, name = path.rpartition('/')
        if name in ('', '.', '..') or '\0' in name or (
                len(name.encode()) > _MAX_NAME):
            raise ContextError(f'{path[:_MAX_NAME]!r} cannot be the name of '
                               f'a file.')
        self._iso[path] = self._short(
            f'{self._iso[folder]}/', name, len(name.encode()) > _MAX_ISO
            or not name.isascii(), _SHORT_ISO, 'iso')
        self._joliet[path] = self._short(
            f'{self._joliet[folder]}/', name,
            len(name.encode()) > _MAX_JOLIET, _MAX_JOLIET, 'joliet')
        return {'iso_path': self._iso[path], 'rr_name': name,
                'joliet_path': self._joliet[path]}

    def _short(self, folder: str, name: str, too_long: bool, limit: int,
               tree: str) -> str:
        """Return a path in a tree whose names are shorter than ours."""
        stem = name.encode('ascii', 'replace').decode().replace('?', '_')
        short, number = name, 0
        while too_long or f'{tree}:{folder}{short}' in self._taken:
            number += 1
            end = f'~{number}'
            short = stem[:limit - len(end)] + end
            too_long = False
        self._taken.add(f'{tree}:{folder}{short}')
        return folder + short


class _Clock:
    """What pycdlib asks of the module ``time``, standing still, in UTC."""

    def __init__(self, real: Any, seconds: int) -> None:
        self._seconds = seconds
        self.localtime = self.gmtime = real.gmtime
        self.strftime = real.strftime

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return float(self._seconds)


@contextlib.contextmanager
def _clock(seconds: int) -> Iterator[None]:
    """Give pycdlib a clock: it has no argument for one."""
    modules: list[Any] = [dates, headervd, implementation, utils]
    real = modules[0].time
    try:
        for module in modules:
            module.time = _Clock(real, seconds)
        yield
    finally:
        for module in modules:
            module.time = real
