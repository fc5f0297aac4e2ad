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
"""What else is asked of the cloud: its projects, and images in use."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import datetime
import functools
import logging
import urllib.parse

from keystoneauth1 import adapter as keystone_adapter
from keystoneauth1 import exceptions
import requests

from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.rest import Rest
from hepix_vm.gate import utcnow
from hepix_vm import servers

LOG = logging.getLogger(__name__)

_REMEDIES = {
    0: 'Look whether Keystone runs, and correct [service_credentials] of '
       'hepix-vm.conf.',
    403: 'Give the account in [service_credentials] the role admin.',
    -1: 'Look into the log of Keystone.'}


def project_ids(identity: keystone_adapter.Adapter | None,
                named: Iterable[str]) -> Mapping[str, str]:
    """Return the ids of projects that are named by name or by id.

    :param identity: the way to Keystone; None where there is none, and
        what is named are ids
    :returns: without those that there are not, or several with the name
    :raises ServiceError: Keystone does not say
    """
    if identity is None:
        return {name: name for name in named}
    identity.version = '3'
    keystone = Rest(identity, 'Keystone', _REMEDIES)
    found = {}
    for name in sorted(set(named)):
        if identifier := _project_id(keystone, name):
            found[name] = identifier
    return found


def own_project(identity: keystone_adapter.Adapter) -> str:
    """Return the id of the project of our account.

    :raises HepixVmError: Keystone does not say
    """
    try:
        return identity.get_project_id() or ''
    except exceptions.ClientException as error:
        raise HepixVmError(f'Keystone cannot be asked: {error}',
                           remedy=_REMEDIES[0]) from error


def _project_id(keystone: Rest, name: str) -> str:
    asked = urllib.parse.urlencode({'name': name})
    projects = keystone.document('GET', f'/projects?{asked}')['projects']
    if len(projects) == 1:
        return str(projects[0]['id'])
    if projects:
        LOG.error('%d projects are called %s: give the id of the one that '
                  'is meant', len(projects), name)
        return ''
    response = keystone.request(
        'GET', f'/projects/{urllib.parse.quote(name, safe="")}',
        (200, 404))
    return name if response.status_code == 200 else ''


def usage(nova: keystone_adapter.Adapter,
          now: Callable[[], datetime.datetime] = utcnow,
          ) -> Callable[[int], Collection[str] | None]:
    """Return what knows images that servers use, or used within some days.

    Each number of days is asked for once.
    """
    @functools.cache
    def in_use(days: int) -> Collection[str] | None:
        since = now() - datetime.timedelta(days=days) if days else None
        try:
            return servers.images_in_use(nova, since)
        except (HepixVmError, exceptions.ClientException,
                requests.RequestException, LookupError, TypeError,
                ValueError) as error:
            LOG.warning('Nova does not say which images are in use: %s',
                        error)
            return None
    return in_use
