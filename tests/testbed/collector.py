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

"""A collector of lines on loopback: by TCP, TLS and UDP, as syslog has it."""

from collections.abc import Callable
import pathlib
import socketserver
import ssl
from typing import Any
from typing import ClassVar

from tests.testbed.serving import Served


class Collector(Served):
    """Keeps the lines that are sent to it while its context is open.

    :param protocol: ``tcp``, ``tls`` or ``udp``
    :param certificate: for ``tls``: certificate and key, in PEM
    :param heard: is called for every line, in threads of the collector
    """

    def __init__(self, protocol: str = 'tcp',
                 certificate: tuple[pathlib.Path, pathlib.Path] | None = None,
                 heard: Callable[[str], object] = str) -> None:
        self.lines: list[str] = []
        self._heard = heard
        kind, base = (
            (socketserver.ThreadingUDPServer, _Datagram) if protocol == 'udp'
            else (socketserver.ThreadingTCPServer, _Stream))
        handler = type('Handler', (base,), {'hear': self._hear})
        server = kind(('127.0.0.1', 0), handler)
        server.daemon_threads = True
        # Who is still connected when all is over is not waited for.
        server.block_on_close = False
        context = None
        if protocol == 'tls':
            assert certificate
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        super().__init__(server, context)

    def _hear(self, line: bytes) -> None:
        text = line.decode().rstrip('\n')
        self.lines.append(text)
        self._heard(text)


class _Stream(socketserver.StreamRequestHandler):
    hear: ClassVar[Callable[[bytes], None]]

    def handle(self) -> None:
        try:
            for line in self.rfile:
                self.hear(line)
        except OSError:
            pass  # It went away; what it had said is known.


class _Datagram(socketserver.BaseRequestHandler):
    request: tuple[bytes, Any]
    hear: ClassVar[Callable[[bytes], None]]

    def handle(self) -> None:
        self.hear(self.request[0])
