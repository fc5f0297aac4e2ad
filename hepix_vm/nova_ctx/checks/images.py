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

"""Whether images that Nova makes, and those it boots, stay what they are."""

from keystoneauth1 import exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1 import loading
from oslo_config import cfg

from hepix_vm.config import where
from hepix_vm.errors import HepixVmError
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx.checks.gate import gate_of
from hepix_vm import protections
from hepix_vm.trust.settings import Choice

_ACCOUNT = 'service_user'
_ROLE = 'service'
_TIMEOUT = 10  # seconds
_NO_PARTITION = -2
# LibvirtDriver.rescue takes them before those of the server.
_RESCUE = ('rescue_image_id', 'rescue_kernel_id', 'rescue_ramdisk_id')


def check_tokens(nova: cfg.ConfigOpts) -> Found:
    """Whether Glance is told that it is Nova that makes an image."""
    try:
        wrong = _wrong_account(nova)
    except exceptions.ClientException as error:
        yield Severity.WARNING, (
            f'Whether Keystone takes the account of [{_ACCOUNT}] cannot be '
            f'checked: {error}. Run this command again when Keystone '
            f'answers.')
    else:
        if wrong:
            yield _severity(nova), (
                f'No snapshot, backup or shelved server is let in: {wrong}')


def _wrong_account(nova: cfg.ConfigOpts) -> str:
    """Return why Nova does not prove that it is Nova, and what to set.

    :raises ClientException: Keystone does not say
    """
    if not nova.service_user.send_service_user_token:
        name = where(nova, 'send_service_user_token', _ACCOUNT)
        return f'{name} is false. Set it to true.'
    try:
        auth = loading.load_auth_from_conf_options(nova, _ACCOUNT)
        if not isinstance(auth, BaseIdentityPlugin):
            return (f'[{_ACCOUNT}] names no account. Give it that of Nova, '
                    f'with auth_type.')
        session = loading.load_session_from_conf_options(
            nova, _ACCOUNT, auth=auth, timeout=_TIMEOUT)
        roles = auth.get_access(session).role_names or ()
    except (exceptions.AuthPluginException, exceptions.Unauthorized) as error:
        return (f'Keystone does not take the account of [{_ACCOUNT}]: '
                f'{error}. Correct it.')
    return '' if _ROLE in roles else (
        f'the account of [{_ACCOUNT}] lacks the role {_ROLE} in its project. '
        f'Give it to it with openstack role add.')


def _severity(nova: cfg.ConfigOpts) -> Severity:
    """Return how bad it is that no image of a server is let in."""
    try:
        rules = gate_of(nova).site().policy.derived_images
    except HepixVmError:
        # Where only nova-compute runs, there need not be a policy.
        return Severity.WARNING
    return (Severity.WARNING
            if all(rule.choice is Choice.REFUSE for rule in rules)
            else Severity.FAILURE)


def check_taken(nova: cfg.ConfigOpts) -> Found:
    """Whether a user can pass for a service before Nova."""
    from keystonemiddleware import opts

    for group, options in opts.list_auth_token_opts():
        nova.register_opts(options, group)
    if not nova.keystone_authtoken.service_token_roles_required:
        name = where(
            nova, 'service_token_roles_required', 'keystone_authtoken')
        yield Severity.WARNING, (
            f'Nova takes the token of any user for one of a service: {name} '
            f'is false. Set it to true.')


def check_inherited(nova: cfg.ConfigOpts) -> Found:
    """Whether snapshots are given what only the gate may write."""
    given = nova.non_inheritable_image_properties
    missing = protections.not_in(given)
    if missing:
        name = where(nova, 'non_inheritable_image_properties')
        yield Severity.WARNING, (
            f'Nova copies to snapshots what was said of the image of the '
            f'server, and without service tokens Glance refuses them: {name} '
            f'lacks {len(missing)} properties. Set '
            f'non_inheritable_image_properties = '
            f'{",".join([*given, *missing])}.')


def check_injection(nova: cfg.ConfigOpts) -> Found:
    """Whether Nova writes into what was endorsed."""
    partition = nova.libvirt.inject_partition
    if partition != _NO_PARTITION:
        yield Severity.FAILURE, (
            f'Nova writes files into the disks of servers, which are then '
            f'not what was endorsed: '
            f'{where(nova, "inject_partition", "libvirt")} is '
            f'{partition}. Set it to {_NO_PARTITION}.')
    for name in ('inject_key', 'inject_password'):
        if nova.libvirt[name]:
            yield Severity.WARNING, (
                f'{where(nova, name, "libvirt")} is true: what it '
                f'would write into disks, servers get on their drive. Set '
                f'it to false.')


def check_rescue(nova: cfg.ConfigOpts) -> Found:
    """Whether Nova rescues servers with what nobody asked us about."""
    for name in _RESCUE:
        if nova.libvirt[name]:
            yield Severity.WARNING, (
                f'Servers are rescued with an image that is not judged: '
                f'{where(nova, name, "libvirt")} is '
                f'{nova.libvirt[name]}. Remove it: users name an image when '
                f'they rescue a server, or get that of the server.')
