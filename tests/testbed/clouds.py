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

"""A file clouds.yaml with the accounts of a world."""

import pathlib
from typing import Any

import yaml

from tests.testbed.keystone import PASSWORD


def write_clouds(path: pathlib.Path, world: Any) -> None:
    """Write a clouds.yaml in which each cloud is called as its user is.

    :param world: of :mod:`tests.functional.world`
    """
    path.write_text(yaml.safe_dump({'clouds': {user: {
        'auth': {
            'auth_url': f'{world.keystone.url}/v3', 'username': user,
            'password': PASSWORD, 'project_name': project,
            'user_domain_id': 'default', 'project_domain_id': 'default'},
        'identity_endpoint_override': f'{world.keystone.url}/v3',
        'image_endpoint_override': world.cloud.glance.url,
        'compute_endpoint_override': f'{world.nova.url}/v2.1',
    } for user, project in (('admin', 'admin'), ('alice', 'atlas'))}}))
