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

"""What the tests of publishing publish, and where."""

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import io
import ipaddress
import os
import pathlib
import ssl
import subprocess
from typing import Any
from typing import ClassVar
from unittest import mock

from cryptography import x509
import yaml

from hepix_vm.cmd import sync
from hepix_vm import paths
from tests.testbed.glance import program
from tests.testbed import pki
from tests.testbed import serving
from tests.testbed.site import Site

LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
IMAGE = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
_LIMIT = 120  # seconds


def declared(data: bytes, **changes: Any) -> dict[str, Any]:
    """Return an image as the file declares it.

    :param changes: keys that differ, or with None are left out
    """
    image = {
        'uuid': IMAGE, 'title': 'Debian 12', 'version': '1.10',
        'uri': 'https://images.example.org/debian.raw', 'hypervisor': 'kvm',
        'format': 'RAW', 'arch': 'x86_64', 'os': 'Linux', 'osversion': '12',
        'osname': 'Debian', 'sha512': hashlib.sha512(data).hexdigest(),
        'size': len(data), **changes}
    return {key: value for key, value in image.items() if value is not None}


class Publisher:
    """Alice, who publishes from a site.

    :param folder: where her key, her file and the list are; made
    """

    def __init__(self, site: Site, folder: pathlib.Path) -> None:
        folder.mkdir()
        self.site = site
        self.folder = folder
        self.file = folder / 'publish.yaml'
        self.output = folder / 'image.list'
        self.certificate, self.key = site.alice.write(folder, 'alice')
        self.signer = ('--certificate', str(self.certificate),
                       '--key', str(self.key))

    def write(self, *images: Any, **changes: Any) -> None:
        """Write the file that says what is published."""
        keys = {
            'uuid': LIST, 'uri': 'https://lists.example.org/image.list',
            'title': 'Images of Example Site', 'vo': 'vo.example.org',
            'email': 'alice@example.org', 'images': list(images), **changes}
        self.file.write_text(yaml.safe_dump({
            key: value for key, value in keys.items() if value is not None}))

    @property
    def environment(self) -> dict[str, str]:
        """In which the command runs."""
        return {**os.environ, paths.ENVIRONMENT: str(self.site.config),
                'no_proxy': '127.0.0.1'}

    def command(self, *more: str, to: tuple[str, ...] = ()) -> list[str]:
        """Return the command.

        :param to: where to; by default the output
        """
        return [program('hepix-vm-sync'), 'publish', str(self.file),
                *(to or ('--output', str(self.output))), *more]

    def apart(self, *more: str, **options: Any,
              ) -> subprocess.CompletedProcess[str]:
        """Publish in a process of its own.

        :param options: as subprocess has them
        """
        done = subprocess.run(
            self.command(*more), capture_output=True, text=True,
            env=self.environment, timeout=_LIMIT,
            **{'stdin': subprocess.DEVNULL, **options})
        assert 'Traceback' not in done.stderr, done.stderr
        return done

    def run(self, *more: str, to: tuple[str, ...] = (),
            ) -> subprocess.CompletedProcess[str]:
        """Publish in this process, which is sooner done."""
        command = self.command(*more, to=to)
        with (contextlib.redirect_stdout(io.StringIO()) as out,
              contextlib.redirect_stderr(io.StringIO()) as err,
              mock.patch('sys.stdin', io.StringIO()),
              mock.patch.dict(os.environ, self.environment)):
            try:
                status = sync.main(command[1:])
            except SystemExit as error:  # argparse
                status = int(error.code or 0)
        assert 'Traceback' not in err.getvalue(), err.getvalue()
        return subprocess.CompletedProcess(
            command, status, out.getvalue(), err.getvalue())

    def publish(self, *more: str, to: tuple[str, ...] = ()) -> str:
        """Publish, and return what was said."""
        done = self.run(*self.signer, '--yes', *more, to=to)
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclasses.dataclass
class Server:
    """A web server by https that takes and gives lists.

    :param ca: path of its CA
    :param status: what it answers to each method, if not what it should
    :param asked: method, path and the header Authorization
    """

    url: str
    ca: str
    contents: dict[str, bytes]
    status: dict[str, int]
    asked: list[tuple[str, str, str]]


@contextlib.contextmanager
def https(folder: pathlib.Path, name: str = '127.0.0.1',
          ) -> Iterator[Server]:
    """Run such a server.

    :param name: for which its certificate is
    """
    authority = pki.Authority.create('/CN=CA of web servers')
    general: x509.GeneralName = (
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit()
        else x509.DNSName(name))
    certificate, key = authority.issue(
        f'/CN={name}', eku=('serverAuth',), extensions=[
            (x509.SubjectAlternativeName([general]), False)],
        key_usage=('digital_signature', 'key_encipherment'),
    ).write(folder, 'server')
    ca = folder / 'ca.pem'
    ca.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server('', str(ca), {}, {}, [])
    with serving.Served(serving.web(_Handler, server_state=server),
                        context) as served:
        server.url = f'https://127.0.0.1:{served.port}'
        yield server


class _Handler(serving.Quiet):
    server_state: ClassVar[Server]
    timeout = 30

    def do_GET(self) -> None:
        found = self.server_state.contents.get(self.path)
        self._answer(404 if found is None else 200, found or b'')

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers['Content-Length']))
        if 'PUT' not in self.server_state.status:
            self.server_state.contents[self.path] = data
        self._answer(201, b'')

    def _answer(self, status: int, body: bytes) -> None:
        state = self.server_state
        state.asked.append((self.command, self.path,
                            self.headers.get('Authorization', '')))
        status = state.status.get(self.command, status)
        self.send_response(status)
        if status in (301, 302, 307, 308):
            self.send_header('Location', f'{state.url}/elsewhere')
        # More than comes, where the path says so.
        self.send_header('Content-Length', str(
            len(body) + (self.path == '/cut')))
        self.end_headers()
        self.wfile.write(body)
