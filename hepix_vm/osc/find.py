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

from typing import TYPE_CHECKING
import uuid

if TYPE_CHECKING:
    from hepix_vm.exchange.catalogue import Catalogue
    from hepix_vm.exchange.catalogue import Image


def image(catalogue: 'Catalogue', named: str) -> 'Image':
    """Return an image of Glance, as one who asks for it may see it.

    :param named: its id or its name; an id comes first
    :raises HepixVmError: there is none, or there are several of the name
    """
    from hepix_vm.errors import HepixVmError
    from hepix_vm.exchange.oneline import clean

    if is_id(named) and (found := catalogue.find(named)):
        return found
    # Glance reads some names as operators, such as in:.
    same = [each for each in catalogue.images(name=named)
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


def is_id(named: str) -> bool:
    """Return whether something is an id of Glance."""
    try:
        return str(uuid.UUID(named)) == named.lower()
    except ValueError:
        return False
