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
"""Bytes that go to Glance through us, measured on the way."""

from collections.abc import Callable
from collections.abc import Iterator
import hashlib
import io

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError

_PIECE = 1024 * 1024  # bytes


class Refused(HepixVmError):
    """The bytes came, and are not those that were endorsed."""


class Body(io.RawIOBase):
    """What is sent to Glance, and measured on the way.

    The last bytes are held back until all are known to be the endorsed
    ones: what is not never was a whole upload.

    :param pieces: the bytes as they come
    :param size: how many there have to be
    :param sha512: their digest in hex
    :param advance: told of bytes that came
    """

    def __init__(self, pieces: Iterator[bytes], size: int, sha512: str,
                 advance: Callable[[int], None]) -> None:
        super().__init__()
        self._pieces = pieces
        self._size = size
        self._expected = sha512
        self._advance = advance
        self._digest = hashlib.sha512()
        self._came = 0
        self._left = b''

    def __len__(self) -> int:
        """Return how many bytes will be sent."""
        return self._size

    def tell(self) -> int:
        """Return how many bytes were read; who sends them asks."""
        return self._came - len(self._left)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        :raises HepixVmError: they are not, or cannot be, what they should
        """
        while not self._left and self._came < self._size:
            self._left = self._next()
        size = _PIECE if size < 0 else size
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _next(self) -> bytes:
        piece = next(self._pieces, b'')
        self._came += len(piece)
        self._digest.update(piece)
        self._advance(len(piece))
        if not piece or self._came > self._size:
            came = self._came if not piece else f'more than {self._size}'
            raise Refused(f'What was fetched has {came} bytes, but '
                          f'{self._size} were endorsed.', Code.SIZE_MISMATCH)
        if self._came == self._size and (
                self._digest.hexdigest() != self._expected):
            raise Refused(
                f'What was fetched has the SHA-512 '
                f'{self._digest.hexdigest()[:16]}..., but '
                f'{self._expected[:16]}... was endorsed.',
                Code.CHECKSUM_MISMATCH)
        return piece
