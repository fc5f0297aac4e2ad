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

"""What Nova makes of the vendor data of a server, by Nova's own code.

It is DynamicVendorData, InstanceMetadata and ConfigDriveBuilder that run
here, for a server that is in no database: what InstanceMetadata asks the
database and Neutron is answered in their place.

Each line of standard input is a task and its arguments, in JSON; each gets
one line of answer.
"""

import json
import pathlib
import sys
import traceback
from typing import Any
from unittest import mock
import uuid

from nova.api.metadata import base
from nova.api.metadata import vendordata_dynamic
import nova.conf
from nova import config
from nova.network import model as network_model
from nova import objects
from nova import service_auth
from nova.virt import configdrive
from oslo_serialization import base64

CONF = nova.conf.CONF


def instance(**values: Any) -> objects.Instance:
    """Return a server."""
    user_data = values.pop('user_data', None)
    server = objects.Instance(**{
        'uuid': str(uuid.uuid4()), 'project_id': 'project',
        'image_ref': '', 'hostname': 'host', 'display_name': 'name',
        'availability_zone': 'nova', 'launch_index': 0, 'key_name': None,
        'metadata': {}, 'host': 'compute1', 'reservation_id': 'r',
        'root_device_name': '/dev/vda', **values})
    server.user_data = base64.encode_as_text(
        user_data) if user_data else None
    server.system_metadata = {'boot_roles': 'member'}
    server.ec2_ids = objects.EC2Ids(
        instance_id='i-1', ami_id='ami-1', kernel_id=None, ramdisk_id=None)
    server.keypairs = objects.KeyPairList(objects=[])
    server.device_metadata = server.numa_topology = None
    server.flavor = objects.Flavor(name='tiny')
    server.old_flavor = server.new_flavor = None
    return server


def dynamic(server: objects.Instance, folder: str) -> Any:
    """Return what DynamicVendorData gets."""
    return vendordata_dynamic.DynamicVendorData(server).get()


def drive(server: objects.Instance, folder: str) -> Any:
    """Make the config drive, and its files beside it."""
    with mock.patch.object(
            base, '_format_instance_mapping', autospec=True,
            return_value={'root': '/dev/vda'}), mock.patch.object(
            base.security_group_api, 'get_instance_security_groups',
            autospec=True, return_value=[{'name': 'default'}]):
        metadata = base.InstanceMetadata(
            server, network_info=network_model.NetworkInfo(),
            content=[('/etc/motd', b'Welcome')])
    path = pathlib.Path(folder)
    with configdrive.ConfigDriveBuilder(metadata) as builder:
        builder.make_drive(str(path / 'disk.config'))
        builder._write_md_files(str(path / 'tree'))
    return [json.loads(data) for name, data in builder.mdfiles
            if name.endswith('vendor_data2.json')]


TASKS = {task.__name__: task for task in (dynamic, drive)}


def run(task: str, targets: list[str], server: dict[str, Any], fatal: bool,
        folder: str) -> Any:
    """Do what is asked, with the options that it names."""
    service_auth.reset_globals()
    for name, value in (
            ('vendordata_providers', ['StaticJSON', 'DynamicJSON']),
            ('vendordata_dynamic_targets', targets),
            ('vendordata_dynamic_failure_fatal', fatal)):
        CONF.set_override(name, value, 'api')
    try:
        return TASKS[task](instance(**server), folder)
    except Exception as error:
        traceback.print_exc()
        return type(error).__name__


def main() -> None:
    """Do what is asked until the input ends."""
    config.parse_args(['nova-compute'], default_config_files=[sys.argv[1]])
    objects.register_all()
    for line in sys.stdin:
        task, arguments = json.loads(line)
        print(json.dumps(run(task, **arguments)), flush=True)


main()
