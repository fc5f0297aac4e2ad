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

"""The ledger as Glance keeps it: images without data, one a record.

Their owner is no project, so that no token reaches them but an
administrator's; they are hidden and protected. They are found by name,
since anybody may take an id that can be foretold.
"""

from collections.abc import Collection
import functools
from typing import Any

from hepix_vm.glance_hooks import images
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Record

_AT_ONCE = 100  # names in a query


@functools.cache
def context() -> Any:
    """Return a context that acts for nobody but us."""
    from glance.context import RequestContext

    return RequestContext(is_admin=True, roles=['admin'],
                          overwrite=False)


class GlanceLedger:
    """The records in the database of this Glance.

    :param owner: the owner of the records
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def search(self, names: Collection[str]) -> list[Record]:
        """Return the records with these names.

        :raises MalformedError: one of them cannot be read
        """
        ordered = sorted(names)
        repo = images.repository(context())
        found = []
        for start in range(0, len(ordered), _AT_ONCE):
            part = ','.join(ordered[start:start + _AT_ONCE])
            found += repo.list(filters={
                'owner': self._owner, 'os_hidden': True, 'deleted': False,
                'name': f'in:{part}'})
        return [ledger.parse(image.extra_properties.get(
            ledger.PROPERTY, '')) for image in found]

    def write(self, record: Record) -> None:
        """Add a record.

        :raises MalformedError: it could not be read afterwards
        """
        text = ledger.serialize(record)
        ledger.parse(text)
        image = images.new(
            context(), name=record.name, owner=self._owner,
            visibility='private', os_hidden=True, protected=True,
            extra_properties={ledger.PROPERTY: text})
        images.repository(context()).add(image)
