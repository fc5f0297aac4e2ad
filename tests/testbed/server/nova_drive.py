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

"""The config drives of Nova, made by Nova's own code.

What LibvirtDriver and IronicDriver do when they make a drive: Nova's
InstanceMetadata gathers, its ConfigDriveBuilder calls ``mkisofs_cmd``. The
server is an object of Nova's that is in no database.

Each line of standard input is a task and its arguments, in JSON; each gets
one line of answer.
"""

import base64
import json
import pathlib
import sys
import tempfile
from typing import Any

from nova.api.metadata import base
from nova import config
from nova import context as nova_context
from nova.network import model
from nova import objects
from nova.virt import configdrive
from oslo_utils import timeutils


def _server(uuid: str, name: str, project: str, image: str, user_data: str,
            metadata: dict[str, str], zone: str) -> objects.Instance:
    return objects.Instance(
        nova_context.get_admin_context(), id=1, uuid=uuid, display_name=name,
        hostname='from-the-name', project_id=project, user_id='alice',
        image_ref=image, metadata=metadata, system_metadata={},
        availability_zone=zone, launch_index=0, reservation_id='r-1',
        key_name=None, key_data=None, host='compute1', root_device_name=None,
        default_ephemeral_device=None, default_swap_device=None,
        user_data=base64.b64encode(user_data.encode()).decode()
        if user_data else None,
        launched_at=timeutils.utcnow(), ec2_ids=objects.EC2Ids(
            instance_id='i-1', ami_id='ami-1', kernel_id=None,
            ramdisk_id=None),
        keypairs=objects.KeyPairList(objects=[]), device_metadata=None,
        numa_topology=None, flavor=objects.Flavor(name='tiny'),
        info_cache=objects.InstanceInfoCache(
            network_info=model.NetworkInfo()))


def _network() -> model.NetworkInfo:
    """A port with a fixed IPv4 address, as Nova has it from Neutron."""
    subnet = model.Subnet(
        cidr='192.0.2.0/28', version=4,
        gateway=model.IP(address='192.0.2.1', type='gateway'),
        dns=[model.IP(address='192.0.2.53', type='dns')],
        ips=[model.FixedIP(address='192.0.2.5')], routes=[])
    network = model.Network(id='net', bridge='br', label='net',
                            subnets=[subnet], mtu=1450)
    return model.NetworkInfo([model.VIF(
        id='vif', address='fa:16:3e:00:00:01', network=network, type='ovs',
        devname='tap1', vnic_type='normal')])


def _builder(uuid: str = '83679162-1378-4288-a2d4-70e13ec132aa',
             name: str = 'server', project: str = 'p' * 32,
             image: str = '', user_data: str = '',
             metadata: dict[str, str] | None = None, zone: str = 'nova',
             files: tuple[tuple[str, str], ...] = (),
             password: str = '') -> configdrive.ConfigDriveBuilder:
    return configdrive.ConfigDriveBuilder(base.InstanceMetadata(
        _server(uuid, name, project, image, user_data, metadata or {}, zone),
        content=[(path, content.encode()) for path, content in files],
        extra_md={'admin_pass': password} if password else {},
        network_info=_network()))


def libvirt(path: str, **server: Any) -> None:
    """Make a drive as LibvirtDriver does."""
    with _builder(**server) as builder:
        builder.make_drive(path)


def ironic(path: str, **server: Any) -> None:
    """Make a drive as IronicDriver._generate_configdrive does.

    It passes a temporary file that is open, and reads from that.
    """
    with tempfile.NamedTemporaryFile() as file:
        with _builder(**server) as builder:
            builder.make_drive(file.name)
        file.seek(0)
        pathlib.Path(path).write_bytes(file.read())


def tree(path: str, **server: Any) -> None:
    """Write the files of a drive, as Nova lays them out for mkisofs."""
    with _builder(**server) as builder:
        builder._write_md_files(path)


def main() -> None:
    """Do what standard input asks for."""
    config.parse_args(['nova', '--config-file', sys.argv[1]])
    objects.register_all()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = globals()[name](**arguments)
        except Exception as error:
            answer = {'error': type(error).__name__, 'text': str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
