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

"""What lists call the formats of images, and what Glance calls them."""

import re

# hv:format was never fully defined; these are the spellings seen in lists
# and the disk_format (or container_format) of Glance that they mean.
_FORMATS = {
    'raw': {'raw', 'iso', 'aki', 'ari', 'ami'}, 'img': {'raw'},
    'qcow2': {'qcow2'}, 'qcow': {'qcow2'}, 'vmdk': {'vmdk'}, 'vdi': {'vdi'},
    'vhd': {'vhd', 'vpc'}, 'vhdx': {'vhdx'}, 'iso': {'iso'},
    'ova': {'ova'}, 'ami': {'ami'}, 'aki': {'aki'}, 'ari': {'ari'},
    'ploop': {'ploop'},
}
_CONTAINERS = ('ova',)
_PACKED = re.compile(r'\.(gz|bz2|xz|zip|zst)$|^(tar|cpio|zip)\b', re.ASCII)


def known(stated: str) -> bool:
    """Return whether a spelling of hv:format is compared with anything."""
    kind = stated.lower()
    return kind in _FORMATS or bool(_PACKED.search(kind))


def contradicts(stated: str, disk_format: str, container_format: str,
                altered: bool) -> bool:
    """Return whether Glance takes bytes for something else than a list says.

    :param stated: ``hv:format``; what it says beyond the known spellings
        cannot be compared
    :param disk_format: as Glance has it
    :param container_format: as Glance has it
    :param altered: whether what is packed is unpacked on its way
    """
    kind = stated.lower()
    if _PACKED.search(kind):
        return container_format != 'compressed' and not altered
    fits = {container_format if kind in _CONTAINERS else disk_format}
    return not fits & _FORMATS.get(kind, fits)
