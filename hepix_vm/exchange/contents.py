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

"""What the first bytes of an image say of its format."""

from collections.abc import Collection

from oslo_utils.imageutils import format_inspector

from hepix_vm.errors import ConfigError

_PIECE = 64 * 1024  # bytes
# What Glance calls formats that have a header of their own.
_MARKED = frozenset({'qcow2', 'vdi', 'vhd', 'vhdx', 'vmdk', 'iso'})
# Of these no two, and no other mark, may be in one file: those who read it
# would not see the same image.
_CONTAINERS = (_MARKED - {'iso'}) | {'qed'}


def formats_in(path: str) -> frozenset[str]:
    """Return what a file could be, by its first bytes.

    :returns: names as oslo.utils has them; raw alone for what it does not
        know, and several for an ISO image that disks boot as well
    :raises ConfigError: it cannot be read
    """
    try:
        with open(path, 'rb') as file:
            inspected = format_inspector.InspectWrapper(file)
            while inspected.formats is None and inspected.read(_PIECE):
                pass
            inspected.close()
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.', path,
                          remedy='Give the file of an image.') from error
    return frozenset(map(str, inspected.formats or ()))


def contradicts(stated: str, found: Collection[str]) -> bool:
    """Return whether an image is of another format than somebody says.

    :param stated: as Glance calls it
    :param found: what :func:`formats_in` returned
    """
    if stated in _CONTAINERS:
        return set(found) != {stated}
    return not _CONTAINERS.isdisjoint(found) or (
        stated in _MARKED and stated not in found)
