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

"""What notifiers told already, and what still waits to be told.

``state_dir/told.db`` of a controller, a database of SQLite, which all
processes of the controller share: an event costs the same however many there
were, and what was added survives whoever is killed.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from contextlib import AbstractContextManager
import datetime
import hashlib
import json
import os
import sqlite3

from oslo_log import log as logging

from hepix_vm.exchange.event import Event
from hepix_vm import lockfile

LOG = logging.getLogger(__name__)

NAME = 'told.db'
# More than the images of a list, and of many.
_REMEMBERED = 200_000
_LONGEST_QUEUE = 500
# What all is about that was told of servers. The sweep, which knows what is
# so no more, forgets it.
SERVERS = 'servers'
_PATIENCE = 60.0  # seconds for another process to be done

_TABLES = '''
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS told (
        key TEXT PRIMARY KEY, about TEXT NOT NULL, at TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS told_about ON told (about);
    CREATE TABLE IF NOT EXISTS waiting (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL,
        item TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS waiting_queue ON waiting (queue);
    CREATE TABLE IF NOT EXISTS missed (
        queue TEXT PRIMARY KEY, number INTEGER NOT NULL);
'''


def about(event: Event) -> str:
    """Return what an event is about: an image, or else a list."""
    if event.entry is not None:
        return event.entry.identifier
    return event.glance_image or (
        event.image_list.identifier if event.image_list
        else event.list_uuid)


def told_as(event: Event, queue: str = '') -> str:
    """Return what is the same for an event that only repeats another.

    :param queue: of whom; those that have none tell for all
    """
    codes = sorted(str(reason.code) for reason in event.reasons)
    return hashlib.sha256(json.dumps([
        # All copies of an image are one.
        event.kind, about(event),
        event.image_list.version if event.image_list else '',
        event.entry.sha512 if event.entry else '',
        *([event.server.identifier] if event.server else []),
        *(codes or [event.message]), *([queue] if queue else [])
    ]).encode()).hexdigest()


class Told:
    """The file, as long as it is open.

    :param queue: name of the notifier whose it is
    :param longest: how many items may wait
    """

    def __init__(self, database: sqlite3.Connection, queue: str,
                 longest: int) -> None:
        self._database = database
        self._queue = queue
        self._longest = longest

    def add(self, key: str, about: str, at: datetime.datetime,
            items: Sequence[str]) -> bool:
        """Queue an event, unless it was told.

        :param about: list or image, for :meth:`forget`
        :returns: whether it is new
        """
        if not self._database.execute(
                'INSERT OR IGNORE INTO told VALUES (?, ?, ?)',
                (key, about, at.isoformat())).rowcount:
            return False
        self._database.execute(
            'DELETE FROM told WHERE rowid <= (SELECT max(rowid) FROM told) '
            '- ?', (_REMEMBERED,))
        self.queue(items)
        return True

    def knows(self, key: str) -> bool:
        """Return whether an event was told."""
        return self._database.execute(
            'SELECT 1 FROM told WHERE key = ?', (key,)).fetchone() is not None

    def drop(self, key: str) -> None:
        """Let an event be told again."""
        self._database.execute('DELETE FROM told WHERE key = ?', (key,))

    def only(self, about: str, keys: Collection[str]) -> None:
        """Forget what was told about something, but for these."""
        self._database.executemany(
            'DELETE FROM told WHERE key = ?',
            [(key,) for key, in self._database.execute(
                'SELECT key FROM told WHERE about = ?', (about,)).fetchall()
             if key not in keys])

    def queue(self, items: Sequence[str], longest: int = 0) -> None:
        """Let something wait; what does not fit is counted.

        :param longest: how many may wait, if not as many as usual
        """
        count, = self._database.execute(
            'SELECT count(*) FROM waiting WHERE queue = ?',
            (self._queue,)).fetchone()
        room = max(0, (longest or self._longest) - count)
        self._database.executemany(
            'INSERT INTO waiting (queue, item) VALUES (?, ?)',
            [(self._queue, item) for item in items[:room]])
        if items[room:]:
            self._database.execute(
                'INSERT INTO missed VALUES (?, ?) ON CONFLICT DO UPDATE '
                'SET number = number + excluded.number',
                (self._queue, len(items[room:])))

    def forget(self, about: str) -> bool:
        """Let what follows about a list or an image be told again.

        :returns: whether there was anything
        """
        return self._database.execute(
            'DELETE FROM told WHERE about = ?', (about,)).rowcount > 0

    def waiting(self) -> dict[int, str]:
        """Return what waits, oldest first, with a number of each."""
        return dict(self._database.execute(
            'SELECT id, item FROM waiting WHERE queue = ? ORDER BY id',
            (self._queue,)))

    def done(self, numbers: Iterable[int]) -> None:
        """Take away what waits no more."""
        self._database.executemany(
            'DELETE FROM waiting WHERE id = ?',
            [(number,) for number in numbers])

    def missed(self) -> int:
        """Return how many did not fit in the queue."""
        found = self._database.execute(
            'SELECT number FROM missed WHERE queue = ?',
            (self._queue,)).fetchone()
        return int(found[0]) if found else 0

    def said(self, missed: int) -> None:
        """Count some less that did not fit, since it was said."""
        self._database.execute(
            'UPDATE missed SET number = number - ? WHERE queue = ?',
            (missed, self._queue))


class ToldFile:
    """Opens ``told.db`` for one process at a time.

    :param state_dir: where it lies
    :param queue: name of the notifier that asks
    """

    def __init__(self, state_dir: str, queue: str,
                 longest: int = _LONGEST_QUEUE) -> None:
        self._path = os.path.join(state_dir, NAME)
        self._queue = queue
        self._longest = longest
        self._database: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Told]:
        """Yield what is in it, and store what was changed.

        :raises OSError: it cannot be read or written
        """
        try:
            database = self._database or self._connect()
            with database:
                database.execute('BEGIN IMMEDIATE')
                yield Told(database, self._queue, self._longest)
        except sqlite3.Error as error:
            raise OSError(f'{self._path}: {error}') from error

    def sending(self) -> AbstractContextManager[bool]:
        """Yield whether no other process is sending now."""
        return lockfile.alone(f'{self._path}.{self._queue}')

    def _connect(self) -> sqlite3.Connection:
        try:
            self._database = self._attempt()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            LOG.warning('%s is begun anew, since it cannot be read (%s); '
                        'what was told may be told once more', self._path,
                        error)
            for end in ('', '-wal', '-shm'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path + end)
            self._database = self._attempt()
        return self._database

    def _attempt(self) -> sqlite3.Connection:
        os.close(os.open(  # with our mode
            self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
        # Each event is told by a thread of its own, one after the other.
        database = sqlite3.connect(self._path, _PATIENCE,
                                   check_same_thread=False)
        try:
            database.executescript(_TABLES)
        except BaseException:
            database.close()
            raise
        return database
