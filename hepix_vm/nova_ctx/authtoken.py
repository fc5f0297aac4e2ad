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

"""What keystonemiddleware is told in our file: it passes over what it does
not know.
"""

import os

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from keystonemiddleware import opts as middleware
from oslo_config import cfg

from hepix_vm.errors import ConfigError

GROUP = 'keystone_authtoken'


def check(path: str) -> None:
    """Make sure that keystonemiddleware reads what is written for it.

    :param path: of our own file
    :raises ConfigError: there is no account, or an option is unknown
    """
    sections: dict[str, dict[str, list[str]]] = {}
    if os.path.exists(path):
        cfg.ConfigParser(path, sections).parse()
    given = sections.get(GROUP, {})
    if not given.keys() & {'auth_type', 'auth_section'}:
        raise ConfigError(
            f'[{GROUP}] has no auth_type.', path, remedy=f'Give [{GROUP}] '
            f'the account with which tokens are checked.')
    options = [option for group, each in middleware.list_auth_token_opts()
               if group == GROUP for option in each]
    for auth_type in given.get('auth_type', []):
        try:
            options += loading.get_auth_plugin_conf_options(auth_type)
        except exceptions.NoMatchingPlugin as error:
            raise ConfigError(f'[{GROUP}] auth_type: there is no '
                              f'{auth_type}.', path) from error
    known = {name for option in options for name in (
        option.dest, *(old.name for old in option.deprecated_opts))}
    for name in given.keys() - known:
        raise ConfigError(f'[{GROUP}] has no option {name}.', path,
                          remedy='Remove the option, or correct its name.')
