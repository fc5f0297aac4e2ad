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

"""A server on loopback that runs in a thread while its context is open."""

import contextlib
import http.server
import socketserver
import ssl
import threading
from typing import Any
from typing import Self


class Served:
    """What servers of the testbed have in common.

    :param server: bound to a free port
    :param context: of TLS; None speaks in the clear
    """

    def __init__(self, server: socketserver.BaseServer,
                 context: ssl.SSLContext | None = None) -> None:
        self._server = server
        if context:
            # The handshake is of the thread that serves the connection.
            server.socket = context.wrap_socket(
                server.socket, server_side=True,
                do_handshake_on_connect=False)
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={'poll_interval': 0.05})

    @property
    def port(self) -> int:
        """The port, known before the server is started."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers, and says nothing of it: the tests' output is theirs.

    That clients hang up, or do not trust it, is for them to say.
    """

    def handle(self) -> None:
        """Serve a connection."""
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""


def web(handler: type[Quiet], **known: Any) -> http.server.HTTPServer:
    """Return a web server on a free port.

    :param known: attributes of the handlers
    """
    return http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), type('Handler', (handler,), known))
