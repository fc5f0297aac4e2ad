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

"""How rules of policy.yaml know the project of who sends a request."""

from typing import Any


def name_of(context: Any) -> str:
    """Return the name of a project.

    Names are unique within a domain only, and its own administrator gives
    them: outside the default domain they carry the domain's.

    :param context: of oslo.context, as Glance and Nova have it
    :returns: empty if it is not known
    """
    name: str = context.project_name or ''
    if not name or (context.project_domain_id or 'default') == 'default':
        return name
    # Between services of Nova, contexts lose it.
    domain: str = context.project_domain_name or ''
    return domain and f'{domain}/{name}'
