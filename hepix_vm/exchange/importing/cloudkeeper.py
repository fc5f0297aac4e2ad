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

"""cloudkeeper's ``cloudkeeper.yml``, and the file of its VOs and projects.

Version 2 follows one list, ``image-list``, earlier ones had ``image-lists``.
cloudkeeper knows no endorsers: it takes whatever any CA's client signed, if
it looks at signatures at all.
"""

import json

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import Source
from hepix_vm.exchange.importing import without_secret
from hepix_vm.subscriptions import IGTF
from hepix_vm.subscriptions import Properties
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

_IGTF_FOLDER = '/etc/grid-security/certificates'


def read(data: bytes, path: str) -> list[Source]:
    """Read ``cloudkeeper.yml``.

    :param path: its name, for messages
    :raises ConfigError: it is not of cloudkeeper's form
    """
    keys = yamlfile.parse(data, path).mapping(
        required=('cloudkeeper',))['cloudkeeper'].mapping()
    addresses = [node for key in ('image-list', 'image-lists') if key in keys
                 for node in _nodes(keys[key])]
    notes = []
    if 'image-lists-file' in keys and keys['image-lists-file'].value:
        notes.append('The lists of image-lists-file are not read.')
    if _falsy(keys, 'verify-image-list') or _falsy(
            keys, 'verify-image-lists'):
        notes.append('Signatures were not verified; they are now.')
    return [_source(node.text(), keys, notes) for node in addresses]


def read_mapping(data: bytes, path: str) -> dict[str, str]:
    """Read which project belongs to each VO.

    ``mapping.json`` of cloudkeeper-os, and ``voms.json`` of atrope before
    version 2: ``{"VO": {"project": "NAME"}}``, where older ones have
    ``tenant``.

    :param path: its name, for messages
    :raises ConfigError: it is not of that form
    """
    try:
        found = {str(vo): names.get('project', names.get('tenant'))
                 for vo, names in json.loads(data).items()}
        if not all(isinstance(name, str) and name
                   for name in found.values()):
            raise ValueError
    except (ValueError, AttributeError) as error:
        raise ConfigError(
            'It is not a mapping of VOs to projects, such as '
            '{"VO": {"project": "NAME"}}.', path) from error
    return found


def _source(address: str, keys: dict[str, Node],
            notes: list[str]) -> Source:
    url, had_secret = without_secret(address)
    folder = keys['ca-dir'].value if 'ca-dir' in keys else ''
    igtf = str(folder or '').rstrip('/') == _IGTF_FOLDER
    return Source(
        name=url, url=url,
        ca_bundle=IGTF if igtf else str(folder or ''),
        compatibility=(Properties.CLOUDKEEPER.value,),
        secret='what stood before @ in the address' if had_secret else '',
        notes=tuple(notes))


def _nodes(node: Node) -> list[Node]:
    if node.value is None:
        return []
    return node.items() if isinstance(node.value, list) else [node]


def _falsy(keys: dict[str, Node], key: str) -> bool:
    return key in keys and keys[key].value is False
