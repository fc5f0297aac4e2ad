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
"""Imports of Glance: how long they live, and what it says of them."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import http
import re
from typing import Any

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import REMEDIES
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.body import Refused
from hepix_vm.exchange.catalogue import time_of
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange import transport
from hepix_vm.gate import utcnow
from hepix_vm.trust.verdict import Reason

LATER = 'The next run looks again.'
# States of a task of Glance that has not ended.
ALIVE = ('pending', 'processing')

# Without a sign of life an import is dead. Glance itself takes one for dead
# after an hour, or two where it did not begin yet.
SILENT = 2 * 3600  # seconds
# While it fetches, it gives none.
_SLOWEST = 1024 * 1024  # bytes a second
# Whoever makes a list says how large its images are.
_LONGEST = 24 * 3600  # seconds
_LONGEST = 1000  # characters of a reason with its remedy
_REFUSED = 'Refused by the image trust policy of this cloud: '
_CODE = re.compile(r'\[([a-z-]+)\] ', re.ASCII)
_CODES = re.compile(rf'\[({"|".join(Code)})\] ')
_URL = re.compile(r'[a-z][a-z0-9+.-]*://\S+', re.ASCII | re.IGNORECASE)


class Pending(HepixVmError):
    """An import that somebody else began goes on."""


@contextlib.contextmanager
def begun(uri: str) -> Iterator[None]:
    """Say what it means if Glance does not take the bytes of an image.

    :param uri: where they come from
    :raises Refused: the gate does not let them in
    :raises Pending: somebody else was quicker
    :raises ServiceError: without what an address may hold secret
    """
    try:
        yield
    except ServiceError as error:
        refused = refusal(error.message)
        if refused:
            raise refused from error
        if error.status == http.HTTPStatus.CONFLICT:
            raise Pending('Somebody else brings it in.',
                          remedy=LATER) from error
        raise ServiceError(shown(uri, error.message), error.status,
                           error.remedy) from None


def is_dead(tasks: Sequence[Mapping[str, Any]], size: int) -> bool:
    """Return whether the import of an image did not live to its end.

    :param tasks: of the image, the last one first
    :param size: its bytes, as they are listed
    """
    return not tasks or age(tasks[0]) > SILENT + min(
        size / _SLOWEST, _LONGEST)


def age(found: Mapping[str, Any]) -> float:
    """Return since when an image or a task did not change, in seconds."""
    return (utcnow() - time_of(found, 'updated_at')).total_seconds()


def shown(uri: str, words: str) -> str:
    """Return what Glance said without what an address may hold secret.

    :param uri: the address
    """
    # It may be cut off.
    return clean(_URL.sub(lambda found: transport.shown(found[0]),
                          words.replace(uri, transport.shown(uri))))


def reasons(words: str) -> tuple[Reason, ...]:
    """Return why the gate in Glance refused, if it did; all of it."""
    _, refused, each = words.partition(_REFUSED)
    if not refused:
        return ()
    # Each code is before its text, which ends with the remedy. Those of a
    # newer gate are not known.
    first, *parts = _CODES.split(each)
    said = list(zip(map(Code, parts[::2]), parts[1::2], strict=True)) or [
        (Code.INTERNAL_ERROR, first)]
    found = [(code, clean(text, _LONGEST)) for code, text in said]
    return tuple(Reason(code, text.removesuffix(REMEDIES[code]).rstrip())
                 for code, text in found)


def refusal(words: str) -> Refused | None:
    """Return what the gate in Glance said, if it did."""
    _, refused, reasons = words.partition(_REFUSED)
    if not refused:
        return None
    code = _CODE.match(reasons)
    known = code and code[1] in set(Code)
    return Refused(_CODE.sub('', reasons, count=1),
                   Code(code[1]) if code and known else Code.INTERNAL_ERROR)
