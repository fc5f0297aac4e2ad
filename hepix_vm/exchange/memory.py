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

"""What was told of servers, so that it is told once."""

from collections.abc import Iterator
import contextlib
import logging

from hepix_vm.exchange.notify.told import SERVERS
from hepix_vm.exchange.notify.told import ToldFile
from hepix_vm.gate import utcnow

LOG = logging.getLogger(__name__)


class Memory:
    """What was told of servers on this controller, as long as it is so.

    Who cannot remember tells it again: rather that than not at all.

    :param state_dir: where it is kept
    """

    def __init__(self, state_dir: str) -> None:
        self._file = ToldFile(state_dir, SERVERS)
        self._still: set[str] = set()

    def knows(self, key: str) -> bool:
        """Return whether something was told."""
        known = False
        with _remembering(), self._file.open() as told:
            known = told.knows(key)
        return known

    def add(self, *keys: str) -> None:
        """Remember that something was told; all of it, or nothing."""
        with _remembering(), self._file.open() as told:
            for key in keys:
                told.add(key, SERVERS, utcnow(), [])

    def keep(self, *keys: str) -> None:
        """Say that something is still so."""
        self._still |= {*keys}

    def forget(self, key: str) -> None:
        """Let something be told again."""
        with _remembering(), self._file.open() as told:
            told.drop(key)

    def forget_others(self) -> None:
        """Forget what is so no more: it is told again when it is so again."""
        with _remembering(), self._file.open() as told:
            told.only(SERVERS, self._still)


@contextlib.contextmanager
def _remembering() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        LOG.error('What was told of servers cannot be remembered: %s', error)
