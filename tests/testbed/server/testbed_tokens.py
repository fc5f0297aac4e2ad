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

"""A paste filter for tests: a fake Keystone.

It believes what a token says of its bearer: ``user:project:role,role``.
Most tests do without a Keystone, and commands send ``X-Auth-Token`` all the
same. Requests without a token are left alone.
"""

from collections.abc import Callable
from typing import Any


def filter_factory(
        global_conf: dict[str, str],
        **local_conf: str) -> Callable[[Any], Any]:
    """Return the filter, as PasteDeploy asks for it."""
    def believing(application: Any) -> Any:
        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            token = environ.get('HTTP_X_AUTH_TOKEN')
            if token:
                user, project, roles = token.split(':')
                environ |= {
                    'HTTP_X_IDENTITY_STATUS': 'Confirmed',
                    'HTTP_X_USER_ID': user, 'HTTP_X_PROJECT_ID': project,
                    'HTTP_X_ROLES': roles}
            return application(environ, start_response)
        return answer
    return believing
