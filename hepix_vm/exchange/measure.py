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

"""Digest and size of images that are to be published."""

from collections.abc import Callable
import dataclasses
import hashlib
import os
import stat
import time

from hepix_vm.errors import ConfigError
from hepix_vm.errors import FetchError
from hepix_vm.errors import TrustError
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.publicationfile import Declared
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import SYSTEM
from hepix_vm.trust.model import ImageEntry

_PATIENCE = 120.0  # seconds for a server to answer
_RETRIES = 1
_PIECE = 1024 * 1024  # bytes
# Of what is fetched: a server may go on without end.
LARGEST = 2 ** 40  # bytes
LONGEST = 6 * 3600.0  # seconds


def measure(declared: Declared, ca: str = '') -> ImageEntry:
    """Return an image with digest and size.

    :param ca: path of the CAs of its web server; empty for the system's
    :raises HepixVmError: it cannot be read
    """
    if declared.measured:
        return declared.entry
    if declared.path:
        measured = of_file(declared.path)
        sha512, size = measured.sha512, measured.size
    else:
        sha512, size = _of_address(declared.entry.uri, ca)
    if not size:
        raise ConfigError('An image without data is not published.',
                          declared.path or declared.entry.uri)
    return dataclasses.replace(declared.entry, sha512=sha512, size=size)


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A file of which digest and size are known.

    :param state: what changes when somebody writes the file
    """

    path: str
    sha512: str
    size: int
    state: tuple[int, ...]

    def check_unchanged(self) -> None:
        """Make sure that it still is what was measured.

        :raises ConfigError: somebody wrote it meanwhile
        """
        if _state(self.path) != self.state:
            raise ConfigError(
                'It changed since it was read.', self.path,
                remedy='Wait until nothing writes it any more.')


def of_file(path: str, advance: Callable[[int], None] = lambda count: None,
            ) -> Measured:
    """Return digest and size of a file.

    :param advance: told of bytes that were read
    :raises ConfigError: it cannot be read, or changes meanwhile
    """
    state = _state(path)
    digest, size = hashlib.sha512(), 0
    try:
        with open(path, 'rb', buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                advance(len(piece))
    except OSError as error:
        raise _unreadable(path, error) from error
    measured = Measured(path, digest.hexdigest(), size, state)
    measured.check_unchanged()
    return measured


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        # A pipe can be read once, and a device has no size.
        raise ConfigError('It is no file.', path,
                          remedy='Give the file of an image.')
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns,
            found.st_ctime_ns)


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError(f'It cannot be read: {error.strerror}.', path,
                       remedy='Correct the path of the image.')


def _of_address(uri: str, ca: str) -> tuple[str, int]:
    # A query may hold a secret.
    shown = uri.partition('?')[0]
    if not uri.startswith('https://'):
        raise ConfigError(
            f'What {shown} has cannot be measured, since anybody on the way '
            f'may change it.', remedy='Give the path of the file, or sha512 '
            'and size.')
    digest, size = hashlib.sha512(), 0
    end = time.monotonic() + LONGEST
    fetcher = Fetcher(
        Following(uri, ca_bundle=ca or SYSTEM, internal=True), '',
        Limits(_PATIENCE, _RETRIES, 0))
    try:
        with fetcher.stream(uri) as pieces:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                if size > LARGEST:
                    raise FetchError(f'{shown} has more than {LARGEST} '
                                     f'bytes.', '')
                if time.monotonic() > end:
                    raise FetchError(f'{shown} takes longer than '
                                     f'{LONGEST:g} seconds.', '')
    except (FetchError, TrustError) as error:
        raise FetchError(
            error.message, 'Give the address at which the image itself is, '
            'the CA of its server (--tls-ca), the path of the file, or '
            'sha512 and size.') from error
    return digest.hexdigest(), size
