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

"""Drives for guests: what the product lays out, written by it or as FAT."""

from collections.abc import Mapping
import os
import pathlib
import tempfile

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context import iso
from tests.testbed.contexts import LABEL
from tests.testbed.contexts import PUBLISHER
from tests.testbed import images

# The path on the drive; what is in the file, and its mode.
Files = Mapping[str, tuple[bytes, int]]


def contextual(prolog: Mapping[str, str], epilog: Mapping[str, str],
               variables: Mapping[str, str] | None = None,
               ) -> dict[str, tuple[bytes, int]]:
    """The files of a drive with these parts, in this order.

    :param prolog: the text of each part by its name
    """
    return dict(bundle.on_drive(Bundle(
        {name: text.encode() for name, text in prolog.items()},
        {name: text.encode() for name, text in epilog.items()},
        {bundle.VARIABLES: bundle.variables_file(variables or {})})))


def by_hepix_vm(path: pathlib.Path, files: Files,
                label: str = LABEL) -> pathlib.Path:
    """Write a drive as hepix-vm-mkisofs does.

    :param path: of the image to make
    """
    path.write_bytes(iso.build(
        [(name, File(*file)) for name, file in files.items()], label,
        PUBLISHER, 0))
    return path


def by_mtools(path: pathlib.Path, files: Files,
              label: str = LABEL) -> pathlib.Path:
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
    # As it is on Nova's drive: whoever copies it has to make it private.
    root.mkdir(mode=0o755, exist_ok=True)
    for name, (content, mode) in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chmod(path, mode)
