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

"""A web server on loopback, from which Glance downloads."""

from collections.abc import Callable
from collections.abc import Mapping
import http.server
import pathlib
import shutil
import threading
from typing import Any
from typing import ClassVar

# What is a function is made when it is asked for.
Content = bytes | pathlib.Path | Callable[[], bytes]


class WebServer:
    """Serves byte strings and files while its context is open.

    :param contents: what each path, such as ``/image.raw``, answers; it
        may be changed while the server runs
    """

    def __init__(self, contents: Mapping[str, Content] | None = None) -> None:
        self.contents: dict[str, Content] = dict(contents or {})
        handler = type('Handler', (_Handler,), {'contents': self.contents})
        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={'poll_interval': 0.05})

    @property
    def port(self) -> int:
        """The TCP port, known before the server is started."""
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        """The address of a path that begins with a slash."""
        return f'http://127.0.0.1:{self.port}{path}'

    def __enter__(self) -> 'WebServer':
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    contents: ClassVar[Mapping[str, Content]] = {}

    def do_GET(self) -> None:
        content = self.contents.get(self.path)
        if content is None:
            self.send_error(404)
            return
        if callable(content):
            content = content()
        if isinstance(content, bytes):
            self._head(len(content))
            self.wfile.write(content)
            return
        with content.open('rb') as source:
            self._head(content.stat().st_size)
            shutil.copyfileobj(source, self.wfile, 1024 * 1024)

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent: the tests' output is theirs."""

    def _head(self, size: int) -> None:
        self.send_response(200)
        self.send_header('Content-Type', 'application/octet-stream')
        self.send_header('Content-Length', str(size))
        self.end_headers()
