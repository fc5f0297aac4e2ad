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


"""Property protections: who may write which properties.

Glance's own rules are asked with every name that matters, and with people
who have the roles that the rules name.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import re
from typing import Any

from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm.glance_hooks.checks import people
from hepix_vm.properties import ENDORSEMENT
from hepix_vm.properties import TRAIT
from hepix_vm import protections

_OPTION = 'property_protection_file'
_FORMAT = 'property_protection_rule_format'
_WRITING = ('create', 'update', 'delete')
_MERGE = ('Put the rules of hepix-vm first (hepix-vm-status '
          'property-protections merge prints the whole file)')
_SHOWN = 4  # names in a message

# One more than is written today: whatever begins so is ours.
GUARDED = (*protections.WRITTEN, 'hepix_x', TRAIT, *protections.BOOT)


def check_protected(glance: Checked) -> Found:
    """Whether only operators write our properties."""
    policy = people.enforcer()
    rules = _rules(glance, policy)
    if rules is None:
        yield Severity.FAILURE, (
            f'{glance.where(_OPTION)} is not set, so that users can write '
            f'what hepix-vm writes. Set {_OPTION} = '
            f'/etc/hepix-vm/property-protections.conf.')
        return
    if isinstance(rules, str):
        yield Severity.FAILURE, rules
        return
    if glance.operator_role in people.USUAL:
        yield Severity.FAILURE, (
            f'[hepix_vm] operator_role of hepix-vm.conf is '
            f'{glance.operator_role}, which ordinary users have. Set it to '
            f'a role that only operators have.')
        return
    found: dict[str, list[str]] = {}
    for who, context in people.users(
            glance, policy,
            [*people.USUAL, *_roles_named(glance, rules, policy)]):
        names = list(_writable(rules, context, GUARDED))
        if names:
            found.setdefault(_some(names), []).append(who)
    for shown, whose in found.items():
        yield Severity.FAILURE, (
            f'{_path(glance)} ({glance.where(_OPTION)}) lets {_some(whose)} '
            f'write {shown}. {_MERGE}.')


def check_free(glance: Checked) -> Found:
    """Whether users write what is theirs, and operators what is ours."""
    policy = people.enforcer()
    rules = _rules(glance, policy)
    if rules is None or isinstance(rules, str):
        return
    for name in (ENDORSEMENT, protections.ORDINARY):
        for operation in ('create', 'read', 'update', 'delete'):
            member = people.context(policy, ['member', 'reader'])
            if not rules.check_property_rules(name, operation, member):
                shown = (name if name == ENDORSEMENT
                         else 'a property that no rule names')
                yield Severity.WARNING, (
                    f'{_path(glance)} ({glance.where(_OPTION)}) does not '
                    f'let users {operation} {shown}. {_MERGE}; its last '
                    f'section must match every property.')
                break
    role = glance.operator_role
    operator = people.context(policy, [role])
    may = set(_writable(rules, operator, GUARDED))
    missing = [name for name in GUARDED if name not in may]
    if missing:
        yield Severity.WARNING, (
            f'{_path(glance)} ({glance.where(_OPTION)}) does not let '
            f'operators (role {role}) write {_some(missing)}. {_MERGE}: it '
            f'takes the role from [hepix_vm] operator_role.')


def _rules(glance: Checked, policy: Any) -> Any | str | None:
    """Return Glance's rules; None without a file, or why it has none."""
    from glance.common import exception
    from glance.common import property_utils

    if not property_utils.is_property_protection_enabled():
        return None
    try:
        return property_utils.PropertyRules(policy)
    except exception.InvalidPropertyProtectionConfiguration:
        return (f'{_path(glance)} ({glance.where(_OPTION)}) cannot be read '
                f'by Glance, whose log says why. Mend it, or set {_OPTION} '
                f'= /etc/hepix-vm/property-protections.conf.')


def _path(glance: Checked) -> str:
    return str(glance.conf.property_protection_file)


def _writable(rules: Any, context: Any,
              names: Iterable[str]) -> Iterator[str]:
    """Yield the names that somebody may write in some way.

    MySQL takes names for one that differ in letter case.
    """
    for name in names:
        spellings = {name, name.lower(), name.upper(), name.title()}
        if any(rules.check_property_rules(spelling, operation, context)
               for spelling in sorted(spellings) for operation in _WRITING):
            yield name


def _roles_named(glance: Checked, rules: Any, policy: Any) -> Iterator[str]:
    """Yield the roles that the rules, or the policies they name, know."""
    if glance.conf[_FORMAT].lower() == 'roles':
        for _, operations in rules.rules:
            for roles in operations.values():
                yield from (role.lower() for role in roles
                            if role not in ('@', '!'))
        return
    for check in policy.rules.values():
        yield from (role.lower() for role in re.findall(
            r"\brole:([^\s()'\"%]+)", str(check)))


def _some(names: Sequence[str]) -> str:
    """Return names as a message shows them."""
    more = len(names) - _SHOWN
    return ', '.join(names[:_SHOWN]) + (
        f' and {more} more' if more > 0 else '')
