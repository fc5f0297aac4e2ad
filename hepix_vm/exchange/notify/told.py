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

"""What mail told already, and what still waits to be told.

``state_dir/told.json`` of a controller. All processes of the controller
share it; it is written to a temporary name and renamed, so it is whole
whenever somebody reads it.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import fcntl
import json
import os

from oslo_log import log as logging

from hepix_vm import wholefile

LOG = logging.getLogger(__name__)

# What was told longest ago is forgotten first. It would be told once more.
_REMEMBERED = 10_000
_LONGEST_QUEUE = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One event as it is mailed.

    :param to: an address; empty for the operators
    :param title: what happened, in a few words of ours
    :param text: all that is said of it
    """

    to: str
    title: str
    text: str


@dataclasses.dataclass(slots=True)
class Told:
    """The file, as long as it is open.

    :param keys: of what was told: what it is about, and when (ISO 8601)
    :param waiting: what is to be sent, oldest first
    :param more: how many did not fit there
    """

    keys: dict[str, tuple[str, str]]
    waiting: list[Item]
    more: int = 0

    def add(self, key: str, about: str, at: datetime.datetime,
            items: Sequence[Item]) -> bool:
        """Queue an event, unless it was told.

        :param about: list or image, for :meth:`forget`
        :returns: whether it is new
        """
        if key in self.keys:
            return False
        self.keys[key] = (about, at.isoformat())
        room = max(0, _LONGEST_QUEUE - len(self.waiting))
        self.waiting += items[:room]
        self.more += len(items[room:])
        return True

    def forget(self, about: str) -> bool:
        """Let what follows about a list or an image be told again.

        :returns: whether there was anything
        """
        old = [key for key, (what, _) in self.keys.items() if what == about]
        for key in old:
            del self.keys[key]
        return bool(old)

    def as_json(self) -> str:
        """Return it as it is stored."""
        newest = sorted(self.keys.items(), key=lambda item: item[1][1])
        return json.dumps({
            'told': dict(newest[-_REMEMBERED:]),
            'waiting': [dataclasses.astuple(item) for item in self.waiting],
            'more': self.more})


class ToldFile:
    """Opens ``told.json`` for one process at a time.

    :param state_dir: where it lies
    """

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, 'told.json')

    @contextlib.contextmanager
    def open(self) -> Iterator[Told]:
        """Yield what is in it, and store what was changed.

        :raises OSError: it cannot be read or written
        """
        with _locked(f'{self._path}.lock', fcntl.LOCK_EX):
            told = self._read()
            before = told.as_json()
            yield told
            if told.as_json() != before:
                self._write(told.as_json())

    @contextlib.contextmanager
    def sending(self) -> Iterator[bool]:
        """Yield whether no other process is sending now."""
        try:
            with _locked(f'{self._path}.sending',
                         fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    def _read(self) -> Told:
        try:
            with open(self._path, encoding='utf-8') as file:
                found = json.load(file)
            return Told(
                {key: (about, at)
                 for key, (about, at) in found['told'].items()},
                [Item(*map(str, item)) for item in found['waiting']],
                int(found['more']))
        except FileNotFoundError:
            return Told({}, [])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            LOG.warning('%s is begun anew, since it cannot be read (%s); '
                        'what was told may be told once more', self._path,
                        type(error).__name__)
            return Told({}, [])

    def _write(self, text: str) -> None:
        wholefile.replace(self._path, text.encode(), 0o640,
                          f'{os.path.basename(self._path)}.new')


@contextlib.contextmanager
def _locked(path: str, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
