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
"""How long a run may bring images in."""

import threading
import time


class Allowance:
    """The time of a run; threads share it.

    What is quick is done whatever time it is; and what began goes on, but no
    longer than the same time for itself.

    :param seconds: after which nothing begins any more that takes long
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()

    @property
    def over(self) -> bool:
        """Whether nothing may begin any more."""
        return self.stopped or time.monotonic() > self._end

    @property
    def stopped(self) -> bool:
        """Whether what began should end as well."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the run: nothing more can be done, or somebody wants it."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait, but not for longer than the run goes on."""
        self._stopped.wait(seconds)
