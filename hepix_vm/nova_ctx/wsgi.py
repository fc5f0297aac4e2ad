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
import configparser
import os

from oslo_config import cfg
from oslo_log import log as logging
from paste import deploy

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx import authtoken
from hepix_vm.nova_ctx.vendordata import App
from hepix_vm.nova_ctx.vendordata import Environ
from hepix_vm.nova_ctx.vendordata import send
from hepix_vm.nova_ctx.vendordata import StartResponse
from hepix_vm import opts
from hepix_vm import paths

PROJECT = 'hepix-vm'


class Alive:
    """Says at the root that there is a service, to whom has no token.

    :param app: the service
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, environ: Environ,
                 start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        method = environ['REQUEST_METHOD']
        if environ.get('PATH_INFO', '') not in ('', '/') or (
                method not in ('GET', 'HEAD')):
            return self._app(environ, start_response)
        body = send(start_response, 200, b'{}')
        return body if method == 'GET' else ()


def load() -> App:
    """Set the process up and return the service.

    :raises ConfigError: it cannot work with its settings
    """
    conf = config.load()
    own = paths.own_file()
    authtoken.check(own)
    # What keystonemiddleware and oslo.log read.
    logging.register_options(cfg.CONF)
    # For auth_section = service_credentials.
    credentials.register(cfg.CONF)
    cfg.CONF([], project=PROJECT, default_config_dirs=[],
             default_config_files=[own] if os.path.exists(own) else [])
    logging.setup(cfg.CONF, PROJECT)
    path = os.path.abspath(conf[opts.GROUP].vendordata_paste)
    try:
        return Alive(deploy.loadapp(f'config:{path}'))
    except (LookupError, OSError, configparser.Error) as error:
        raise ConfigError(f'This is no paste file with the service in it: '
                          f'{error}', path) from error


application = load()
