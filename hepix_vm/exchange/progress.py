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

"""How far a run is: a bar on a terminal, lines elsewhere."""

from collections.abc import Callable
import sys
import threading
import time
from typing import Never
from typing import Protocol
from typing import TextIO

from tqdm import tqdm

_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB')
_PAUSE = 30.0  # seconds between two lines of how far it is


class Progress(Protocol):
    """What a run tells while it moves images; threads share it."""

    def begin(self, total_bytes: int, images: int = 1) -> None:
        """Begin: so many bytes in so many images are to come."""

    def advance(self, count: int) -> None:
        """Tell of bytes that came; negative if they must come again."""

    def line(self, text: str) -> None:
        """Show a line."""

    def image(self) -> None:
        """Tell that one more image is done, whatever became of it."""

    def end(self) -> None:
        """End; nothing more comes."""


def choose(stream: TextIO | None = None) -> Progress:
    """Return a bar if somebody looks, else lines.

    :param stream: where it is shown; standard output by default
    """
    stream = stream or sys.stdout
    return Bar(stream) if stream.isatty() else Lines(stream)


class Bar:
    """A bar on a terminal.

    :param stream: the terminal
    :param doing: what is done, where no images are counted
    """

    def __init__(self, stream: TextIO, doing: str = '') -> None:
        self._stream = stream
        self._doing = doing
        self._bar: tqdm[Never] | None = None
        self._lock = threading.Lock()
        self._images = self._done = 0

    def begin(self, total_bytes: int, images: int = 1) -> None:
        """Draw an empty bar."""
        self.end()
        with self._lock:
            self._images, self._done = images, 0
            self._bar = tqdm(
                total=total_bytes, unit='B', unit_scale=True,
                unit_divisor=1024, file=self._stream, leave=False,
                dynamic_ncols=True, desc=self._description())

    def advance(self, count: int) -> None:
        """Move the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(count)

    def line(self, text: str) -> None:
        """Show a line above the bar."""
        with self._lock:
            tqdm.write(text, file=self._stream)

    def image(self) -> None:
        """Count an image."""
        with self._lock:
            self._done += 1
            if self._bar is not None:
                self._bar.set_description(self._description())

    def end(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _description(self) -> str:
        return self._doing or (
            f'{self._done} of {counted(self._images, "image")}')


class Lines:
    """Lines for a file or the journal of systemd.

    How far it is is one of them, at most every 30 seconds.

    :param clock: seconds that only grow
    """

    def __init__(self, stream: TextIO,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._total = self._bytes = self._images = self._done = 0
        self._next = 0.0

    def begin(self, total_bytes: int, images: int = 1) -> None:
        """Say what is to come."""
        with self._lock:
            self._total, self._images = total_bytes, images
            self._bytes = self._done = 0
            self._next = self._clock() + _PAUSE
        self.line(f'{amount(total_bytes)} in {counted(images, "image")} to '
                  f'come')

    def advance(self, count: int) -> None:
        """Say how far it is, unless that was said just now."""
        with self._lock:
            self._bytes += count
            now = self._clock()
            if now < self._next:
                return
            self._next = now + _PAUSE
            text = (f'{amount(self._bytes)} of {amount(self._total)}, '
                    f'{self._done} of {counted(self._images, "image")}')
        self.line(text)

    def line(self, text: str) -> None:
        """Show a line."""
        print(text, file=self._stream, flush=True)

    def image(self) -> None:
        """Count an image."""
        with self._lock:
            self._done += 1

    def end(self) -> None:
        """Do nothing: each image had its line."""


def amount(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f'{value:.0f} B' if unit == 'B' else f'{value:.1f} {unit}'
        value /= 1024
    return f'{value:.1f} {_UNITS[-1]}'


def counted(number: int, what: str) -> str:
    """Return a number of things, in the singular or plural."""
    return f'{number} {what}{"" if number == 1 else "s"}'
