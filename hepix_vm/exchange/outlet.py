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

"""Where a published list goes: a file, or an address of a web server.

Every version is kept besides, so that none is given twice.
"""

import abc
from collections.abc import Iterator
import contextlib
import os
import urllib.parse

import requests
import requests.auth

from hepix_vm.errors import ConfigError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import transport
from hepix_vm import lockfile
from hepix_vm.subscriptions import SYSTEM
from hepix_vm import wholefile

_SUFFIX = '.smime'
_PIECE = 64 * 1024  # bytes
_NOTHING_THERE = (404, 410)
_TAKEN = (200, 201, 204)


class Outlet(abc.ABC):
    """A place that has one version of one list."""

    @abc.abstractmethod
    def current(self) -> bytes | None:
        """Return what is there now, or None.

        :raises HepixVmError: that cannot be told
        """

    @abc.abstractmethod
    def put(self, message: bytes) -> None:
        """Put a version in its place, whole or not at all.

        :raises HepixVmError: it could not be put there
        """


class FileOutlet(Outlet):
    """A file, such as one that a web server shows.

    :param max_bytes: what is longer is no list
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def current(self) -> bytes | None:
        """Return what is there now, or None."""
        try:
            with open(self._path, 'rb') as file:
                return file.read(self._max_bytes + 1)
        except FileNotFoundError as error:
            if not os.path.isdir(os.path.dirname(
                    os.path.abspath(self._path))):
                raise _failed(self._path, error) from error
            return None
        except OSError as error:
            raise _failed(self._path, error) from error

    def put(self, message: bytes) -> None:
        """Replace the file at once."""
        write(self._path, message, 0o644)


class WebOutlet(Outlet):
    """An https address that takes ``PUT``.

    A redirect is refused: nobody said that what is sent, and with which
    secret, may go elsewhere.

    :param url: without a password in it
    :param secret: ``user:password``, or a token
    :param certificate: path of a PEM file with certificate and key, by
        which the server knows us
    :param ca: path of the CAs of the server; empty for the system's
    :param max_bytes: what is longer is no list
    :raises ConfigError: it is no such address
    """

    def __init__(self, url: str, max_bytes: int, secret: str = '',
                 certificate: str = '', ca: str = '') -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != 'https' or not parts.hostname:
            raise ConfigError('Lists are put to https:// only.', '--put')
        if parts.username is not None:
            raise ConfigError('An address has no password.', '--put',
                              remedy='Give it with --token-file.')
        self._url = url
        self._max_bytes = max_bytes
        self._auth = _Secret(secret) if secret else None
        self._adapter = transport.adapter(
            ca or SYSTEM, certificate=certificate,
            advice=transport.PUBLISHER)

    def current(self) -> bytes | None:
        """Return what is there now, or None."""
        with self._ask('GET') as response:
            if response.status_code in _NOTHING_THERE:
                return None
            if response.status_code != 200:
                raise self._refused('GET', response)
            data = b''
            for piece in response.iter_content(_PIECE):
                data += piece
                if len(data) > self._max_bytes:
                    break
            return data

    def put(self, message: bytes) -> None:
        """Send a version."""
        with self._ask('PUT', message) as response:
            if response.status_code not in _TAKEN:
                raise self._refused('PUT', response)

    @contextlib.contextmanager
    def _ask(self, method: str, data: bytes | None = None,
             ) -> Iterator[requests.Response]:
        with transport.translated(self._url, transport.PUBLISHER):
            request = transport.request(
                method, self._url, transport.HEADERS | (
                    {'Content-Type': 'application/octet-stream'}
                    if data is not None else {}),
                data, transport.PUBLISHER)
            request.prepare_auth(self._auth)
            with contextlib.closing(self._adapter.send(
                    request, stream=True,
                    timeout=(transport.SILENCE, transport.SILENCE),
                    proxies=requests.utils.get_environ_proxies(
                        self._url))) as response:
                yield response

    def _refused(self, method: str,
                 response: requests.Response) -> ServiceError:
        what = 'redirects' if response.is_redirect else 'answers'
        return ServiceError(
            f'{transport.shown(self._url)} {what} ({response.status_code}) '
            f'to {method}.', response.status_code, 'Give the address to '
            'which it leads, if you trust it.' if response.is_redirect
            else transport.PUBLISHER.address)


class _Secret(requests.auth.AuthBase):
    """Sends a user and password, or a token."""

    def __init__(self, secret: str) -> None:
        user, colon, password = secret.partition(':')
        self._basic = (user, password) if colon else None
        self._token = secret

    def __call__(self, request: requests.PreparedRequest,
                 ) -> requests.PreparedRequest:
        if self._basic:
            basic = requests.auth.HTTPBasicAuth(*self._basic)
            made: requests.PreparedRequest = basic(request)
            return made
        request.headers['Authorization'] = f'Bearer {self._token}'
        return request


class Archive:
    """All versions of a list that were published from here.

    :param folder: of all lists; made if it is missing
    """

    def __init__(self, folder: str, uuid: str) -> None:
        self._folder = os.path.join(folder, uuid)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from publishing this list meanwhile.

        From looking at the versions until one is in its place: else two
        would give the same version, or put the older one last.

        :raises ConfigError: the folder cannot be used
        :raises ServiceError: somebody publishes it
        """
        path = f'{self._folder}.lock'
        with contextlib.ExitStack() as stack:
            try:
                os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
                alone = stack.enter_context(lockfile.alone(path))
            except OSError as error:
                raise _failed(path, error) from error
            if not alone:
                raise ServiceError(
                    'Somebody else publishes this list now.', 0,
                    'Wait until that is done, and publish again.')
            yield

    def versions(self) -> list[str]:
        """Return the versions that were published.

        :raises ConfigError: they cannot be told
        """
        try:
            return [name.removesuffix(_SUFFIX)
                    for name in os.listdir(self._folder)
                    if name.endswith(_SUFFIX) and not name.startswith('.')]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed(self._folder, error) from error

    def read(self, version: str) -> bytes:
        """Return a version that was published.

        :raises ConfigError: it cannot be read
        """
        path = os.path.join(self._folder, f'{version}{_SUFFIX}')
        try:
            with open(path, 'rb') as file:
                return file.read()
        except OSError as error:
            raise _failed(path, error) from error

    def keep(self, version: str, message: bytes) -> str:
        """Keep a version, and return where it is.

        :raises ConfigError: it cannot be kept
        """
        path = os.path.join(self._folder, f'{version}{_SUFFIX}')
        try:
            os.makedirs(self._folder, mode=0o750, exist_ok=True)
        except OSError as error:
            raise _failed(self._folder, error) from error
        write(path, message, 0o640)
        return path


def write(path: str, data: bytes, mode: int) -> None:
    """Put a file in its place, whole or not at all.

    :raises ConfigError: it cannot be written
    """
    try:
        wholefile.replace(path, data, mode)
    except OSError as error:
        raise _failed(path, error) from error


def _failed(path: str, error: OSError) -> ConfigError:
    return ConfigError(f'It cannot be used: {error.strerror}.', path,
                       remedy='Give a place that you can read and write: '
                              '--output, and --archive for what is kept.')
