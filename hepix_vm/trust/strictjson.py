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

"""JSON that means one thing only, with bounds.

What RFC 8259 leaves to the reader is refused as RFC 7493 (I-JSON) asks:
two members of one name, numbers that are not numbers, halves of surrogate
pairs, anything but UTF-8 without a byte order mark.
"""

import collections
import json
import math
from typing import Any
from typing import NoReturn

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.trust.fields import shown

MAX_VALUES = 4_000_000  # values in a document; each takes some 64 bytes
MAX_DIGITS = 100  # of a whole number

_BOM = b'\xef\xbb\xbf'

def loads(data: bytes, max_bytes: int) -> Any:
    """Return the value of a JSON document.

    :param data: UTF-8 without a byte order mark
    :param max_bytes: the longest document that is read, in bytes
    :raises MalformedError: if it is not strict JSON or too large
    """
    if len(data) > max_bytes:
        raise MalformedError(
            f'The document is {len(data)} bytes long; the limit is '
            f'{max_bytes} bytes.', Code.TOO_LARGE)
    if data.startswith(_BOM):
        raise MalformedError('The document begins with a byte order mark.')
    # An upper bound, as text may hold these characters too.
    if sum(map(data.count, (b',', b'[', b'{'))) > MAX_VALUES:
        raise MalformedError(
            f'The document holds more than {MAX_VALUES} values.',
            Code.TOO_LARGE)
    try:
        return json.loads(
            data.decode('utf-8'), object_pairs_hook=_object,
            parse_int=_integer, parse_float=_float,
            parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise MalformedError(
            f'The document is not UTF-8 at byte {error.start}.') from error
    except json.JSONDecodeError as error:
        raise MalformedError(
            f'The document is not JSON: {error.msg}, line {error.lineno}, '
            f'column {error.colno}.') from error
    except RecursionError as error:
        raise MalformedError(
            'The document has too many objects or arrays inside one '
            'another.') from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise MalformedError(
            f'The key {shown(twice)} appears twice in one object.')
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip('-')) > MAX_DIGITS:
        raise MalformedError(
            f'A number of the document has more than {MAX_DIGITS} digits.')
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedError('A number of the document is out of range.')
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedError(f'The document holds {name}, which is no number.')
