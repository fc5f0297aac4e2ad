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


"""People who are no operators, for asking Glance what they may do.

Glance's own code answers, with its own rules; nothing is imitated here.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from hepix_vm.glance_hooks.checks.finding import Checked

# Roles that users have, by Keystone's defaults and by old habits, and one
# that nobody can have named in a rule.
USUAL = ('member', 'reader', '_member_', 'manager', 'creator',
         'hepix-vm-preflight')
_NOBODY = 'hepix-vm-preflight'  # a user and a project


def enforcer() -> Any:
    """Return Glance's enforcer, its policy files read."""
    from glance.api import policy

    found = policy.Enforcer(suppress_deprecation_warnings=True)
    found.load_rules()
    return found


def context(policy: Any, roles: Iterable[str],
            service_roles: Sequence[str] = ()) -> Any:
    """Return the context of a request by somebody with these roles.

    :param policy: Glance's enforcer
    """
    from glance.context import RequestContext

    return RequestContext(
        user_id=_NOBODY, project_id=_NOBODY, roles=list(roles),
        service_roles=list(service_roles), policy_enforcer=policy,
        overwrite=False)


def users(glance: Checked, policy: Any,
          roles: Iterable[str] = USUAL) -> list[tuple[str, Any]]:
    """Return who is no operator: what to call them, and their contexts.

    One for each role, and one who has them all.
    """
    singles = {f'role {role}': context(policy, [role])
               for role in dict.fromkeys(roles)
               if role != glance.operator_role}
    usual = {who: each for who, each in singles.items() if not each.is_admin}
    together = context(policy, [
        role for each in usual.values() for role in each.roles])
    # Roles that make an administrator only together are not for us.
    if not together.is_admin:
        usual['all these roles'] = together
    return list(usual.items())


def target() -> dict[str, str]:
    """Return an image of theirs, as policy rules ask for it."""
    return {'project_id': _NOBODY, 'owner': _NOBODY, 'user_id': _NOBODY,
            'visibility': 'shared', 'status': 'queued'}
