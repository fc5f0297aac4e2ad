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


"""Routes that pass neither the import plugin nor the upload filter."""

from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm.glance_hooks.checks import people
from hepix_vm.glance_hooks.checks.properties import GUARDED
from hepix_vm.properties import ENDORSEMENT

# What closes each rule, as glance-policy.yaml has it, and why.
_LOCATIONS = 'a member would activate any URL'
_RULES = {
    'add_image_location': (
        'rule:context_is_admin or service_roles:service', _LOCATIONS),
    'tasks_api_access': (
        '!', 'its type import activates bytes that nobody judged'),
    'reactivate': (
        'rule:context_is_admin',
        'an owner would undo what an operator deactivated'),
}
_ONLY_WITH_OPTION = {'set_image_location': ('!', _LOCATIONS)}
_DOWNLOAD = 'glance_download_properties'


def check_policy(glance: Checked) -> Found:
    """Whether Glance's policy closes the routes."""
    policy = people.enforcer()
    rules = _RULES | (_ONLY_WITH_OPTION if _multiple_locations(glance)
                      else {})
    users = people.users(glance, policy)
    # The tasks API is closed to everybody: the gate binds administrators.
    everybody = [*users, ('role admin', people.context(policy, ['admin']))]
    for name, (value, reason) in rules.items():
        asked = everybody if value == '!' else users
        who = [who for who, context in asked
               if policy.check(context, name, people.target())]
        if who:
            yield Severity.FAILURE, (
                f'{_policy_file(glance)}: the rule {name} lets {who[0]} in, '
                f'and {reason}. Set "{name}": "{value}".')


def check_operators(glance: Checked) -> Found:
    """Whether Glance's policy lets operators reactivate."""
    policy = people.enforcer()
    role = glance.operator_role
    if not policy.check(people.context(policy, [role]), 'reactivate',
                        people.target()):
        yield Severity.WARNING, (
            f'{_policy_file(glance)}: the rule reactivate does not let '
            f'operators (role {role}) in. Set "hepix_operator": '
            f'"rule:context_is_admin or role:{role}" and "reactivate": '
            f'"rule:hepix_operator".')


def check_options(glance: Checked) -> Found:
    """Whether options of Glance open a route."""
    from glance.async_.flows import api_image_import as _  # noqa: F401

    if _multiple_locations(glance):
        yield Severity.FAILURE, (
            f'{glance.where("show_multiple_locations")} is true, and '
            f'{_LOCATIONS}. Set show_multiple_locations = false.')
    if 'glance-download' not in glance.conf.enabled_import_methods:
        return
    prefixes = glance.conf[_DOWNLOAD].extra_properties
    ours = [prefix for prefix in prefixes
            if any(name.startswith(prefix) for name in GUARDED)]
    if ours:
        good = [*(prefix for prefix in prefixes if prefix not in ours),
                ENDORSEMENT]
        yield Severity.FAILURE, (
            f'{glance.where("extra_properties", _DOWNLOAD)} has '
            f'{", ".join(map(repr, ours))}: glance-download would take over '
            f'from elsewhere what hepix-vm or operators write here. Set '
            f'extra_properties = [{",".join(dict.fromkeys(good))}], and '
            f'longer prefixes for what else you need.')


def check_tokens(glance: Checked) -> Found:
    """Whether a user can pass for a service before Glance."""
    from keystonemiddleware import opts

    for group, options in opts.list_auth_token_opts():
        glance.conf.register_opts(options, group)
    if not glance.conf.keystone_authtoken.service_token_roles_required:
        name = glance.where(
            'service_token_roles_required', 'keystone_authtoken')
        yield Severity.WARNING, (
            f'Glance takes the token of any user for one of a service: '
            f'{name} is false. Set it to true.')


def check_stores(glance: Checked) -> Found:
    """Whether a store takes what is on somebody's web server."""
    import glance_store

    backends = glance.conf.enabled_backends
    if backends:
        names = [name for name, kind in backends.items()
                 if kind.strip().lower() in ('http', 'https')]
        where = glance.where('enabled_backends')
    else:
        glance_store.register_opts(glance.conf)
        names = [name for name in glance.conf.glance_store.stores
                 if name.strip().lower() in ('http', 'https')]
        where = glance.where('stores', 'glance_store')
    if names:
        yield Severity.WARNING, (
            f'{where} has {", ".join(names)}: what a web server hands out '
            f'can change after it was judged. Set the option without it: '
            f'where the images are files, [glance_store] stores = file.')


def _multiple_locations(glance: Checked) -> bool:
    return bool(glance.conf.show_multiple_locations)


def _policy_file(glance: Checked) -> str:
    name = glance.conf.oslo_policy.policy_file
    path = glance.conf.find_file(name)
    where = glance.where('policy_file', 'oslo_policy')
    return f'{path or name} ({where})'
