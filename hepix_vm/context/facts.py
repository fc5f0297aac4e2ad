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

"""What is known of a server when its drive is made.

Nova writes it into the files of the config drive; the formats are those of
``nova/api/metadata/base.py`` and of Nova's user guide, "Metadata".
"""

import json
from typing import Any
from typing import NamedTuple

from hepix_vm.errors import ContextError

META_DATA = 'openstack/latest/meta_data.json'
NETWORK_DATA = 'openstack/latest/network_data.json'
VENDOR_DATA = 'openstack/latest/vendor_data2.json'
EC2_DATA = 'ec2/latest/meta-data.json'

# The name of our target in [api] vendordata_dynamic_targets, under which
# Nova writes what our service answered.
TARGET = 'hepix_vm'


class Image(NamedTuple):
    """The image of a server; what is not known is empty.

    :param uuid: Glance's own
    :param identifier: ``dc:identifier`` of its endorsement
    :param endorser: the distinguished name
    """

    uuid: str = ''
    identifier: str = ''
    endorser: str = ''
    vo: str = ''


class Network(NamedTuple):
    """What ``network_data.json`` says; of DHCP it says no addresses.

    :param addresses: with their prefix, ``192.0.2.5/24``
    :param routes: network and gateway, ``0.0.0.0/0,192.0.2.1``
    :param mtu: the smallest, in bytes; 0 if none is known
    """

    macs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    mtu: int = 0


class Facts(NamedTuple):
    """A server; what is not known is empty.

    :param project: its id
    :param zone: the availability zone
    :param host: the compute host; rules may ask for it, guests are not
        told
    :param fixed_address: the first of IPv4, also one that comes by DHCP;
        guests are not told
    """

    uuid: str = ''
    name: str = ''
    hostname: str = ''
    project: str = ''
    zone: str = ''
    launch_index: str = ''
    network: Network = Network()
    image: Image = Image()
    host: str = ''
    fixed_address: str = ''


def from_drive(meta_data: bytes, network_data: bytes, vendor_data: bytes,
               host: str, ec2_data: bytes = b'') -> Facts:
    """Return what the files of a config drive say.

    :param meta_data: ``meta_data.json``
    :param network_data: ``network_data.json``; may be empty
    :param vendor_data: ``vendor_data2.json``; may be empty
    :param host: the name of this compute host
    :param ec2_data: ``meta-data.json``; may be empty
    :raises ContextError: a file is not as Nova writes it
    """
    keys = _document(meta_data, META_DATA)
    ec2 = _document(ec2_data, EC2_DATA) if ec2_data else {}
    launch_index = keys.get('launch_index')
    return Facts(
        uuid=_text(keys, 'uuid', META_DATA),
        name=_text(keys, 'name', META_DATA),
        hostname=_text(keys, 'hostname', META_DATA),
        project=_text(keys, 'project_id', META_DATA),
        zone=_text(keys, 'availability_zone', META_DATA),
        launch_index=str(launch_index) if isinstance(launch_index, int)
        else '',
        network=_network(network_data), image=_image(vendor_data),
        host=host, fixed_address=_text(ec2, 'local-ipv4', EC2_DATA))


def _document(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    # The cause is left out of the message: it may quote a secret.
    except (ValueError, RecursionError):
        raise ContextError(f'{name} is not JSON.') from None
    if not isinstance(document, dict):
        raise ContextError(f'{name} is not a JSON object.')
    return document


def _text(keys: Any, key: str, where: str) -> str:
    value = keys.get(key)
    if value is None:
        return ''
    if not isinstance(value, str):
        raise ContextError(f'{where}: {key} is not a text.')
    return value


def _objects(keys: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = keys.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(
            isinstance(item, dict) for item in items):
        raise ContextError(f'{NETWORK_DATA}: {key} is not a list of objects.')
    return items


def _network(data: bytes) -> Network:
    if not data:
        return Network()
    document = _document(data, NETWORK_DATA)
    links = _objects(document, 'links')
    networks = _objects(document, 'networks')
    services = [*_objects(document, 'services'),
                *(service for network in networks
                  for service in _objects(network, 'services'))]
    mtus = [link['mtu'] for link in links if isinstance(link.get('mtu'), int)]
    return Network(
        macs=_unique(_text(link, 'ethernet_mac_address', NETWORK_DATA)
                     for link in links),
        addresses=_unique(
            _with_prefix(network, 'ip_address') for network in networks),
        routes=_unique(_route(route) for network in networks
                       for route in _objects(network, 'routes')),
        dns=_unique(_text(service, 'address', NETWORK_DATA)
                    for service in services if service.get('type') == 'dns'),
        mtu=min(mtus, default=0))


def _unique(values: Any) -> tuple[str, ...]:
    """Return what is not empty, each once, in its order."""
    return tuple(dict.fromkeys(value for value in values if value))


def _route(route: dict[str, Any]) -> str:
    network = _with_prefix(route, 'network')
    return f'{network},{_text(route, "gateway", NETWORK_DATA)}'


def _with_prefix(keys: dict[str, Any], key: str) -> str:
    address = _text(keys, key, NETWORK_DATA)
    mask = _text(keys, 'netmask', NETWORK_DATA)
    if not address or not mask:
        return address
    base, separator = (16, ':') if ':' in mask else (10, '.')
    try:
        ones = sum(int(group, base).bit_count()
                   for group in mask.split(separator) if group)
    except ValueError:
        raise ContextError(
            f'{NETWORK_DATA}: a netmask is none.') from None
    return f'{address}/{ones}'


def _image(data: bytes) -> Image:
    """Return what our vendordata service said of the image.

    Where the service did not answer and that is not fatal to Nova, there
    is nothing under its name.
    """
    answer = _document(data, VENDOR_DATA).get(TARGET) if data else None
    if answer is None or answer == {}:
        return Image()
    image = answer.get('image') if isinstance(answer, dict) else None
    if not isinstance(image, dict):
        raise ContextError(
            f'{VENDOR_DATA}: what stands under {TARGET} is not an answer of '
            f'the vendordata service of hepix-vm.')
    return Image(*(_text(image, key, f'{VENDOR_DATA}: {TARGET}: image')
                   for key in Image._fields))
