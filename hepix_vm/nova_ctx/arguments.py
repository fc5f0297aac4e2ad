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

"""The arguments with which Nova and others call mkisofs.

Nova (``nova/virt/configdrive.py``), for libvirt, Ironic, VMware and zVM,
and openstacksdk (``openstack/baremetal/configdrive.py``) pass the same::

    -o DRIVE -ldots -allow-lowercase -allow-multidot -l -publisher TEXT
    -quiet -J -r -V LABEL FOLDER

What is not among these is refused: nobody knows what would be missing on
a drive that is made without it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hepix_vm.errors import ContextError

USAGE = ('hepix-vm-mkisofs -o DRIVE [-ldots] [-allow-lowercase] '
         '[-allow-multidot] [-l] [-publisher TEXT] [-quiet] [-J] [-r] '
         '-V LABEL FOLDER')

# What these ask for is always done.
_WORDS = frozenset({'-ldots', '-allow-lowercase', '-allow-multidot', '-l',
                    '-quiet', '-J', '-r'})
_VALUES = {'-o': 'output', '-publisher': 'publisher', '-V': 'label'}


class Arguments(NamedTuple):
    """What a drive is made from.

    :param output: where it is written
    :param folder: what is put on it
    """

    output: str
    label: str
    folder: str
    publisher: str = ''


def parse(argv: Sequence[str]) -> Arguments:
    """Return the arguments.

    :param argv: without the name of the program
    :raises ContextError: they are not those of a config drive
    """
    found: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        if word in _WORDS:
            continue
        name = _VALUES.get(word, 'folder')
        if word in _VALUES:
            value = next(rest, '')
        elif word.startswith('-'):
            raise _error(f'The argument {word} is unknown.')
        else:
            value = word
        if not value:
            raise _error(f'The argument {word or "FOLDER"} has no value.')
        if name in found:
            raise _error(f'There are two of {name}: {found[name]} and '
                         f'{value}.')
        found[name] = value
    for name in ('output', 'label', 'folder'):
        if name not in found:
            raise _error(f'There is no {name}.')
    return Arguments(**found)


def _error(message: str) -> ContextError:
    return ContextError(message, remedy=f'Usage: {USAGE}')
