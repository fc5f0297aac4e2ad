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

"""Disk images: one that really boots, and big ones that are cheap to make.

The bootable image is a disk with a DOS partition table and one FAT
partition, on which SYSLINUX starts Debian's cloud kernel with an
initramfs of busybox. It is made without root and without mounts.
"""

import gzip
import hashlib
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

from tests.testbed import cache

GREETING = 'hepix-vm: this image boots'

_MIB = 1024 * 1024
_SECTOR = 512
_START = 2048  # sector of the partition
_SIZE = 24 * _MIB
_BUSYBOX = pathlib.Path('/bin/busybox')
_MBR = pathlib.Path('/usr/lib/syslinux/mbr/mbr.bin')

_INIT = f"""\
#!/bin/busybox sh
echo '{GREETING}'
/bin/busybox poweroff -f
"""

_SYSLINUX = """\
serial 0 115200
default linux
prompt 0
label linux
  kernel vmlinuz
  append initrd=initrd.gz console=ttyS0 quiet panic=-1 no_timer_check
"""


def bootable(path: pathlib.Path,
             initrd: pathlib.Path | None = None) -> pathlib.Path:
    """Make a raw disk image of 24 MiB that boots.

    :param path: of the image to make
    :param initrd: what it starts; else it says :data:`GREETING` and stops
    :raises FileNotFoundError: a program of bindep.txt is not installed
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = {
            'vmlinuz': (kernel_folder() / 'boot/vmlinuz').read_bytes(),
            'initrd.gz': (initrd.read_bytes() if initrd
                          else _initramfs(folder)),
            'syslinux.cfg': _SYSLINUX.encode(),
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        with path.open('wb') as disk:
            disk.truncate(_SIZE)
        offset = _START * _SECTOR
        run('mkfs.vfat', '--invariant', '--offset', str(_START),
            '-h', str(_START), str(path), str((_SIZE - offset) // 1024))
        run('mcopy', '-i', f'{path}@@{offset}',
            *(str(folder / name) for name in files), '::')
        run('syslinux', '--install', '--offset', str(offset), str(path))
        _write_partition_table(path)
    return path


def qcow2(source: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Convert a raw disk image to qcow2."""
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
        str(source), str(path))
    return path


def patterned_file(path: pathlib.Path, size: int,
                   seed: int = 0) -> pathlib.Path:
    """Make a file of pseudo-random bytes, the same for the same arguments.

    Each MiB has its number in front, so no two blocks are equal.

    :param size: bytes
    """
    block = random.Random(seed).randbytes(_MIB - 8)  # noqa: S311 no secret
    with path.open('wb') as target:
        for number in range(-(-size // _MIB)):
            whole = number.to_bytes(8, 'big') + block
            target.write(whole[:size - number * _MIB])
    return path


def sha512(path: pathlib.Path) -> str:
    """The hex SHA-512 of a file."""
    with path.open('rb') as source:
        return hashlib.file_digest(source, 'sha512').hexdigest()


def boot(path: pathlib.Path, disk_format: str, limit: float = 120.0) -> str:
    """Boot an image in QEMU without KVM until it powers itself off.

    :param disk_format: ``raw`` or ``qcow2``
    :param limit: seconds
    :returns: all that came over the serial console
    :raises subprocess.TimeoutExpired: it did not power off in time
    """
    return run('qemu-system-x86_64', '-machine', 'pc,accel=tcg', '-m', '256',
               '-drive', f'file={path},format={disk_format},snapshot=on',
               '-nic', 'none', '-no-reboot', '-display', 'none',
               '-monitor', 'none', '-serial', 'stdio', limit=limit)


def kernel_folder() -> pathlib.Path:
    """Where Debian's cloud kernel is unpacked; done now if it is not."""
    known = os.environ.get('HEPIX_VM_KERNEL_DIR')
    if known:
        return pathlib.Path(known)
    run('bash', '-euc', '. "$1" && setup_kernel', 'bash',
        str(cache.ROOT / 'tools' / 'lib.sh'), limit=300)
    return cache.directory() / 'kernel'


def _initramfs(folder: pathlib.Path) -> bytes:
    root = folder / 'root'
    (root / 'bin').mkdir(parents=True)
    shutil.copy(_BUSYBOX, root / 'bin' / 'busybox')
    init = root / 'init'
    init.write_text(_INIT)
    init.chmod(0o755)
    packed = subprocess.run(
        ['cpio', '--quiet', '-o', '-H', 'newc', '-R', '0:0'], cwd=root,
        input=b'bin\nbin/busybox\ninit\n', stdout=subprocess.PIPE,
        check=True, timeout=60)
    return gzip.compress(packed.stdout, mtime=0)


def _write_partition_table(path: pathlib.Path) -> None:
    # One active partition of type 0e (FAT16, LBA); the cylinder, head and
    # sector fields say "beyond their range".
    entry = struct.pack('<B3sB3sII', 0x80, b'\xfe\xff\xff', 0x0e,
                        b'\xfe\xff\xff', _START, _SIZE // _SECTOR - _START)
    with path.open('r+b') as disk:
        disk.write(_MBR.read_bytes()[:440])
        disk.seek(446)
        disk.write(entry)
        disk.seek(510)
        disk.write(b'\x55\xaa')


def run(name: str, *arguments: str, limit: float = 60.0) -> str:
    """Run a program of the system, and return all that it writes.

    :param limit: seconds
    :raises FileNotFoundError: it is not installed
    :raises RuntimeError: its status is not 0
    """
    # mkfs.vfat lies in /usr/sbin, which users may not have in PATH.
    program = shutil.which(
        name, path=os.environ.get('PATH', os.defpath) + ':/usr/sbin')
    if program is None:
        raise FileNotFoundError(
            f'{name} is not installed: see bindep.txt, profile test')
    finished = subprocess.run(
        [program, *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
    text = finished.stdout.decode(errors='replace')
    if finished.returncode:
        raise RuntimeError(
            f'{name}: status {finished.returncode}\n{text}')
    return text
