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
import pathlib
import shutil
from typing import ClassVar

from tests.testbed import serving

# What is a function is made when it is asked for.
Content = bytes | pathlib.Path | Callable[[], bytes]


class WebServer(serving.Served):
    """Serves byte strings and files while its context is open.

    :param contents: what each path, such as ``/image.raw``, answers; it
        may be changed while the server runs. :attr:`asked` has the paths
        that were asked for
    """

    def __init__(self, contents: Mapping[str, Content] | None = None) -> None:
        self.contents: dict[str, Content] = dict(contents or {})
        self.asked: list[str] = []
        super().__init__(serving.web(
            _Handler, contents=self.contents, asked=self.asked))

    def url(self, path: str) -> str:
        """The address of a path that begins with a slash."""
        return f'http://127.0.0.1:{self.port}{path}'


class _Handler(serving.Quiet):
    contents: ClassVar[Mapping[str, Content]]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
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

    def _head(self, size: int) -> None:
        self.send_response(200)
        self.send_header('Content-Type', 'application/octet-stream')
        self.send_header('Content-Length', str(size))
        self.end_headers()
