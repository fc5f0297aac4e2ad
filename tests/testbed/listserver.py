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

"""A web server on loopback over real TLS, which may be told to misbehave."""

import base64
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import gzip
import hashlib
import pathlib
import socket
import ssl
import threading
import time
from typing import Any
from typing import ClassVar

import trustme

from tests.testbed import serving

_POLL = 0.05  # seconds between the bytes of a trickle


@dataclasses.dataclass
class Answer:
    """What a path answers.

    :param body: sent whole, with its length
    :param validated: whether it has an ETag, which a request may name
    :param token: ``user:password`` that is needed
    :param tail: sends what comes after the headers, in place of the body
    :param whole: sends all, in place of headers and body
    """

    body: bytes = b''
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    validated: bool = True
    token: str = ''
    tail: Callable[['Handler'], None] | None = None
    whole: Callable[['Handler'], None] | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked."""

    path: str
    headers: Mapping[str, str]


class ListServer(serving.Served):
    """Answers over https while its context is open.

    :param name: in its certificate; requests go to 127.0.0.1
    :param authority: signs the certificate
    :param tls: whether it speaks TLS at all
    """

    def __init__(self, name: str = '127.0.0.1',
                 authority: trustme.CA | None = None,
                 tls: bool = True) -> None:
        self.authority = authority or trustme.CA()
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.asked: list[Request] = []
        self.stopping = threading.Event()
        self._tls = tls
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert(name).configure_cert(context)
        super().__init__(serving.web(Handler, home=self), context)

    def url(self, path: str) -> str:
        """The address of a path that begins with a slash."""
        return f'http{"s" if self._tls else ""}://127.0.0.1:{self.port}{path}'

    def bundle(self, folder: pathlib.Path) -> str:
        """Write the certificate of its CA to a folder; return the path."""
        path = folder / f'listserver-{self.port}.pem'
        path.write_bytes(self.authority.cert_pem.bytes())
        return str(path)

    def serve(self, path: str, body: bytes, **more: Any) -> str:
        """Let a path answer some bytes; return its address."""
        self.answers[path] = Answer(body, **more)
        return self.url(path)

    def paths(self) -> list[str]:
        """What was asked for, in that order."""
        return [request.path for request in self.asked]

    def __exit__(self, *unused: object) -> None:
        self.stopping.set()
        super().__exit__()


class Handler(serving.Quiet):
    """Serves one connection."""

    home: ClassVar[ListServer]
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        self.home.asked.append(Request(self.path, dict(self.headers)))
        answer = self.home.answers.get(self.path, Answer(status=404))
        if isinstance(answer, list):
            # One after the other; the last stays.
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        etag = f'"{hashlib.sha256(answer.body).hexdigest()}"'
        needed = base64.b64encode(answer.token.encode()).decode()
        if answer.token and (
                self.headers.get('Authorization') != f'Basic {needed}'):
            return self._head(Answer(status=401))
        if answer.validated and self.headers.get('If-None-Match') == etag:
            return self._head(Answer(status=304))
        if answer.whole:
            return answer.whole(self)
        extra = {'ETag': etag} if answer.validated else {}
        self._head(answer, extra)
        if answer.tail:
            answer.tail(self)
        elif answer.status == 200:
            self.wfile.write(answer.body)

    def do_CONNECT(self) -> None:
        """Be a proxy: carry bytes to 127.0.0.1, wherever they were meant."""
        self.home.asked.append(Request(self.path, dict(self.headers)))
        port = int(self.path.rpartition(':')[2])
        with socket.create_connection(('127.0.0.1', port)) as target:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(
                target=_carry, args=(target, self.connection))
            back.start()
            _carry(self.connection, target)
            back.join()
        self.close_connection = True

    def _head(self, answer: Answer,
              more: Mapping[str, str] | None = None) -> None:
        self.send_response(answer.status)
        headers = {**(more or {}), **answer.headers}
        if answer.tail is None:
            headers.setdefault('Content-Length', str(
                len(answer.body) if answer.status == 200 else 0))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def alive(self) -> Iterator[None]:
        """Yield until the server is stopped or the other side has left."""
        while not self.home.stopping.is_set():
            yield


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(64 * 1024):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def endless(handler: Handler) -> None:
    """Send without end, as fast as it goes."""
    for _ in handler.alive():
        handler.wfile.write(bytes(64 * 1024))


def trickle(handler: Handler) -> None:
    """Send a byte now and then, without end."""
    for _ in handler.alive():
        handler.wfile.write(b'x')
        time.sleep(_POLL)


def silent(handler: Handler) -> None:
    """Send nothing, and keep the connection."""
    handler.home.stopping.wait()


def slow_headers(handler: Handler) -> None:
    """Send headers at a trickle, without end."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nX-Slow: ')
    trickle(handler)


def redirect(target: str, status: int = 302, **more: Any) -> Answer:
    """Return an answer that leads elsewhere."""
    return Answer(status=status, headers={'Location': target}, **more)


def truncated(body: bytes) -> Answer:
    """Return an answer that promises more than comes."""
    return Answer(body, headers={'Content-Length': str(len(body) + 1)})


def chunked(body: bytes, end: bytes = b'0\r\n\r\n') -> Answer:
    """Return an answer in chunks.

    :param end: what comes after the first
    """
    def write(handler: Handler) -> None:
        handler.wfile.write(b'%x\r\n%s\r\n' % (len(body), body) + end)

    return Answer(body, headers={'Transfer-Encoding': 'chunked'}, tail=write)


def bomb(size: int) -> Answer:
    """Return an answer that is small until it is unpacked.

    :param size: bytes that it becomes
    """
    return Answer(gzip.compress(bytes(size)),
                  headers={'Content-Encoding': 'gzip'})
