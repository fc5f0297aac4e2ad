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

"""Waiting for what may never end."""

from collections.abc import Callable
from concurrent.futures import Future
import threading
import time
from typing import TypeVar

_Value = TypeVar('_Value')

# The name of who is left behind.
THREAD = 'within'


class Deadline:
    """Until when somebody waits, however much there is to wait for.

    :param seconds: from now on
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left; never less than none."""
        return max(0.0, self._until - time.monotonic())


def within(seconds: float, call: Callable[[], _Value]) -> _Value:
    """Return what a call returns, if it does in time.

    Name servers that say nothing are waited for by the C library, and a
    server may send a byte now and then: neither a timeout nor a signal ends
    that, but another thread need not wait for it.

    :raises TimeoutError: it took longer; the call is left to itself
    """
    answer: Future[_Value] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name=THREAD, daemon=True).start()
    return answer.result(seconds)
