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

"""The account with which we ask OpenStack's services.

It is the group ``[service_credentials]``, as keystoneauth1 reads it, and
the one way to a service: who asks another one by hand has to think of
certificates, regions and tokens again.
"""

from collections.abc import Collection

from keystoneauth1 import adapter as keystone_adapter
from keystoneauth1 import exceptions
from keystoneauth1 import loading
from oslo_config import cfg

from hepix_vm.errors import ConfigError

GROUP = 'service_credentials'
_ADAPTER = ('region_name', 'valid_interfaces')
_TIMEOUT = 60  # seconds; nothing of ours waits for ever
_RETRIES = 2  # after 0.5 and 1 second
# As the service types of Keystone's catalogue are.
IMAGE = 'image'
COMPUTE = 'compute'
IDENTITY = 'identity'
BLOCK_STORAGE = 'block-storage'


def list_opts() -> list[cfg.Opt]:
    """Return the options of the group that do not depend on auth_type."""
    options = loading.get_adapter_conf_options(include_deprecated=False)
    return [
        *loading.get_auth_common_conf_options(),
        *loading.get_session_conf_options(),
        *(option for option in options if option.dest in _ADAPTER),
        *(cfg.StrOpt(_endpoint(service), help=(
            f'URL of the {service} service. Without it Keystone\'s catalogue '
            f'is asked.'))
            for service in (IMAGE, COMPUTE, IDENTITY, BLOCK_STORAGE))]


def register(conf: cfg.ConfigOpts) -> None:
    """Add the group to a configuration whose files were not read yet."""
    conf.register_opts(list_opts(), GROUP)


def register_account(conf: cfg.ConfigOpts) -> Collection[str]:
    """Add the options of the ``auth_type`` that the files name.

    :returns: the names of all options that the group may have
    :raises ConfigError: there is no such type
    """
    known = list_opts()
    auth_type = conf[GROUP].auth_type
    if auth_type:
        try:
            known += loading.get_auth_plugin_conf_options(auth_type)
        except exceptions.NoMatchingPlugin as error:
            raise ConfigError(f'[{GROUP}] auth_type: there is no {auth_type}.'
                              ) from error
        conf.register_opts(known, GROUP)
    return {name for option in known for name in (
        option.dest, *(old.name for old in option.deprecated_opts)) if name}


def adapter(conf: cfg.ConfigOpts, service: str,
            timeout: int = _TIMEOUT) -> keystone_adapter.Adapter:
    """Return the way to a service, with which no request was made yet.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :param service: its type
    :param timeout: seconds, where the group does not say them
    :raises ConfigError: there is no account, or an incomplete one
    """
    group = conf[GROUP]
    if not group.auth_type:
        raise ConfigError(
            f'[{GROUP}] has no auth_type.', remedy=f'Give [{GROUP}] of '
            f'hepix-vm.conf the account with which the services are asked.')
    try:
        auth = loading.load_auth_from_conf_options(conf, GROUP)
    except exceptions.AuthPluginException as error:
        raise ConfigError(f'[{GROUP}]: {error}') from error
    session = loading.load_session_from_conf_options(
        conf, GROUP, timeout=group.timeout or timeout, auth=auth,
        app_name='hepix-vm')
    return keystone_adapter.Adapter(
        session, service_type=service, region_name=group.region_name,
        interface=group.valid_interfaces,
        endpoint_override=group[_endpoint(service)],
        # A server may close a connection between two requests.
        connect_retries=_RETRIES, raise_exc=False)


def _endpoint(service: str) -> str:
    """Return the option that has the URL of a service."""
    return f'{service.replace("-", "_")}_endpoint'
