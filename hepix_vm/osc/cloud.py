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

"""The cloud that ``openstack`` asks, by the credentials that it was given."""

import functools
import re
from typing import Any

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm import opts

_TIMEOUT = 60  # seconds, where clouds.yaml has no api_timeout
_RETRIES = 2  # after 0.5 and 1 second
_VERSION = re.compile(r'/v2(\.[0-9]+)?/*$')
_REMEDIES = {
    0: 'Look whether Glance runs, and which cloud is asked (--os-cloud).',
    401: 'Look which account is used (--os-cloud), and log in again.',
    403: 'Use the account of an administrator; where it is one, the answer '
         'says what Glance or its gate refuses.',
    404: 'Look whether the image is still there: openstack image list.',
    409: 'Try again: somebody else changed the image.',
    -1: 'Tell the operator, who finds the cause in the log of glance-api.',
}


def connect(manager: Any) -> Cloud:
    """Return the cloud; nothing is asked yet.

    :param manager: the ClientManager of the program, which knows the
        account
    :raises ConfigError: the settings cannot be read
    """
    settings = config.load()[opts.GROUP]
    adapter = functools.partial(_adapter, manager)
    catalogue = Catalogue(adapter(credentials.IMAGE), _REMEDIES)
    return Cloud(
        settings, catalogue, RestLedger(catalogue, settings.ledger_owner),
        adapter, manager.auth_plugin_name not in common.NO_KEYSTONE)


def _adapter(manager: Any, service: str) -> keystone_adapter.Adapter:
    """Return the way to a service."""
    region = manager.sdk_connection.config
    session = manager.session
    if session.timeout is None:
        session.timeout = _TIMEOUT
    url = region.get_endpoint(service)
    return keystone_adapter.Adapter(
        session, service_type=service,
        region_name=region.get_region_name(service),
        interface=region.get_interface(service),
        # Catalogues of old have the version of Glance, clouds.yaml may.
        endpoint_override=(_VERSION.sub('', url) if url
                           and service == credentials.IMAGE else url),
        connect_retries=_RETRIES, raise_exc=False)
