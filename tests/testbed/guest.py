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

"""Virtual machines that boot with the guest's part of hepix-vm in them.

Both start Debian's cloud kernel in QEMU without KVM, with an initramfs that
installs ``guest/`` as it is now by its own install.sh, and power themselves
off. The small one is busybox, started by scripts of SysV init; the other is
Debian with systemd.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import gzip
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from tests.testbed import cache
from tests.testbed import images

if TYPE_CHECKING:
    # It needs more than Python, and tools/image.sh has no more.
    from tests.testbed.drive import Files

# What is in the Debian guest besides debootstrap's variant minbase; and the
# services that the ready parts of the context set up, which do not start.
PACKAGES = (
    'busybox', 'iproute2', 'kmod', 'systemd', 'systemd-sysv', 'udev',
    'chrony', 'openssh-server', 'prometheus-node-exporter', 'rsyslog',
    'rsyslog-gnutls')

# QEMU's user network: the host's 127.0.0.1 as the guest sees it.
HOST = '10.0.2.2'

# Without KVM a busy host delays the timer that Linux looks for, and Linux
# stops where it thinks that there is none.
_KERNEL = 'console=ttyS0 quiet panic=-1 net.ifnames=0 no_timer_check'

_RUN = """\
#!/bin/sh
echo 'guest: runs'
modprobe -a button evdev
exec acpid -f -l /dev/null
"""
_STOP = """\
#!/bin/sh
killall acpid
"""

_GUEST = cache.ROOT / 'guest'
_INITS = cache.ROOT / 'tests' / 'testbed' / 'guests'
# What a driver needs is added from the modules' own records.
_MODULES = ('virtio_pci', 'virtio_net', 'virtio_blk', 'ata_piix', 'sr_mod',
            'isofs', 'vfat', 'nls_ascii', 'nls_cp437', 'nls_utf8',
            'button', 'evdev')


def boot_busybox(drives: Sequence[pathlib.Path] = (), *,
                 files: 'Files | None' = None, firmware: str = '',
                 limit: float = 120.0) -> str:
    """Boot the small guest until it powers itself off.

    :param drives: images of CD-ROMs; one named ``*.vfat`` is a disk
    :param files: to be added to the guest; the program
        ``usr/local/sbin/guest-check`` is run when all is started
    :param firmware: the name of the product that the firmware tells
    :param limit: seconds
    :returns: what it wrote to its console
    """
    with tempfile.TemporaryDirectory() as name:
        initramfs = _initramfs(pathlib.Path(name), 'busybox', files or {})
        return _boot(initramfs, drives, firmware, limit)


def boot_debian(drives: Sequence[pathlib.Path] = (), *,
                files: 'Files | None' = None, firmware: str = '',
                limit: float = 300.0) -> str:
    """Boot the Debian guest until it powers itself off.

    The parameters are those of :func:`boot_busybox`.
    """
    disk = debian_disk()
    with tempfile.TemporaryDirectory() as name:
        initramfs = _initramfs(pathlib.Path(name), 'debian', files or {})
        return _boot(initramfs, drives, firmware, limit, '-drive',
                     f'file={disk},format=raw,if=virtio,snapshot=on')


def disk(path: pathlib.Path) -> pathlib.Path:
    """Make a disk of the small guest, for servers; ACPI stops it.

    :param path: of the image to make; its name says whether it is qcow2 or
        raw
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        initramfs = _initramfs(folder, 'busybox', {
            'usr/local/sbin/guest-check': (_RUN.encode(), 0o755),
            'etc/acpi/PWRF/00000080': (_STOP.encode(), 0o755)})
        if path.suffix == '.raw':
            return images.bootable(path, initramfs)
        return images.qcow2(
            images.bootable(folder / 'disk.raw', initramfs), path)


def debian_disk() -> pathlib.Path:
    """Debian's root file system as a disk; made now if it is not there."""
    library = cache.ROOT / 'tools' / 'guest.sh'
    key = hashlib.sha256(
        library.read_bytes() + ' '.join(PACKAGES).encode()).hexdigest()
    disk = cache.directory() / f'guest-{key[:16]}.ext4'
    with cache.alone('guest'):
        if not disk.exists():
            images.run('bash', str(library), str(disk), *PACKAGES,
                       limit=600)
    return disk


def _boot(initramfs: pathlib.Path, drives: Sequence[pathlib.Path],
          firmware: str, limit: float, *more: str) -> str:
    arguments = [
        '-machine', 'pc,accel=tcg', '-m', '512', '-no-reboot',
        '-display', 'none', '-monitor', 'none', '-serial', 'stdio',
        '-nic', 'user,model=virtio-net-pci',
        '-kernel', str(images.kernel_folder() / 'boot' / 'vmlinuz'),
        '-initrd', str(initramfs),
        '-append', _KERNEL, *more]
    if firmware:
        arguments += ['-smbios', f'type=1,product={firmware}']
    for drive in drives:
        if drive.suffix == '.vfat':
            kind = 'if=virtio,snapshot=on'
        else:
            kind = 'media=cdrom,readonly=on'
        arguments += ['-drive', f'file={drive},format=raw,{kind}']
    try:
        console = images.run('qemu-system-x86_64', *arguments, limit=limit)
    except subprocess.TimeoutExpired as error:
        written = (error.stdout or b'').decode(errors='replace')
        raise RuntimeError(
            f'no power off within {limit} s:\n{written}') from None
    return console.replace('\r', '')


def _initramfs(folder: pathlib.Path, kind: str,
               files: 'Files') -> pathlib.Path:
    root = folder / 'root'
    shutil.copytree(_modules(), root, symlinks=True)
    (root / 'bin').mkdir()
    shutil.copy('/bin/busybox', root / 'bin' / 'busybox')
    shutil.copy(_INITS / f'{kind}.sh', root / 'init')
    shutil.copytree(_GUEST, root / 'guest')
    shutil.copytree(_INITS / kind, root / 'overlay')
    for name, (content, mode) in files.items():
        path = root / 'overlay' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    names = '\n'.join(sorted(
        str(path.relative_to(root)) for path in root.rglob('*')))
    packed = subprocess.run(
        ['cpio', '--quiet', '-o', '-H', 'newc', '-R', '0:0'], cwd=root,
        input=names.encode(), stdout=subprocess.PIPE, check=True, timeout=60)
    target = folder / 'initrd.gz'
    target.write_bytes(gzip.compress(packed.stdout, 1, mtime=0))
    return target


def _modules() -> pathlib.Path:
    """A folder with lib/modules that holds what the guests need."""
    source, = images.kernel_folder().glob('lib/modules/*')
    key = hashlib.sha256(' '.join(_MODULES).encode()).hexdigest()
    target = cache.directory() / f'guest-modules-{source.name}-{key[:16]}'
    with cache.alone('guest-modules'):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache.directory()) as name:
                root = pathlib.Path(name) / 'root'
                folder = root / 'lib' / 'modules' / source.name
                folder.mkdir(parents=True)
                for path in (*_with_dependencies(source),
                             *source.glob('modules.*')):
                    copy = folder / path.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, copy)
                images.run('depmod', '-b', str(root), source.name)
                root.rename(target)
    return target


def _with_dependencies(source: pathlib.Path) -> Iterator[pathlib.Path]:
    known = {path.stem.replace('-', '_'): path
             for path in source.rglob('*.ko')}
    wanted = list(_MODULES)
    for name in wanted:
        # One that is not there is built into the kernel.
        path = known.get(name)
        if path is None:
            continue
        yield path
        depends = images.run('modinfo', '-F', 'depends', str(path))
        wanted += [each for each in re.split(r'[,\s-]+', depends.replace(
            '-', '_')) if each and each not in wanted]


if __name__ == '__main__':
    disk(pathlib.Path(sys.argv[1]))
