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

"""vmcatcher's database: the file of SQLite, or what its ``.dump`` wrote."""

from collections.abc import Iterator
import sqlite3
from typing import Any

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import Source
from hepix_vm.exchange.importing import without_secret
from hepix_vm.subscriptions import IGTF
from hepix_vm.subscriptions import SYSTEM

_MAGIC = b'SQLite format 3\0'

# What a dump does; anything else in it, such as ATTACH, which opens another
# file, is not carried out.
_DUMPED = frozenset({
    sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_INSERT, sqlite3.SQLITE_READ, sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_FUNCTIONS = frozenset({'char', 'replace', 'unistr'})

# Of the column trustAnchor.
_CA_BUNDLES = {1: SYSTEM, 2: IGTF}

_SUBSCRIBES_NEW = 2  # bit of the column updateMode

_Row = dict[str, Any]


def read(data: bytes, path: str) -> list[Source]:
    """Read a database, or the dump of one.

    :param path: its name, for messages
    :raises ConfigError: it is not a database of vmcatcher
    """
    database = sqlite3.connect(':memory:')
    try:
        _load(database, data)
        tables = {name: _rows(database, name) for name in (
            'subscription', 'subscriptionAuth', 'endorserPrincible',
            'ImageDefinition')}
        return [_source(row, tables) for row in tables['subscription']]
    except (sqlite3.Error, sqlite3.Warning, UnicodeDecodeError, KeyError,
            ValueError) as error:
        raise ConfigError(
            f'It is not a database of vmcatcher ({error}).', path,
            remedy='Name the file of SQLite, or what "sqlite3 FILE .dump" '
                   'wrote.') from error
    finally:
        database.close()


def _load(database: sqlite3.Connection, data: bytes) -> None:
    if data.startswith(_MAGIC):
        database.deserialize(data)
        return
    database.set_authorizer(_authorize)
    database.executescript(data.decode())
    database.set_authorizer(None)


def _authorize(action: int, first: str | None, second: str | None,
               *_: str | None) -> int:
    allowed = (
        second in _FUNCTIONS if action == sqlite3.SQLITE_FUNCTION
        else first == 'foreign_keys' if action == sqlite3.SQLITE_PRAGMA
        else action in _DUMPED)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _rows(database: sqlite3.Connection, table: str) -> list[_Row]:
    """Return a table; later versions have more columns than older ones."""
    cursor = database.execute(
        f'SELECT * FROM "{table}" ORDER BY id')  # noqa: S608 # ours
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _source(row: _Row, tables: dict[str, list[_Row]]) -> Source:
    url, had_secret = without_secret(str(row['uri']))
    secret = had_secret or bool(row.get('userName') or row.get('password'))
    endorsers = tuple(
        (str(who['hv_dn']), str(who['hv_ca']))
        for link in tables['subscriptionAuth']
        if link['subscription'] == row['id'] and link['authorised']
        for who in tables['endorserPrincible']
        if who['endorser'] == link['endorser'])
    mine = [image for image in tables['ImageDefinition']
            if image['subscription'] == row['id']]
    wanted = [image for image in mine if image['cache']]
    takes_new = bool(int(row.get('updateMode') or 0) & _SUBSCRIBES_NEW)
    everything = takes_new and len(wanted) == len(mine)
    anchor = int(row.get('trustAnchor') or 0)
    return Source(
        name=str(row['description'] or row['identifier']), url=url,
        uuid=str(row['identifier']), endorsers=endorsers,
        images=None if everything else tuple(
            str(image['identifier']) for image in wanted),
        ca_bundle=_CA_BUNDLES.get(anchor, ''),
        secret='userName and password' if secret else '',
        notes=tuple(_notes(row, tables, anchor, takes_new and not everything,
                           url)),
        off='' if row['authorised'] else 'It was not authorised.')


def _notes(row: _Row, tables: dict[str, list[_Row]], anchor: int,
           adds: bool, url: str) -> Iterator[str]:
    if anchor not in _CA_BUNDLES and url.startswith('https:'):
        yield ('vmcatcher did not verify the server; its certificate must be '
               'of a CA of the system now, or say ca_bundle.')
    if adds:
        yield ('New images were subscribed by themselves, but not all that '
               'there were; a list of images takes no new ones.')
    if any(link['subscription'] == row['id'] and not link['authorised']
           for link in tables['subscriptionAuth']):
        yield 'Endorsers who were not authorised are left out.'
