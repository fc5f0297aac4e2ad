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

"""What python-openstackclient loads at its start, whatever it is asked.

It costs everybody who uses ``openstack``: nothing of ours is imported
before one of our commands is at work.
"""

import argparse
from typing import Any

API_NAME = 'hepix_vm'
API_VERSION_OPTION = 'os_hepix_vm_api_version'
API_VERSIONS = ('1',)
DEFAULT_API_VERSION = '1'


def make_client(instance: Any) -> Any:
    """Return the cloud, as ``hepix_vm`` of the ClientManager.

    OpenStackClient wants one of each plugin, and keeps what it returns for
    its whole process; our own commands connect for themselves.

    :param instance: the ClientManager of the program
    :raises ConfigError: the settings cannot be read
    """
    from hepix_vm.osc import cloud

    return cloud.connect(instance)


def build_option_parser(
        parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser of global options, to which none is added."""
    return parser
