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

"""Fetching lists, and images, from wherever their publishers keep them.

Of who answers nothing is believed but what his certificate says, and of
what goes wrong nothing is repeated but where and why: addresses are shown
without passwords and queries, and what a library says of them not at all.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import http
import math
import os
import stat
import time
from typing import TypeVar
import urllib.parse
import urllib.request

import requests

from hepix_vm import deadline
from hepix_vm.errors import Code
from hepix_vm.errors import FetchError
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import transport
from hepix_vm.subscriptions import Following

_Value = TypeVar('_Value')

_AT_ONCE = 64 * 1024  # bytes
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({
    http.HTTPStatus.MOVED_PERMANENTLY, http.HTTPStatus.FOUND,
    http.HTTPStatus.SEE_OTHER, http.HTTPStatus.TEMPORARY_REDIRECT,
    http.HTTPStatus.PERMANENT_REDIRECT})
# Seconds: before the second attempt; then twice as long each time.
_PAUSE = 0.5
# That a server may ask us to wait, at most.
_LONGEST_PAUSE = 30.0
# Of a stream, after the first minute: bytes a second.
_SLOWEST = 1024
_FIRST = 60.0
_LONGEST_VALIDATOR = 1024  # characters


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What fetching a list may take.

    :param seconds: in all, with all attempts
    :param retries: attempts after the first
    :param max_bytes: longest list
    """

    seconds: float
    retries: int
    max_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Validators:
    """By what a server knows whether we have what it has (RFC 9110, 13).

    :param modified: ``Last-Modified``, as it was received
    """

    etag: str = ''
    modified: str = ''

    def headers(self) -> dict[str, str]:
        """Return what asks for something newer only."""
        asked = {'If-None-Match': self.etag,
                 'If-Modified-Since': self.modified}
        return {name: value for name, value in asked.items() if value}


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """What came.

    :param content: None if it is what we have
    """

    content: bytes | None
    validators: Validators = Validators()


class Fetcher:
    """Fetches one list, and the images in it.

    :param following: of subscriptions.yaml: where it is, and how its server
        is verified
    :param trust_anchors: folder of the CAs of the grid
    """

    def __init__(self, following: Following, trust_anchors: str,
                 limits: Limits) -> None:
        self._following = following
        self._trust_anchors = trust_anchors
        self._limits = limits

    def get(self, validators: Validators = Validators()) -> Fetched:
        """Return the list.

        :param validators: of the one that we have, if there is one
        :raises FetchError: it does not come, or not in time
        :raises TrustError: what comes is too long, or compressed
        """
        url = self._following.url
        if url.startswith('file:'):
            return self._in_time(url, lambda end: Fetched(self._file(url)))

        def once(end: float) -> Fetched:
            with contextlib.closing(
                    self._open(url, validators.headers())) as response:
                if response.status_code == http.HTTPStatus.NOT_MODIFIED:
                    return Fetched(None, validators)
                return Fetched(
                    b''.join(self._limited(response, end)),
                    Validators(_header(response, 'ETag'),
                               _header(response, 'Last-Modified')))

        return self._in_time(url, once)

    @contextlib.contextmanager
    def stream(self, url: str,
               seconds: float = math.inf) -> Iterator[Iterator[bytes]]:
        """Open what a list names, such as an image, and yield its bytes.

        Their number and digest are the caller's to check. It must not come
        at a trickle.

        :param url: ``https://`` or ``http://``
        :param seconds: in which it has to come
        :raises FetchError: it does not come, or breaks off
        :raises TrustError: it comes compressed
        """
        if url.partition(':')[0].lower() not in ('https', 'http'):
            raise FetchError(f'{transport.shown(url)} is not an address from '
                             f'which images are fetched.', transport.ADDRESS)
        response = self._in_time(url, lambda end: self._open(url, {}))
        with contextlib.closing(response):
            yield self._flow(response, seconds)

    def _in_time(self, url: str,
                 attempt: Callable[[float], _Value]) -> _Value:
        """Return what one of several attempts returns.

        :param attempt: takes the time until which it may take, as the
            monotonic clock has it
        """
        seconds = self._limits.seconds
        try:
            return deadline.within(seconds, lambda: self._again_and_again(
                attempt, time.monotonic() + seconds))
        except TimeoutError:
            raise FetchError(
                f'{transport.shown(url)} was not fetched within {seconds:g} '
                f'seconds.', 'Look at the server and the network; the '
                'option fetch_timeout allows more.') from None

    def _again_and_again(self, attempt: Callable[[float], _Value],
                         end: float) -> _Value:
        pause = _PAUSE
        for left in range(self._limits.retries, -1, -1):
            try:
                return attempt(end)
            except transport.PassingError as error:
                wait = max(pause, error.pause)
                if not left or time.monotonic() + wait >= end:
                    raise
                time.sleep(wait)
            pause *= 2
        raise AssertionError('the last attempt returns or raises')

    def _open(self, url: str,
              headers: Mapping[str, str]) -> requests.Response:
        """Return an answer that is no redirect and no error."""
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(url, headers)
            if response.status_code not in _REDIRECTS:
                break
            response.close()
            url = _target(url, response)
        else:
            raise FetchError(
                f'{transport.shown(self._following.url)} redirects more '
                f'than {_MOST_REDIRECTS} times.', transport.ADDRESS)
        try:
            _check(url, response, bool(headers))
        except BaseException:
            response.close()
            raise
        return response

    def _send(self, url: str,
              headers: Mapping[str, str]) -> requests.Response:
        following = self._following
        # Its own session would read .netrc, and the body of a redirect to
        # its end.
        silence = min(transport.SILENCE, self._limits.seconds)
        with transport.translated(url):
            request = transport.request(
                'GET', url, {**transport.HEADERS, **headers})
            # Operators named this one; the others, who publishes.
            ours = transport.origin(url) == transport.origin(following.url)
            adapter = transport.adapter(
                following.ca_bundle, self._trust_anchors,
                internal=ours or following.internal)
            if ours:
                request.prepare_auth(self._credentials())
            return adapter.send(
                request, stream=True, timeout=(silence, silence),
                proxies=requests.utils.get_environ_proxies(url))

    def _credentials(self) -> tuple[bytes, bytes] | None:
        following = self._following
        token = following.token
        if following.token_file:
            token = transport.secret(following.token_file)
        user, _, password = token.partition(':')
        return (user.encode(), password.encode()) if token else None

    def _limited(self, response: requests.Response,
                 end: float) -> Iterator[bytes]:
        """Yield the body; who waits for it may have given up meanwhile."""
        size = 0
        for piece in _pieces(response):
            size += len(piece)
            if size > self._limits.max_bytes:
                raise _too_large(self._following.url,
                                 self._limits.max_bytes)
            if time.monotonic() > end:
                raise TimeoutError
            yield piece

    def _flow(self, response: requests.Response,
              limit: float) -> Iterator[bytes]:
        begin = time.monotonic()
        size = 0
        pieces = _pieces(response)
        slow = FetchError(
            f'{transport.shown(response.url or "")} comes with less than '
            f'{_SLOWEST} bytes a second.', transport.ADDRESS)
        try:
            # Behind the last byte there may be headers without end.
            while piece := deadline.within(
                    _FIRST, lambda: next(pieces, b'')):
                size += len(piece)
                seconds = time.monotonic() - begin
                if seconds > _FIRST and size < seconds * _SLOWEST:
                    raise slow
                if seconds > limit:
                    raise FetchError(
                        f'{transport.shown(response.url or "")} did not come '
                        f'within {limit:g} seconds.', 'Look at the server '
                        'and the network; the option bring_time allows more.')
                yield piece
        except TimeoutError:
            raise slow from None

    def _file(self, url: str) -> bytes:
        path = urllib.request.url2pathname(urllib.parse.urlsplit(url).path)
        try:
            # A pipe to which nobody writes would be waited for.
            descriptor = os.open(
                path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, 'rb') as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FetchError(f'{path} is not a file.',
                                     transport.ADDRESS)
                content = file.read(self._limits.max_bytes + 1)
        except OSError as error:
            raise FetchError(f'{path} cannot be read: {error.strerror}.',
                             transport.ADDRESS) from error
        if len(content) > self._limits.max_bytes:
            raise _too_large(url, self._limits.max_bytes)
        return content


def _target(url: str, response: requests.Response) -> str:
    """Return where a redirect leads, if that may be followed."""
    here = transport.shown(url)
    try:
        target = urllib.parse.urljoin(
            url, response.headers.get('Location', ''))
        parts = urllib.parse.urlsplit(target)
        # Where it began in the clear, it may become better.
        allowed = {urllib.parse.urlsplit(url).scheme, 'https'}
        good = (parts.scheme in allowed and bool(parts.hostname)
                and parts.port != 0)
    except ValueError:
        good = False
    if not good:
        raise FetchError(f'{here} redirects to something else than another '
                         f'https:// address, which is not followed.',
                         transport.ADDRESS)
    return target


def _check(url: str, response: requests.Response, asked: bool) -> None:
    """Check that an answer has what was asked for.

    :param asked: whether it may say that nothing is newer
    """
    status = response.status_code
    here = transport.shown(url)
    if status == http.HTTPStatus.NOT_MODIFIED and asked:
        return
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or (
            status == http.HTTPStatus.TOO_MANY_REQUESTS):
        raise transport.PassingError(f'{here} answers with status {status}.',
                            transport.ADDRESS, _pause(response))
    if status != http.HTTPStatus.OK:
        denied = status in (http.HTTPStatus.UNAUTHORIZED,
                            http.HTTPStatus.FORBIDDEN)
        raise FetchError(
            f'{here} answers with status {status}.',
            transport.CREDENTIALS if denied else transport.ADDRESS)
    encoding = response.headers.get('Content-Encoding', 'identity')
    if encoding.strip().lower() != 'identity':
        raise MalformedError(
            f'{here} comes compressed, though it was asked for as it is.',
            remedy='Ask who publishes it to serve the file as it is.')


def _pause(response: requests.Response) -> float:
    """Return for how many seconds a server asks us to wait."""
    said = response.headers.get('Retry-After', '')
    # It may be a date as well, which is not worth a look at two clocks.
    seconds = float(said) if said.isascii() and said.isdigit() else 0.0
    return min(seconds, _LONGEST_PAUSE)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield a body as it comes, which may be less than was promised.

    :raises FetchError: it breaks off
    """
    while True:
        with transport.translated(response.url or ''):
            # Whatever is there: waiting for more would be without end.
            piece: bytes = response.raw.read1(_AT_ONCE, decode_content=False)
        if not piece:
            return
        yield piece


def _header(response: requests.Response, name: str) -> str:
    value = response.headers.get(name, '')
    good = value.isascii() and value.isprintable() and (
        len(value) <= _LONGEST_VALIDATOR)
    return value if good else ''


def _too_large(url: str, limit: int) -> TrustError:
    return TrustError(
        f'{transport.shown(url)} has more than {limit} bytes.',
        Code.TOO_LARGE, 'Ask who publishes it, or raise max_list_bytes.')
