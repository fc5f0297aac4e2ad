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

"""Whether the vendordata service can answer, and answers Nova."""

from collections.abc import Callable
from collections.abc import Mapping
import os
from typing import Any
import urllib.parse
import uuid

from keystoneauth1.adapter import Adapter
from keystoneauth1 import exceptions
from keystoneauth1 import loading
from keystoneauth1.session import Session
from oslo_config import cfg

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import account
from hepix_vm.exchange.rest import cause_of
from hepix_vm.exchange.rest import Rest
from hepix_vm import findings
from hepix_vm.findings import Finding
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx import authtoken
from hepix_vm.nova_ctx import vendor
from hepix_vm.nova_ctx import vendordata
from hepix_vm import opts
from hepix_vm.pastefile import misplaced
from hepix_vm.pastefile import Ways
from hepix_vm import paths
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import file

_AUTH = 'vendordata_dynamic_auth'
_NO_ANSWER = 'The vendordata service answers nobody'
_NO_SERVER = ('No server can be started, nor told of itself by the metadata '
              'service ([api] vendordata_dynamic_failure_fatal),')
_TIMEOUT = 10  # seconds
_SEEN = 400  # to a question that is none, if one may ask
_REMEDIES = {
    0: f'Look whether it runs, and whether [{_AUTH}] and [api] '
       f'vendordata_dynamic_ssl_certfile of nova.conf are right.',
    401: f'Look whether [{_AUTH}] of nova.conf and [keystone_authtoken] of '
         f'vendordata.conf name the same Keystone.',
    403: f'Give the account of [{_AUTH}] of nova.conf one of the roles of '
         f'[hepix_vm] vendordata_roles.',
    404: 'Name /hepix_vm and /cloud-init in [api] '
         'vendordata_dynamic_targets of nova.conf.',
    -1: 'Look into the log of the vendordata service.'}


def check() -> list[Finding]:
    """Return what is found of the service on this host.

    :raises ConfigError: its settings cannot be read
    """
    return findings.look(_CHECKS, config.load())


def _check_authtoken(conf: cfg.ConfigOpts) -> Found:
    """Whether keystonemiddleware can ask Keystone about tokens."""
    try:
        authtoken.check(paths.own_file())
        _try_token(conf)
    except HepixVmError as error:
        yield account.until_mended(error, _NO_ANSWER)


def _try_token(conf: cfg.ConfigOpts) -> None:
    """Have keystonemiddleware ask about our own token.

    :raises ConfigError: it learns nothing of it
    """
    from keystonemiddleware import auth_token

    path = paths.own_file()
    try:
        ours = credentials.adapter(
            conf, credentials.IDENTITY, _TIMEOUT).get_token()
    except (ConfigError, exceptions.ClientException):
        ours = None  # _check_account says it.
    settings = cfg.ConfigOpts()
    credentials.register(settings)  # for auth_section
    settings([], project='hepix-vm', default_config_files=[path],
             default_config_dirs=[])
    group = f'[{authtoken.GROUP}]'
    try:
        middleware = auth_token.filter_factory(
            {}, oslo_config_config=settings, http_request_max_retries='0',
            http_connect_timeout=str(_TIMEOUT))(None)
        middleware._identity_server.verify_token(ours or uuid.uuid4().hex)
    except auth_token.InvalidToken as error:
        if ours:
            raise ConfigError(
                f'The Keystone of {group} does not know the token of '
                f'[{credentials.GROUP}].', path,
                remedy='Name the same Keystone in both.') from error
    except exceptions.EndpointNotFound as error:
        raise ConfigError(
            f'{group}: {cause_of(error)}.', path, remedy='Set interface = '
            'public in it, or interface and region_name as the catalogue of '
            'Keystone has them.') from error
    except Exception as error:
        # Its own words are fewer than those of what it met.
        cause: Any = (isinstance(error, auth_token.ServiceError)
                      and error.__context__) or error
        raise ConfigError(
            f'Keystone cannot be asked with {group}: '
            f'{cause_of(cause).rstrip(".")}.', path,
            remedy='Look whether Keystone runs, and whether auth_url and the '
                   'account of the group are right.') from error


def _check_pipeline(conf: cfg.ConfigOpts) -> Found:
    """Whether nobody is answered whose token was not checked."""
    from keystonemiddleware import auth_token

    path = os.path.abspath(conf[opts.GROUP].vendordata_paste)
    try:
        chains = Ways(vendordata.app_factory, {}, ()).chains(path, 'main')
    except Exception as error:
        yield Severity.FAILURE, (
            f'{_NO_ANSWER}: {path} ([hepix_vm] vendordata_paste) cannot be '
            f'loaded: {error}. Install vendordata-paste.ini of hepix-vm '
            f'there.')
        return
    wrong = misplaced(chains, auth_token.filter_factory, 'authtoken',
                      'the vendordata service')
    if wrong:
        yield Severity.FAILURE, (
            f'{_NO_ANSWER}: in the pipeline of {path} {wrong} Set pipeline '
            f'= authtoken hepix_vendordata.')


def _check_account(conf: cfg.ConfigOpts) -> Found:
    """Whether Glance tells the service of every image."""
    yield from account.check(conf, _NO_ANSWER, ledger=False)


def _check_context(conf: cfg.ConfigOpts) -> Found:
    """Whether the site's files can be used."""
    try:
        compiler.compile_context(conf)
    except HepixVmError as error:
        yield account.until_mended(error, _NO_ANSWER)


def _check_rights(conf: cfg.ConfigOpts) -> Found:
    """Whether only their owners write the files, and read the password."""
    path = conf[opts.GROUP].context_file
    yield from findings.check_rights({
        paths.own_file(): 'the file of the settings',
        conf[opts.GROUP].vendordata_paste: '[hepix_vm] vendordata_paste',
        path: '[hepix_vm] context_file',
        os.path.join(os.path.dirname(path), file.FOLDER): 'the scripts'})
    yield from findings.check_secret(paths.own_file())


_CHECKS: Mapping[str, Callable[[cfg.ConfigOpts], Found]] = {
    'Tokens are checked': _check_authtoken,
    'Filter in the pipeline': _check_pipeline,
    'Account of hepix-vm': _check_account,
    'Context of the site': _check_context,
    'Rights on files': _check_rights,
}


def check_answers(nova: cfg.ConfigOpts) -> Found:
    """Whether the service answers Nova's account.

    A question that is none shows it, and no server is needed for it.
    """
    if 'DynamicJSON' not in nova.api.vendordata_providers or not (
            nova[_AUTH].auth_type):
        return  # check_vendordata says it.
    try:
        session = loading.load_session_from_conf_options(
            nova, _AUTH, auth=loading.load_auth_from_conf_options(
                nova, _AUTH))
    except exceptions.AuthPluginException as error:
        yield Severity.FAILURE, f'[{_AUTH}] of nova.conf: {error}'
        return
    for target in nova.api.vendordata_dynamic_targets:
        name, _, url = target.partition('@')
        if name in vendor.TARGETS:
            yield from _answer(session, nova, url)


def _answer(session: Session, nova: cfg.ConfigOpts, url: str) -> Found:
    """Ask one target, as Nova does."""
    base = urllib.parse.urljoin(url, '/')
    service = Rest(
        Adapter(session, endpoint_override=base, raise_exc=False),
        f'The vendordata service at {base}', _REMEDIES)
    try:
        service.request(
            'POST', urllib.parse.urlsplit(url).path, (_SEEN,), json={},
            verify=nova.api.vendordata_dynamic_ssl_certfile or True,
            timeout=nova.api.vendordata_dynamic_read_timeout)
    except ServiceError as error:
        if nova.api.vendordata_dynamic_failure_fatal:
            yield account.until_mended(error, _NO_SERVER)
        else:
            yield (Severity.FAILURE if error.status else Severity.WARNING), (
                f'{error.message} {error.remedy}')
