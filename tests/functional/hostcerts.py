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

"""A compute host that makes drives, and who signs its host certificates."""

from collections.abc import Callable
import contextlib
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
from typing import Any
from typing import ClassVar

from cryptography import x509
import yaml

from tests.testbed.contexts import ContextSite
from tests.testbed.contexts import write_tree
from tests.testbed import pki
from tests.testbed.serving import Quiet
from tests.testbed.serving import Served

UUID = '5f1c2f0e-6a3f-4c58-9a0e-6a8d1c8a0e11'
OTHER = '0b9a4a52-8a5f-4d0c-9d0e-3f2f3f6b7c22'
DOMAIN = 'vm.example.org'
NAME = f'{UUID}.{DOMAIN}'
HOSTILE = '$(id); `id`\n/CN=www.example.org'
LIMIT = 60  # seconds

Answer = Callable[[x509.CertificateSigningRequest], bytes]


class Host(ContextSite):
    """A compute host, with a CA of its site that signs by a command."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(folder)
        self.ca = pki.Authority.create('/O=Example Site/CN=Example Site CA')
        self.ca.write(folder, 'ca')
        self.drive = folder / 'disk.config'

    def write_settings(self, **settings: Any) -> None:
        """Write hepix-vm.conf, with these options beside ours."""
        super().write_settings(
            context_sources='directory,template,hostcert', **settings)

    def section(self, **keys: Any) -> None:
        """Write the section hostcert."""
        self.yaml.write_text(yaml.safe_dump(
            {'hostcert': {'domain': DOMAIN, **keys}}))

    def command(self, script: str, **keys: Any) -> pathlib.Path:
        """Let a script for the shell sign; it stands in the folder."""
        path = self.folder / 'sign'
        path.write_text(f'#!/bin/sh\ncd {self.folder} || exit\n{script}\n')
        path.chmod(0o755)
        self.section(command=[str(path)], **keys)
        return path

    def make(self, uuid: str = UUID, name: str = HOSTILE, ec2: str = '',
             addresses: tuple[str, ...] = (), **environment: str,
             ) -> subprocess.CompletedProcess[str]:
        """Make a drive, as Nova does."""
        staging = write_tree(
            self.folder / uuid, uuid=uuid, name=name,
            hostname='www.example.org', project_id='atlas',
            meta={'name': 'www.example.org'}, network_data={
                'links': [], 'services': [], 'networks': [
                    {'ip_address': address} for address in addresses]})
        path = staging / 'ec2' / 'latest' / 'meta-data.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({'local-ipv4': ec2 or None}))
        self.drive.unlink(missing_ok=True)
        return self.mkisofs(self.drive, staging, environment=environment)

    def made(self, **server: Any) -> None:
        """Make a drive of which nothing is said."""
        done = self.make(**server)
        assert (done.returncode, done.stdout, done.stderr) == (0, '', '')

    def refused(self, **server: Any) -> str:
        """Return the one line that says why there is no drive."""
        done = self.make(**server)
        assert (done.returncode, done.stdout) == (1, ''), done.stderr
        assert not self.drive.exists()
        line, = done.stderr.splitlines()
        assert 'PRIVATE' not in line
        # The journal has the same reason, and no key either.
        assert self.journal[-1]['event'] == 'context'
        assert self.journal[-1]['outcome'] == 'failed'
        assert 'PRIVATE' not in json.dumps(self.journal)
        return line

    def read(self, name: str) -> bytes:
        """Return a file of the drive."""
        return subprocess.run(
            ['isoinfo', '-R', '-i', self.drive, '-x', f'/context/{name}'],
            check=True, capture_output=True, timeout=LIMIT).stdout

    def extract(self, folder: pathlib.Path) -> pathlib.Path:
        """Return a copy of the drive, as a guest has it."""
        folder.mkdir()
        subprocess.run(['bsdtar', '-xpf', self.drive, '-C', folder],
                       check=True, timeout=LIMIT)
        return folder

    def sign(self, request: x509.CertificateSigningRequest,
             **changes: Any) -> bytes:
        """Return the certificate that is asked for, but for the changes.

        :param changes: as :func:`tests.testbed.pki.build` has them
        """
        now = pki.utcnow()
        wanted: dict[str, Any] = {
            'key': request.public_key(), 'not_after': now + 20 * pki.DAY,
            'eku': ('serverAuth', 'clientAuth'), 'extensions': [
                (extension.value, extension.critical)
                for extension in request.extensions]} | changes
        key = wanted.pop('key')
        return pki.pem(pki.build(
            wanted.pop('dn', request.subject), _Public(key),
            issuer=self.ca.certificate, issuer_key=self.ca.key, **wanted))


class _Public:
    """Half a key, for who signs without having the other half."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key


class Signer(Served):
    """A service on loopback that signs, by https with client certificates.

    :param answer: what it answers to a request
    """

    def __init__(self, host: Host, answer: Answer | None = None) -> None:
        self.host = host
        self.answer = answer or host.sign
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests: list[dict[str, str]] = []
        self.slowly: threading.Event | None = None
        ca = host.ca
        server, server_key = ca.issue(
            '/CN=localhost', eku=('serverAuth',), extensions=[
                (x509.SubjectAlternativeName([x509.DNSName('localhost')]),
                 False)]).write(host.folder, 'server')
        ca.issue('/CN=compute1', eku=('clientAuth',)).write(
            host.folder, 'client')
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=str(host.folder / 'ca.pem'))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(server, server_key)
        handler = type('Handler', (_Handler,), {'signer': self})
        server = _Server(('127.0.0.1', 0), handler)
        server.context = context
        super().__init__(server)

    def section(self, **changes: Any) -> None:
        """Write the section that asks this service."""
        folder = self.host.folder
        wanted = {'url': f'https://localhost:{self.port}/sign?a=1',
                  'ca_file': str(folder / 'ca.pem'),
                  'client_certificate': str(folder / 'client.pem'),
                  'client_key': str(folder / 'client.key')} | changes
        self.host.section(**{key: value for key, value in wanted.items()
                             if value is not None})

    def __exit__(self, *unused: object) -> None:
        if self.slowly:
            self.slowly.set()
        super().__exit__()


class _Server(http.server.ThreadingHTTPServer):
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the thread of the request: a client that says nothing keeps
        # nobody else waiting.
        with contextlib.suppress(OSError):
            with self.context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)


class _Handler(Quiet):
    signer: ClassVar[Signer]

    def do_POST(self) -> None:
        signer = self.signer
        data = self.rfile.read(int(self.headers['Content-Length']))
        signer.requests.append({**dict(self.headers), 'path': self.path,
                                'body': data.decode()})
        answer = signer.answer(x509.load_pem_x509_csr(data))
        self.send_response(signer.status)
        for name, value in signer.headers.items():
            self.send_header(name, value)
        if 'Transfer-Encoding' not in signer.headers:
            self.send_header('Content-Length', str(
                signer.headers.get('X-Length', len(answer))))
        self.end_headers()
        while signer.slowly and not signer.slowly.wait(0.1):
            self.wfile.write(b'\n')
            self.wfile.flush()
        self.wfile.write(answer)
