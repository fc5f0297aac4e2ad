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

"""What a command names, by its name or its id."""

import re
from typing import Any
from typing import TYPE_CHECKING
import uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keystoneauth1.adapter import Adapter

    from hepix_vm.exchange.catalogue import Catalogue
    from hepix_vm.exchange.catalogue import Image
    from hepix_vm.exchange.rest import Rest

# In which Nova says of a server all that it does.
_VERSION = {'OpenStack-API-Version': 'compute 2.90'}
_NOVA = {
    0: 'Look whether Nova runs, and which cloud is asked (--os-cloud).',
    401: 'Look which account is used (--os-cloud), and log in again.',
    403: 'Use the account of an administrator.',
    -1: 'Look into the log of nova-api.'}


def image(catalogue: 'Catalogue', named: str) -> 'Image':
    """Return an image of Glance, as one who asks for it may see it.

    :param named: its id or its name; an id comes first
    :raises HepixVmError: there is none, or there are several of the name
    """
    from hepix_vm.errors import HepixVmError
    from hepix_vm.exchange.oneline import clean

    if is_id(named) and (found := catalogue.find(named)):
        return found
    # Glance reads what begins as in: and neq: do as an operator, but not in
    # quotes, which it cannot quote.
    sought = named if {'"', '\\'} & set(named) else f'in:"{named}"'
    same = [each for each in catalogue.images(name=sought)
            if each.get('name') == named] if named else []
    if len(same) == 1:
        return catalogue.show(same[0]['id'])
    if same:
        ids = ', '.join(sorted(str(each['id']) for each in same))
        raise HepixVmError(
            f'{len(same)} images are called {clean(named)}: {ids}.',
            remedy='Give the id of the one that is meant.')
    raise HepixVmError(
        f'There is no image {clean(named)} that you may see.',
        remedy='Give the name or the id of an image: openstack image list.')


def server(nova: 'Adapter', named: str) -> 'Mapping[str, Any]':
    """Return a server of Nova, as one who asks for it may see it.

    :param named: its id, or its name in one's own project, or of any
        where Nova shows those to one; in this order
    :raises HepixVmError: there is none, there are several of the name, or
        Nova does not say
    """
    from hepix_vm.errors import HepixVmError
    from hepix_vm.exchange.oneline import clean
    from hepix_vm.exchange.rest import Rest

    rest = Rest(nova, 'Nova', _NOVA)
    if is_id(named):
        response = rest.request('GET', f'/servers/{named}', (200, 404),
                                headers=_VERSION)
        if response.status_code == 200:
            found: Mapping[str, Any] = response.json()['server']
            return found
    same = _called(rest, named) or _called(rest, named, all_tenants='True')
    if len(same) == 1:
        only: Mapping[str, Any] = same[0]
        return only
    if same:
        ids = ', '.join(sorted(each['id'] for each in same))
        raise HepixVmError(
            f'{len(same)} servers are called {clean(named)}: {ids}.',
            remedy='Give the id of the one that is meant.')
    raise HepixVmError(
        f'There is no server {clean(named)} that you may see.',
        remedy='Give the name of a server of your project, or an id: '
               'openstack server list.')


def _called(rest: 'Rest', name: str,
            **where: str) -> 'list[Mapping[str, Any]]':
    """Return the servers of a name; none of whom Nova shows none."""
    response = rest.request(
        'GET', '/servers/detail', (200, 403), headers=_VERSION,
        # Nova reads a name as a pattern.
        params={'name': f'^{re.escape(name)}$', **where})
    if response.status_code == 403:
        return []
    return [each for each in response.json()['servers']
            if each.get('name') == name]


def is_id(named: str) -> bool:
    """Return whether something is an id, as Glance and Nova make them."""
    try:
        return str(uuid.UUID(named)) == named.lower()
    except ValueError:
        return False
