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

"""Answers that are kept for a while, and made once for all who wait for them.

Nova asks the vendordata service six times for one server, and servers are
booted by the hundred from one image.
"""

from collections.abc import Callable
from collections.abc import Hashable
from collections import OrderedDict
from concurrent.futures import Future
import threading
import time
from typing import Generic
from typing import TypeVar

from hepix_vm.deadline import within

Answer = TypeVar('Answer')

MAX_COUNT = 1000
MAX_TOTAL = 64 * 1024 * 1024  # bytes


class Answers(Generic[Answer]):
    """Keeps answers by what they were made from; for several threads.

    :param seconds: for which one is kept
    :param size: returns the bytes of one
    :param clock: returns seconds
    :param lasting: returns whether one is kept at all
    """

    def __init__(self, seconds: float, size: Callable[[Answer], int],
                 clock: Callable[[], float] = time.monotonic,
                 lasting: Callable[[Answer], bool] = lambda answer: True,
                 ) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._lasting = lasting
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Answer]] = (
            OrderedDict())
        self._coming: dict[Hashable, Future[Answer]] = {}
        self._total = 0

    def get(self, key: Hashable, make: Callable[[], Answer],
            seconds: float | None = None) -> Answer:
        """Return an answer, which is made if there is none.

        Who asks while it is made waits for it, and fails as it does. A
        failure is not kept.

        :param key: what it is made from
        :param make: makes it
        :param seconds: for which it is waited for
        :raises TimeoutError: it took longer, or longer than who asked first
            waits for it
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] > self._clock():
                self._kept.move_to_end(key)
                return kept[1]
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
        if coming is not None:
            return coming.result(seconds)
        try:
            answer = make() if seconds is None else within(seconds, make)
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            if self._lasting(answer):
                self._keep(key, answer)
        mine.set_result(answer)
        return answer

    def _keep(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, and forget those that nobody asked for."""
        self._forget(self._kept.pop(key, None))
        self._kept[key] = self._clock() + self._seconds, answer
        self._total += self._size(answer)
        while len(self._kept) > MAX_COUNT or self._total > MAX_TOTAL:
            self._forget(self._kept.popitem(last=False)[1])

    def _forget(self, kept: tuple[float, Answer] | None) -> None:
        self._total -= self._size(kept[1]) if kept else 0
