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

"""The vendordata service, which Nova's DynamicJSON asks (WSGI).

It stands behind keystonemiddleware. ``POST /hepix_vm`` says what is known
of a server's image, with prolog and epilog as scripts; ``POST /cloud-init``
has the same scripts as cloud-init runs them.
"""

from collections.abc import Callable
from collections.abc import Iterable
import http
import json
import re
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import config
from hepix_vm.errors import HepixVmError
from hepix_vm.nova_ctx import vendor
from hepix_vm.nova_ctx.vendor import Problem
from hepix_vm.nova_ctx.vendor import Vendor
from hepix_vm import opts

LOG = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

# Nova sends the user data, at most 64 KiB in base64, and the metadata.
MAX_BODY = 1024 * 1024  # bytes

_LENGTH = re.compile('[0-9]{1,9}')


class Refusal(Exception):
    """An answer that is none.

    :param status: of HTTP
    :param remedy: what to do about it
    """

    def __init__(self, status: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.remedy = remedy


def app_factory(global_conf: dict[str, str], **local_conf: str) -> App:
    """Return the service, as PasteDeploy asks for it.

    :raises ConfigError: it cannot work with its settings
    """
    del global_conf, local_conf  # hepix-vm.conf has all settings
    return Vendordata(config.load())


class Vendordata:
    """Answers whom Keystone knows to have one of the roles.

    :param conf: as :func:`hepix_vm.config.load` returns it
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._roles = {
            role.lower() for role in conf[opts.GROUP].vendordata_roles}
        self._vendor = Vendor(conf)

    def __call__(self, environ: Environ,
                 start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        try:
            status, data = 200, self._answer(environ)
        except Refusal as refusal:
            status, data = refusal.status, _said(
                refusal.message, refusal.remedy)
        except HepixVmError as error:
            LOG.error('No answer: %s %s', error.message, error.remedy)
            status, data = 503, _said(error.message, error.remedy)
        except Exception as error:
            # Its text and its values may be secret; where it was is not.
            LOG.error('No answer: %s at %s', type(error).__name__,
                      _place(error))
            status, data = 500, _said(
                'The answer cannot be made.', 'Look into the log of the '
                'vendordata service.')
        return send(start_response, status, data)

    def _answer(self, environ: Environ) -> bytes:
        target = environ.get('PATH_INFO', '').strip('/')
        self._check_caller(environ)
        if target not in vendor.TARGETS:
            raise Refusal(404, 'There is no such target.', (
                f'Ask for one of {", ".join(vendor.TARGETS)}.'))
        if environ['REQUEST_METHOD'] != 'POST':
            raise Refusal(405, 'Targets are asked by POST.',
                          'Let Nova ask: [api] vendordata_dynamic_targets.')
        try:
            return self._vendor.answer(
                target, vendor.question(_body(environ)))
        except Problem as problem:
            raise Refusal(400, str(problem),
                          'Ask as Nova 34 does (DynamicJSON).') from None

    def _check_caller(self, environ: Environ) -> None:
        """Let those pass who have one of the roles.

        :raises Refusal: this is somebody else
        """
        # Not the headers: without keystonemiddleware in the pipeline
        # everybody could send them.
        auth = environ.get('keystone.token_auth')
        if auth is None or not auth.has_user_token:
            raise Refusal(401, 'Nobody knows who asks.', (
                'Put authtoken before hepix_vendordata in the pipeline of '
                'vendordata-paste.ini, and give Nova an account in '
                '[vendordata_dynamic_auth].'))
        if self._roles.isdisjoint(
                role.lower() for role in auth.user.role_names):
            raise Refusal(403, 'The account that asks has none of the roles '
                          'that may.', f'Give it one of '
                          f'{", ".join(sorted(self._roles))}, or set '
                          f'[hepix_vm] vendordata_roles.')


def send(start_response: StartResponse, status: int,
         data: bytes) -> Iterable[bytes]:
    """Answer with a JSON document."""
    start_response(f'{status} {http.HTTPStatus(status).phrase}', [
        ('Content-Type', 'application/json'),
        ('Content-Length', str(len(data)))])
    return [data]


def _body(environ: Environ) -> bytes:
    """Return the body of a request.

    :raises Problem: it is too long, or its length is not known
    """
    length = environ.get('CONTENT_LENGTH') or ''
    if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY:
        raise Problem(f'The Content-Length is missing, or above {MAX_BODY}.')
    try:
        data: bytes = environ['wsgi.input'].read(int(length))
    except OSError:
        raise Problem('The body ended early.') from None
    return data


def _said(message: str, remedy: str) -> bytes:
    return json.dumps(
        {'error': {'message': message, 'remedy': remedy}}).encode()


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (f'{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}'
            if trace else 'an unknown place')
