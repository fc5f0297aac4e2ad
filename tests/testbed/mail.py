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

"""A mail server on loopback that keeps what it gets."""

from collections.abc import Iterator
import contextlib
import dataclasses
from email.message import EmailMessage
from email import message_from_bytes
from email import policy
import pathlib
import ssl
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from aiosmtpd.smtp import LoginPassword
from cryptography import x509

from tests.testbed.glance import free_port
from tests.testbed import pki

USER, PASSWORD = 'hepix', 'correct horse'


@dataclasses.dataclass
class Received:
    """A message as the server got it.

    :param encrypted: whether the connection was
    """

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool


class MailServer:
    """What the server got, and how it answers.

    :param answers: to a recipient, in place of taking him
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.received: list[Received] = []
        self.answers: dict[str, str] = {}
        self.data_answer = ''
        self.connections = 0

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any,
                          hostname: str, responses: list[str],
                          ) -> list[str]:
        """Count who comes."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any,
                          address: str, options: Any) -> str:
        """Take a recipient, or answer what the test says."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server: Any, session: Any,
                          envelope: Any) -> str:
        """Keep a message."""
        if self.data_answer:
            return self.data_answer
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(Received(
            envelope.mail_from, envelope.rcpt_tos, message,
            session.ssl is not None
            or server.transport.get_extra_info('sslcontext') is not None))
        return '250 OK'


def certificate(folder: pathlib.Path, name: str = 'localhost') -> (
        tuple[ssl.SSLContext, pathlib.Path]):
    """Return a server's context, and the file of the CA that issued it."""
    authority = pki.Authority.create('/C=EU/O=Example Grid/CN=Web CA')
    paths = authority.issue(
        f'/CN={name}', eku=('serverAuth',),
        key_usage=('digital_signature', 'key_encipherment'),
        extensions=[(x509.SubjectAlternativeName([x509.DNSName(name)]),
                     False)]).write(folder, 'mail')
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    bundle = folder / 'web-ca.pem'
    bundle.write_bytes(authority.pem)
    return context, bundle


@contextlib.contextmanager
def mail_server(starttls: ssl.SSLContext | None = None,
                tls: ssl.SSLContext | None = None,
                auth: bool = False) -> Iterator[MailServer]:
    """Serve mail on loopback.

    :param starttls: encrypts on request, and refuses what is in the clear
    :param tls: encrypts from the beginning
    :param auth: whether who sends must log in
    """
    server = MailServer()
    controller = Controller(
        server, hostname='127.0.0.1', port=server.port, ssl_context=tls,
        tls_context=starttls, require_starttls=starttls is not None,
        auth_required=auth, auth_require_tls=starttls is not None,
        authenticator=_authenticate)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str,
                  given: Any) -> AuthResult:
    right = isinstance(given, LoginPassword) and (
        given.login, given.password) == (USER.encode(), PASSWORD.encode())
    # It says more than it should, as servers do.
    return AuthResult(success=right, handled=right, message=None if right
                      else f'535 {given.password!r} is wrong')
