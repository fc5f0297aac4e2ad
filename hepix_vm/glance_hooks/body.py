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

"""The body of an upload: where it comes from, and hashing as it passes."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import hashlib
import importlib
import io
import re
import string
import time
from typing import Any

from oslo_log import log as logging
import webob.exc

from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
_LENGTH = re.compile('[0-9]{1,18}')
_PART = 65536  # bytes
# As long a proxy may go on with an upload that is refused already.
_PATIENCE = 300  # seconds
# What proxies add; Apache's mod_proxy, and HAProxy in most clouds, the first.
_PROXY = frozenset(('HTTP_X_FORWARDED_FOR', 'HTTP_FORWARDED', 'HTTP_VIA'))

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A request's body.

    :param read: returns so many bytes, none at the end
    :param length: number of bytes as the client announced it; None when
        it comes in chunks
    """

    read: Callable[[int], bytes]
    length: int | None


def source_of(environ: Environ) -> Source:
    """Return the body of a request.

    :raises webob.exc.HTTPBadRequest: its length cannot be told
    """
    encoding = environ.get('HTTP_TRANSFER_ENCODING', '').strip().lower()
    read = environ['wsgi.input'].read
    if encoding == 'chunked':
        return Source(_uwsgi_chunks() or read, None)
    length = environ.get('CONTENT_LENGTH') or '0'
    if encoding or not _LENGTH.fullmatch(length):
        raise webob.exc.HTTPBadRequest(
            explanation='An upload needs a Content-Length, or the '
                        'Transfer-Encoding chunked.')
    return Source(read, int(length))


def replace(environ: Environ, data: bytes) -> None:
    """Put another body into a request, or one that was read already."""
    environ['wsgi.input'] = io.BytesIO(data)
    environ['CONTENT_LENGTH'] = str(len(data))
    environ.pop('HTTP_TRANSFER_ENCODING', None)


def lingering(answer: App, source: Source | None = None) -> App:
    """Let a proxy send the rest of a body after it was answered.

    Who still sends when a server closes is reset, and may lose the answer. A
    client notices the answer before, and is spared the rest; proxies such as
    Apache's do not look before all is sent, and say 502 then.

    :param answer: the refusal
    :param source: the body, if something else is in its place by now
    """
    def app(environ: Environ,
            start_response: StartResponse) -> Iterable[bytes]:
        parts = answer(environ, start_response)
        # A client that waits to be told to send is not told so.
        if environ.get('HTTP_EXPECT') or not _PROXY.intersection(environ):
            return parts
        return _Lingering(parts, environ, source)
    return app


class _Lingering:
    # The server calls close() when all is sent (PEP 3333).
    def __init__(self, parts: Iterable[bytes], environ: Environ,
                 source: Source | None) -> None:
        self._parts, self._environ, self._source = parts, environ, source

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        getattr(self._parts, 'close', lambda: None)()
        end = time.monotonic() + _PATIENCE
        try:
            read = (self._source or source_of(self._environ)).read
            while read(_PART) and time.monotonic() < end:
                pass
        except (OSError, webob.exc.HTTPException):
            LOG.debug('The rest of a body cannot be read', exc_info=True)


def _uwsgi_chunks() -> Callable[[int], bytes] | None:
    """Return how chunks are read under uWSGI, or None elsewhere.

    uWSGI does not put them into wsgi.input, and Glance knows: it asks
    uWSGI itself and would pass by whatever stands in wsgi.input.
    """
    try:
        uwsgi = importlib.import_module('uwsgi')
    except ImportError:
        return None
    kept = bytearray()

    def read(size: int) -> bytes:
        while size < 0 or len(kept) < size:
            chunk = uwsgi.chunked_read()
            if not chunk:
                break
            kept.extend(chunk)
        end = len(kept) if size < 0 else size
        data = bytes(kept[:end])
        del kept[:end]
        return data

    return read


class Refused(webob.exc.HTTPUnprocessableEntity):
    """What Glance, and its users, take for a clean refusal."""

    # WebOb's own puts line breaks of HTML around it, in JSON as well.
    body_template_obj = string.Template('${explanation}')


def refuse(verdict: Verdict | None) -> None:
    """Go on only if the verdict is none, or no refusal.

    :raises Refused: the verdict is a refusal
    """
    if verdict is not None and not verdict.allowed:
        raise Refused(explanation=verdict.explain())


class HashingReader:
    """The body as Glance reads it: hashed, and judged with its last byte.

    :param source: the body
    :param case: who judges
    :param check: raises if something disturbed the upload; asked before
        the bytes are judged
    """

    def __init__(self, source: Source, case: Case,
                 check: Callable[[], None]) -> None:
        self._source = source
        self._case = case
        self._check = check
        self._hash = hashlib.sha512()
        self._count = 0
        self.verdict: Verdict | None = None

    def install(self, environ: Environ) -> None:
        """Stand in for the body of the request."""
        environ['wsgi.input'] = self
        if self._source.length is None:
            # What comes out here has no chunks any more.
            environ['wsgi.input_terminated'] = True
            environ.pop('HTTP_TRANSFER_ENCODING', None)
            environ.pop('CONTENT_LENGTH', None)
        elif self._source.length == 0:
            # Glance never reads it: this is the only moment to judge.
            self._finish()

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes.

        :raises Refused: with the last byte, if
            the bytes are refused
        """
        refuse(self.verdict)
        if size == 0 or self.verdict:
            return b''
        data = self._source.read(size)
        self._hash.update(data)
        self._count += len(data)
        limit = self._case.size_limit
        if limit is not None and self._count > limit:
            self.verdict = self._case.refuse(Reason(
                Code.SIZE_MISMATCH, f'More data came than the {limit} bytes '
                f'that were endorsed.'))
            refuse(self.verdict)
        if not data or self._count == self._source.length:
            self._finish()
        return data

    def _finish(self) -> None:
        length = self._source.length
        if length is not None and self._count < length:
            self.verdict = self._case.refuse(Reason(
                Code.SIZE_MISMATCH, f'The upload ended after {self._count} '
                f'of {length} bytes.'))
        else:
            self._check()
            self.verdict = self._case.judge(
                self._hash.hexdigest(), self._count)
        refuse(self.verdict)
