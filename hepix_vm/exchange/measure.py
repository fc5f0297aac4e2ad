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

import dataclasses
import hashlib
import os
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
    sha512, size = (_of_file(declared.path) if declared.path
                    else _of_address(declared.entry.uri, ca))
    if not size:
        raise ConfigError('An image without data is not published.',
                          declared.path or declared.entry.uri)
    return dataclasses.replace(declared.entry, sha512=sha512, size=size)


def _of_file(path: str) -> tuple[str, int]:
    try:
        with open(path, 'rb') as file:
            digest = hashlib.file_digest(file, 'sha512')
            return digest.hexdigest(), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.', path,
                          remedy='Correct path of this image.') from error


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
