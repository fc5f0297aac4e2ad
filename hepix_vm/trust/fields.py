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

"""Readers of single values of a JSON document.

Each returns what the model holds, or raises :class:`Flaw` with words that
go on after the key: *must be text, not a number*.
"""

import datetime
import json
import re
from typing import Any

MAX_DEPTH = 16  # objects and arrays inside one another, in free values
_MAX_SIZE = 2 ** 63 - 1  # bytes; what Glance can record
_SIZE = re.compile('[0-9]{1,19}')
_SHA512 = re.compile('[0-9A-Fa-f]{128}')
_UUID = re.compile('[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}')
_TIME = re.compile(
    '[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z')
_NOT_TEXT = re.compile(
    '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]')
# Besides what no text may hold: line and paragraph separators, and what
# makes a terminal or a browser show the characters in another order.
_NOT_ONE_LINE = re.compile(
    '[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


class Flaw(Exception):
    """What is wrong with a value; who catches it knows the key."""


def shown(value: object) -> str:
    """Return a value as messages show it: short, printable, one line."""
    if isinstance(value, (dict, list)):
        return kind(value)
    plain = ascii(value[:60] if isinstance(value, str) else value)
    return plain if len(plain) <= 64 else f'{plain[:60]}...'


def kind(value: object) -> str:
    """Return what JSON calls the type of a value."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    names: dict[type, str] = {
        dict: 'an object', list: 'an array', str: 'text'}
    return names.get(type(value), 'a number')


def text(value: Any) -> str:
    """Return free text; line breaks and tabs are welcome.

    :raises Flaw: if it is not text or holds control characters
    """
    if type(value) is not str:
        raise Flaw(f'must be text, not {kind(value)}')
    if not value.isprintable() and _NOT_TEXT.search(value):
        raise Flaw('must not hold control characters or halves of '
                   'surrogate pairs')
    return value


def line(value: Any) -> str:
    """Return text of at most one line.

    :raises Flaw: if it is not text, or holds line breaks, control
        characters or characters that change the direction of writing
    """
    if type(value) is not str:
        raise Flaw(f'must be text, not {kind(value)}')
    if not value.isprintable() and _NOT_ONE_LINE.search(value):
        raise Flaw('must be one line without control characters')
    return value


def anything(value: Any, depth: int = 0) -> Any:
    """Return a value of any type whose texts are fit to be kept.

    :raises Flaw: if a text in it is not, or it is too deep
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (dict, list)):
        if depth == MAX_DEPTH:
            raise Flaw('has too many objects or arrays inside one another')
        inner = [*value, *value.values()] if isinstance(value, dict) else (
            value)
        for part in inner:
            anything(part, depth + 1)
    return value


def uuid(value: Any) -> str:
    """Return a UUID (RFC 9562, 4) in lower case.

    :raises Flaw: if it is not in the form 8-4-4-4-12
    """
    if not _UUID.fullmatch(line(value)):
        raise Flaw(f'must be a UUID, not {shown(value)}')
    return str(value).lower()


def name(value: Any) -> str:
    """Return text of one line that is not empty.

    :raises Flaw: if it is anything else
    """
    if not line(value):
        raise Flaw('must not be empty')
    return str(value)


def digest(value: Any) -> str:
    """Return a SHA-512 digest (FIPS 180-4) in lower-case hexadecimal.

    :raises Flaw: if it is not 128 hexadecimal digits
    """
    if not _SHA512.fullmatch(line(value)):
        raise Flaw(f'must be 128 hexadecimal digits, not {shown(value)}')
    return str(value).lower()


def size(value: Any) -> int:
    """Return a size in bytes; it may be a number or decimal text.

    :raises Flaw: if it is no whole number that Glance can record
    """
    number = value
    if type(value) is str and _SIZE.fullmatch(value):
        number = int(value)
    # bool is a subclass of int
    if type(number) is not int or not 1 <= number <= _MAX_SIZE:
        raise Flaw(f'must be a number of bytes from 1 to {_MAX_SIZE}, not '
                   f'{shown(value)}')
    return number


def time(value: Any) -> datetime.datetime:
    """Return a time that is written as ``%Y-%m-%dT%H:%M:%SZ``, in UTC.

    :raises Flaw: if it is written in any other way or does not exist
    """
    try:
        if _TIME.fullmatch(line(value)):
            return datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise Flaw(f'is no date: {error}') from error
    raise Flaw(f'must be a UTC time such as 2030-01-31T12:00:00Z, not '
               f'{shown(value)}')


def array(value: Any) -> list[Any]:
    """Return an array.

    :raises Flaw: if it is anything else
    """
    if type(value) is not list:
        raise Flaw(f'must be an array, not {kind(value)}')
    return value
