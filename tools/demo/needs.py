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

"""What must be installed before the demo can begin."""

import os
import pathlib
import shutil
import sys

# A program or file, and the Debian package that has it.
_PROGRAMS = {
    'bash': 'bash',
    'cpio': 'cpio',
    'depmod': 'kmod',
    'isoinfo': 'genisoimage',
    'mcopy': 'mtools',
    'mkfs.vfat': 'dosfstools',
    'qemu-img': 'qemu-utils',
    'qemu-system-x86_64': 'qemu-system-x86',
    'syslinux': 'syslinux',
}
_FILES = {
    '/bin/busybox': 'busybox-static',
    '/usr/lib/syslinux/mbr/mbr.bin': 'syslinux-common',
}


def missing(server: str) -> list[str]:
    """Return what is missing, a sentence's worth each.

    :param server: the program that serves Glance
    """
    # mkfs.vfat lies in /usr/sbin, which users may not have in PATH.
    path = os.environ.get('PATH', os.defpath) + ':/usr/sbin'
    found = [f'{name} (Debian package {package})'
             for name, package in _PROGRAMS.items()
             if shutil.which(name, path=path) is None]
    found += [f'{name} (Debian package {package})'
              for name, package in _FILES.items()
              if not pathlib.Path(name).exists()]
    programs = pathlib.Path(sys.executable).parent
    found += [f'{programs / name} (test-requirements.txt)'
              for name in ('glance-manage', 'nova-manage', server)
              if not (programs / name).exists()]
    kernel = os.environ.get('HEPIX_VM_KERNEL_DIR')
    if kernel and not pathlib.Path(kernel, 'boot', 'vmlinuz').exists():
        found.append(f'{kernel}/boot/vmlinuz (the guest\'s kernel, see '
                     f'HEPIX_VM_KERNEL_DIR)')
    return found
