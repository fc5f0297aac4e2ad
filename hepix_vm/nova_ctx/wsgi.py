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

"""The vendordata service for uWSGI and gunicorn: ``application``.

Whoever imports this starts the service, in this process.
"""

from collections.abc import Iterable
import os

from keystoneauth1 import exceptions
from keystoneauth1 import loading
from keystonemiddleware import opts as middleware
from oslo_config import cfg
from oslo_log import log as logging
from paste import deploy

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx.vendordata import App
from hepix_vm.nova_ctx.vendordata import Environ
from hepix_vm.nova_ctx.vendordata import send
from hepix_vm.nova_ctx.vendordata import StartResponse
from hepix_vm import opts
from hepix_vm import paths

PROJECT = 'hepix-vm'
GROUP = 'keystone_authtoken'


class Alive:
    """Says at the root that there is a service, to whom has no token.

    :param app: the service
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, environ: Environ,
                 start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        if environ.get('PATH_INFO', '') in ('', '/') and (
                environ['REQUEST_METHOD'] in ('GET', 'HEAD')):
            return send(start_response, 200, b'{}')
        return self._app(environ, start_response)


def load() -> App:
    """Set the process up and return the service.

    :raises ConfigError: it cannot work with its settings
    """
    conf = config.load()
    # What keystonemiddleware and oslo.log read.
    logging.register_options(cfg.CONF)
    own = paths.own_file()
    cfg.CONF([], project=PROJECT, default_config_dirs=[],
             default_config_files=[own] if os.path.exists(own) else [])
    logging.setup(cfg.CONF, PROJECT)
    check_authtoken(own)
    path = os.path.abspath(conf[opts.GROUP].vendordata_paste)
    try:
        return Alive(deploy.loadapp(f'config:{path}'))
    except (LookupError, OSError, SyntaxError) as error:
        raise ConfigError(f'This is no paste file with the service in it: '
                          f'{error}', path) from error


def check_authtoken(path: str) -> None:
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


application = load()
