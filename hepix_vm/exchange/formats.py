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

"""Formats of images, as lists and as Glance call them."""

import re
import urllib.parse

from hepix_vm.errors import Code
from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.verdict import Reason

# hv:format, or the suffix of a file, as disk_format of Glance.
_FORMATS = {
    'qcow2': 'qcow2', 'qcow': 'qcow2', 'raw': 'raw', 'img': 'raw',
    'vmdk': 'vmdk', 'vdi': 'vdi', 'vhd': 'vhd', 'vhdx': 'vhdx',
    'iso': 'iso', 'ploop': 'ploop', 'ova': 'vmdk', 'ami': 'ami',
    'aki': 'aki', 'ari': 'ari'}
_CONTAINERS = {'ova': 'ova', 'ami': 'ami', 'aki': 'aki', 'ari': 'ari'}
_PACKED = re.compile(r'\.(gz|bz2|xz|zip|zst)$', re.ASCII)


def disk_format_of(stated: str) -> str:
    """Return what hv:format says of a file itself.

    :returns: as Glance calls it; empty for what is packed or unknown
    """
    kind = stated.lower()
    return '' if kind == 'ova' else _FORMATS.get(kind, '')


def formats_of(entry: ImageEntry,
               abilities: Abilities) -> tuple[str, str] | Reason:
    """Return disk_format and container_format, or why there are none.

    ``hv:format`` was never fully defined; where it is missing, the name of
    the file says it.
    """
    stated = entry.format.lower()
    try:
        path = urllib.parse.urlsplit(entry.uri).path.lower()
    except ValueError:
        return Reason(Code.MALFORMED, 'Its hv:uri is no address.')
    kind = stated or path.rpartition('/')[2].partition('.')[2]
    inner = _PACKED.sub('', kind)
    packed = inner != kind
    # Names of files have dots of their own.
    disk = _FORMATS.get(inner if stated else inner.rpartition('.')[2])
    container = 'compressed' if packed else _CONTAINERS.get(kind, 'bare')
    if disk is None:
        return Reason(
            Code.FORMAT_MISMATCH, f'No format of Glance is known for what '
            f'the list calls {kind or "nothing"}.',
            cure='Ask the endorser for a format of Glance.')
    if (disk not in abilities.disk_formats
            or container not in abilities.container_formats):
        return Reason(
            Code.FORMAT_MISMATCH, f'The image is {kind}, but Glance takes no '
            f'disk_format {disk} in a container_format {container}.',
            cure='Ask the endorser for another format, or add this one to '
            'disk_formats or container_formats of glance-api.conf.')
    return disk, container
