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

"""Signals that stop the demo, turned into an exception that unwinds."""

from collections.abc import Iterator
import contextlib
import signal
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody wants the demo to stop; it is no error to be reported.

    :param number: the signal
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Raises :class:`Stopped` once; what comes later is ignored.

    A second Ctrl-C must not interrupt the cleaning up that the first one
    began.
    """

    def __init__(self) -> None:
        self._held = False
        self._pending: int | None = None
        self._over = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> 'Interrupts':
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *unused: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Put signals off: something is started and not yet in our hands."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending is not None:
            self._stop(self._pending)

    def ignore(self) -> None:
        """From now on the cleaning up is not interrupted."""
        self._over = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._over:
            return
        if self._held:
            self._pending = self._pending or number
            return
        self._stop(number)

    def _stop(self, number: int) -> None:
        self._over = True
        raise Stopped(number)
