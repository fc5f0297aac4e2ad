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

"""Where those can be told who made servers."""

import urllib.parse

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.rest import Rest


class Owners:
    """Knows the mail addresses of Keystone's users.

    :param identity: the way to Keystone; None where there is none
    """

    def __init__(self, identity: keystone_adapter.Adapter | None) -> None:
        self._rest: Rest | None = None
        if identity is not None:
            identity.version = '3'
            self._rest = Rest(identity, 'Keystone')
        self._known: dict[str, str] = {}
        self._failed: ServiceError | None = None

    def email(self, user: str) -> str:
        """Return the address of a user; empty if he has none, or is gone.

        :param user: his id
        :raises ServiceError: Keystone does not say; if it does not answer
            at all it is asked no more, else of other users
        """
        if self._rest is None or not user:
            return ''
        if self._failed is not None:
            raise self._failed
        if user not in self._known:
            try:
                self._known[user] = _asked(self._rest, user)
            except ServiceError as error:
                if not error.status:
                    self._failed = error
                raise
        return self._known[user]


def _asked(keystone: Rest, user: str) -> str:
    path = f'/users/{urllib.parse.quote(user, safe="")}'
    answer = keystone.request('GET', path, (200, 404))
    if answer.status_code == 404:
        return ''
    try:
        return str(answer.json()['user'].get('email') or '')
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise keystone.strange() from error
