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

"""A paste filter, loaded by the testbed's Glance and Nova: a fake Keystone.

Where a request has a token, it sets the headers that keystonemiddleware
sets once Keystone confirmed the token, and takes out those that a user
sent. A token of the testbed says whose it is: ``user:project:role,role``.
As with keystonemiddleware, a service token without the role ``service``
is Invalid.
"""

from collections.abc import Callable
from typing import Any

_STATUS = 'HTTP_X{}_IDENTITY_STATUS'
_NAMES = ('HTTP_X{}_USER_ID', 'HTTP_X{}_PROJECT_ID', 'HTTP_X{}_ROLES')


def filter_factory(
        global_conf: dict[str, str],
        **local_conf: str) -> Callable[[Any], Any]:
    """Return the filter, as PasteDeploy asks for it."""
    def confirm(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            if 'HTTP_X_AUTH_TOKEN' in environ:
                _set(environ, '', environ['HTTP_X_AUTH_TOKEN'])
                _set(environ, '_SERVICE',
                     environ.get('HTTP_X_SERVICE_TOKEN', ''))
            return application(environ, start_response)
        return answer
    return confirm


def _set(environ: dict[str, Any], kind: str, token: str) -> None:
    status, *names = (name.format(kind) for name in (_STATUS, *_NAMES))
    for name in (status, *names):
        environ.pop(name, None)
    if token:
        values = token.split(':')
        valid = not kind or 'service' in values[-1].split(',')
        environ[status] = 'Confirmed' if valid else 'Invalid'
        if valid:
            environ.update(zip(names, values, strict=True))
