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

"""The files that a Glance of the testbed runs on.

Without a Keystone the paste pipeline has no ``authtoken``, so that Glance
believes the identity headers of whoever reaches the port. Test use only.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import pathlib
import sys

STORES = ('cheap', 'reliable')

_PASTE = """\
[composite:glance-api-testbed]
paste.composite_factory = glance.api:root_app_factory
/: api
/healthcheck: healthcheck

[composite:api]
paste.composite_factory = glance.api:pipeline_factory
testbed = {pipeline}

[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app

[app:apiversions]
paste.app_factory = glance.api.versions:create_resource

[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory

[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
oslo_config_project = glance
oslo_config_program = glance-api

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory

[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:\
VersionNegotiationFilter.factory

[filter:osprofiler]
paste.filter_factory = osprofiler.web:WsgiMiddleware.factory

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory

[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory

[filter:tokens]
paste.filter_factory = testbed_tokens:filter_factory

[filter:sqlite]
paste.filter_factory = testbed_sqlite:filter_factory

[filter:hepix_trust]
use = egg:hepix-vm#hepix_trust

[filter:hepix_trust_unchecked]
paste.filter_factory = testbed_unchecked:filter_factory
"""

# The filter without its preflight, for a Glance whose settings leave the
# gate open.
UNCHECKED = ('hepix_trust_unchecked',)

_BEFORE = ('cors', 'http_proxy_to_wsgi', 'versionnegotiation', 'osprofiler')
_AFTER = ('context', 'sqlite')

# As DevStack and Glance's guide run it behind Apache: http-socket, not
# uWSGI's HTTP router, which loses answers that precede the body.
_UWSGI = """\
[uwsgi]
http-socket = 127.0.0.1:{port}
module = glance.wsgi.api:application
virtualenv = {prefix}
processes = {workers}
threads = {threads}
enable-threads = true
master = true
die-on-term = true
lazy-apps = true
need-app = true
thunder-lock = true
buffer-size = 65535
socket-timeout = 30
chunked-input-limit = 16777216
worker-reload-mercy = 5
add-header = Connection: close
"""

_GUNICORN = """\
wsgi_app = 'glance.wsgi.api:application'
bind = '127.0.0.1:{port}'
worker_class = 'gthread'
workers = {workers}
threads = {threads}
timeout = 120
# Longer than anybody waits between two requests: a connection that is
# closed while the next one is on its way is an error for the client.
keepalive = 75
graceful_timeout = 10
control_socket_disable = True
"""

SERVERS = ('uwsgi', 'gunicorn')


@dataclasses.dataclass(frozen=True)
class Options:
    """What a Glance of the testbed may be asked to be.

    :param server: ``uwsgi`` or ``gunicorn``
    :param workers: processes
    :param threads: of each process
    :param filters: names of paste filters, put right before ``rootapp``;
        the sentinel comes with ``hepix_trust``
    :param paste_sections: text added to the paste file, for filters
        other than ``hepix_trust``
    :param import_plugins: ``[image_import_opts] image_import_plugins``
    :param property_protections: a property protections file
    :param policy: a policy file
    :param download_ports: loopback ports that web-download may fetch from
    :param hepix_config: the hepix-vm.conf, given as ``HEPIX_VM_CONFIG``
    :param authtoken: ``[keystone_authtoken]``; without it there is no
        Keystone
    :param environment: more environment variables of the server
    :param extra: more options, by section; they win over the testbed's
    """

    server: str = 'uwsgi'
    workers: int = 1
    threads: int = 8
    filters: tuple[str, ...] = ('hepix_trust',)
    paste_sections: str = ''
    import_plugins: tuple[str, ...] = ('hepix_trust',)
    property_protections: pathlib.Path | None = None
    policy: pathlib.Path | None = None
    download_ports: tuple[int, ...] = ()
    hepix_config: pathlib.Path | None = None
    authtoken: Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict)

    def __post_init__(self) -> None:
        if self.server not in SERVERS:
            raise ValueError(
                f'server is {self.server!r}, not one of {SERVERS}')


def write(folder: pathlib.Path, port: int, options: Options,
          database: str) -> None:
    """Write all configuration files of one Glance into its folder.

    :param database: its URL
    """
    etc = folder / 'etc'
    etc.mkdir(parents=True, exist_ok=True)
    (etc / 'glance-api.conf').write_text(
        _ini(_settings(folder, port, options, database)))
    identity = 'authtoken' if options.authtoken else 'tokens'
    pipeline = ' '.join((*_BEFORE, identity, *_AFTER, *options.filters,
                         'rootapp'))
    (etc / 'paste.ini').write_text(
        _PASTE.format(pipeline=pipeline) + options.paste_sections)
    if options.server == 'gunicorn':
        (etc / 'gunicorn.conf.py').write_text(_GUNICORN.format(
            port=port, workers=options.workers, threads=options.threads))
    else:
        (etc / 'uwsgi.ini').write_text(_UWSGI.format(
            port=port, prefix=sys.prefix,
            workers=options.workers, threads=options.threads))


def _settings(folder: pathlib.Path, port: int, options: Options,
              database: str) -> dict[str, dict[str, str]]:
    settings = _base(folder, port)
    # What a SIGKILL may lose is not what sqlite's fsync protects.
    settings['database'] = {
        'connection': database, 'sqlite_synchronous': 'false'}
    settings['image_import_opts'] = {
        'image_import_plugins': _bounded(options.import_plugins)}
    settings['import_filtering_opts'] = {
        'allowed_schemes': '[http]',
        'allowed_hosts': '[127.0.0.1]',
        'allowed_ports': _bounded(map(str, options.download_ports)),
    }
    if options.property_protections:
        settings['DEFAULT']['property_protection_file'] = str(
            options.property_protections)
        settings['DEFAULT']['property_protection_rule_format'] = 'roles'
    if options.authtoken:
        settings['keystone_authtoken'] = dict(options.authtoken)
    if options.policy:
        settings['oslo_policy'] = {'policy_file': str(options.policy)}
    if 'hepix_trust' in options.filters:
        settings['oslo_messaging_notifications'] = {'driver': 'hepix_trust'}
    for section, values in options.extra.items():
        settings.setdefault(section, {}).update(values)
    return settings


def _base(folder: pathlib.Path, port: int) -> dict[str, dict[str, str]]:
    settings = {
        'DEFAULT': {
            'enabled_backends': ','.join(f'{name}:file' for name in STORES),
            'enabled_import_methods':
                '[glance-direct,web-download,copy-image]',
            'worker_self_reference_url': f'http://127.0.0.1:{port}',
            'image_cache_dir': str(folder / 'cache'),
        },
        'glance_store': {'default_backend': STORES[0]},
        'paste_deploy': {
            'flavor': 'testbed',
            'config_file': str(folder / 'etc' / 'paste.ini'),
        },
        'oslo_concurrency': {'lock_path': str(folder / 'lock')},
        # Under uWSGI sys.executable is uwsgi itself.
        'wsgi': {'python_interpreter': sys.executable},
    }
    places = {name: f'stores/{name}' for name in STORES}
    places['os_glance_staging_store'] = 'staging'
    places['os_glance_tasks_store'] = 'tasks'
    for name, place in places.items():
        settings[name] = {'filesystem_store_datadir': str(folder / place)}
    return settings


def _bounded(values: Iterable[str]) -> str:
    return '[' + ','.join(values) + ']'


def _ini(settings: Mapping[str, Mapping[str, str]]) -> str:
    lines = []
    for section, values in settings.items():
        lines.append(f'[{section}]')
        lines.extend(f'{name} = {value}' for name, value in values.items())
        lines.append('')
    return '\n'.join(lines)
