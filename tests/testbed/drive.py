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

"""Drives for tests of the guest, made by genisoimage.

What is on them follows the contract with the guest: a driver prolog.sh and
one epilog.sh at the root, the parts and their variables in context/.
"""

from collections.abc import Mapping
import os
import pathlib
import shlex
import tempfile

from tests.testbed import images

# The path on the drive; what is in the file, and its mode.
Files = Mapping[str, tuple[bytes, int]]

_DRIVER = """\
#!/bin/sh
# Works in a subshell: whoever sources this keeps its variables and lives on.
(
    . ./context/variables.sh
    status=0
    case $1 in
        stop) names='{reverse}' ;;
        *) names='{names}' ;;
    esac
    for name in $names; do
        "./context/{phase}.d/$name" "$1" && continue
        code=$?
        echo "hepix-vm: {phase} $name failed with status $code" >&2
        [ "$status" -ne 0 ] || status=$code
    done
    exit "$status"
)
"""


def driver(phase: str, names: list[str]) -> bytes:
    """The script that runs the parts of the prolog or of the epilog."""
    return _DRIVER.format(phase=phase, names=' '.join(names),
                          reverse=' '.join(reversed(names))).encode()


def contextual(prolog: Mapping[str, str], epilog: Mapping[str, str],
               variables: Mapping[str, str] | None = None,
               ) -> dict[str, tuple[bytes, int]]:
    """The files of a drive with these parts, in this order.

    :param prolog: the text of each part by its name
    """
    lines = [f'export {name}={shlex.quote(value)}\n'
             for name, value in (variables or {}).items()]
    files = {'context/variables.sh': (''.join(lines).encode(), 0o600)}
    for phase, parts in (('prolog', prolog), ('epilog', epilog)):
        files[f'{phase}.sh'] = (driver(phase, list(parts)), 0o755)
        for name, text in parts.items():
            files[f'context/{phase}.d/{name}'] = (text.encode(), 0o755)
    return files


def by_genisoimage(path: pathlib.Path, files: Files,
                   label: str = 'config-2') -> pathlib.Path:
    """Make an ISO 9660 image with Rock Ridge and Joliet.

    :param path: of the image to make
    """
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        _write(root, files)
        images.run('genisoimage', '-quiet', '-J', '-R', '-uid', '0',
                   '-gid', '0', '-V', label, '-o', str(path), str(root))
    return path


def by_mtools(path: pathlib.Path, files: Files,
              label: str = 'config-2') -> pathlib.Path:
    """Make a disk with one FAT file system, as Nova can.

    :param path: of the image to make
    """
    size = 8192 + sum(len(content) for content, _ in files.values()) // 512
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        _write(root, files)
        images.run('mkfs.vfat', '-C', '-n', label, str(path), str(size))
        images.run('mcopy', '-s', '-i', str(path), *(
            str(each) for each in root.iterdir()), '::')
    return path


def _write(root: pathlib.Path, files: Files) -> None:
    for name, (content, mode) in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chmod(path, mode)
