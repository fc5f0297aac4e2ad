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

"""The accepted lists on disk, and what is kept beside them.

``lists/`` is read by whoever judges images: a file there is whole, whatever
happens while it is written, since it takes its name at the very end.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import hashlib
import json
import logging
import os
from typing import Any

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.fetch import Validators
from hepix_vm import lockfile
from hepix_vm.site import HOLDERS
from hepix_vm.trust import fields
from hepix_vm.trust.holding import Holder
from hepix_vm.trust.imagelist import format_time
from hepix_vm import wholefile

LOG = logging.getLogger(__name__)

# Former versions of a list that are kept.
MOST_PREVIOUS = 100
# Beside them: the identifiers of all images that a version ever had.
_IMAGES = 'images.json'
_LISTS = '.smime'
_REPLACED = '%Y%m%dT%H%M%S.%fZ'  # when a version was, in its name


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """What is known of a list besides itself.

    :param url: where it was fetched
    :param sha256: digest of the message to which the validators belong
    :param success: when it was fetched or found unchanged last, in ISO
        8601; empty if it never was
    :param told: what the journal said of it last, if it was no acceptance
    """

    url: str = ''
    sha256: str = ''
    etag: str = ''
    modified: str = ''
    success: str = ''
    told: str = ''

    @property
    def succeeded(self) -> datetime.datetime | None:
        """:attr:`success` as a time."""
        try:
            return fields.time(self.success)
        except fields.Flaw:
            return None

    def validators(self, url: str, content: bytes | None) -> Validators:
        """Return what holds for a list that we have from an address."""
        if content is None or url != self.url or (
                digest(content) != self.sha256):
            return Validators()
        return Validators(self.etag, self.modified)


def digest(content: bytes) -> str:
    """Return the SHA-256 of a message in hex."""
    return hashlib.sha256(content).hexdigest()


class ListStore:
    """The folders of accepted lists.

    :param state_dir: the option of that name
    """

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._lists = os.path.join(state_dir, 'lists')
        self._fetched = os.path.join(state_dir, 'fetched')

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others of this controller from writing at the same time.

        :raises ConfigError: this user may not write there
        """
        path = os.path.join(self._state_dir, 'lists.lock')
        with contextlib.ExitStack() as stack:
            try:
                for folder in (self._lists, self._fetched):
                    os.makedirs(folder, mode=0o750, exist_ok=True)
                # Whoever has it only writes what he fetched before.
                stack.enter_context(lockfile.alone(path, wait=True))
            except OSError as error:
                raise ConfigError(
                    f'It cannot be written: {error.strerror}.',
                    error.filename or path,
                    remedy='Run the command as the user to whom state_dir '
                           'belongs.') from error
            yield

    def uuids(self) -> list[str]:
        """Return of which lists there is a version."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(name.removesuffix(_LISTS)
                          for name in os.listdir(self._lists)
                          if name.endswith(_LISTS))
        return []

    def read(self, uuid: str) -> bytes | None:
        """Return a list as it was received, if there is one.

        :raises OSError: it cannot be read
        """
        try:
            with open(self._path(uuid), 'rb') as file:
                return file.read()
        except FileNotFoundError:
            return None

    def note(self, uuid: str) -> Note:
        """Return what is known of a list; nothing if that is no note."""
        found = _json(os.path.join(self._fetched, f'{uuid}.json'))
        known = {field.name for field in dataclasses.fields(Note)}
        if not isinstance(found, dict) or found.keys() - known or not all(
                isinstance(value, str) for value in found.values()):
            return Note()
        return Note(**found)

    def write_note(self, uuid: str, note: Note) -> None:
        """Remember what is known of a list.

        :raises OSError: it cannot be written
        """
        _write(os.path.join(self._fetched, f'{uuid}.json'),
               _dumped(dataclasses.asdict(note)))

    def write_holders(self, holders: Mapping[str, Holder],
                      at: datetime.datetime) -> None:
        """Remember which list holds which image, and since when.

        It comes before the lists: of one that is not there yet nobody
        takes anything for granted.

        :param at: now, UTC; since then those hold it that are new
        :raises OSError: it cannot be written
        """
        path = os.path.join(self._lists, HOLDERS)
        content = {image: {
            'list': holder.image_list,
            'since': format_time(holder.since or at)}
            for image, holder in holders.items()}
        if _json(path) != content:
            _write(path, _dumped(content))

    def put(self, uuid: str, content: bytes, before: bytes | None,
            at: datetime.datetime) -> None:
        """Put a list in the place of another one, which is kept.

        :param at: now, UTC
        :raises OSError: it cannot be written; then the other one is still
            there
        """
        if before is not None:
            self._keep(uuid, before, at)
        _write(self._path(uuid), content)

    def previous(self, uuid: str,
                 ) -> Iterator[tuple[datetime.datetime, bytes]]:
        """Yield the former versions of a list, the first one first.

        :returns: when each was replaced, UTC, and the message
        :raises OSError: one cannot be read
        """
        folder = self._previous(uuid)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in sorted(names):
            if not name.endswith(_LISTS):
                continue
            replaced = datetime.datetime.strptime(
                name.partition('-')[0], _REPLACED)
            with open(os.path.join(folder, name), 'rb') as file:
                yield replaced.replace(tzinfo=datetime.UTC), file.read()

    def images(self, uuid: str) -> frozenset[str]:
        """Return the identifiers of all images that a list ever had."""
        found = _json(os.path.join(self._previous(uuid), _IMAGES))
        return frozenset(found if isinstance(found, list) and all(
            isinstance(each, str) for each in found) else ())

    def write_images(self, uuid: str, images: frozenset[str]) -> None:
        """Remember these identifiers.

        :raises OSError: it cannot be written
        """
        folder = self._previous(uuid)
        os.makedirs(folder, mode=0o750, exist_ok=True)
        _write(os.path.join(folder, _IMAGES), _dumped(sorted(images)))

    def _keep(self, uuid: str, content: bytes,
              at: datetime.datetime) -> None:
        """Keep a former version, and only so many of them.

        It was kept already where a run was killed before it went on.
        """
        folder = self._previous(uuid)
        os.makedirs(folder, mode=0o750, exist_ok=True)
        end = f'-{digest(content)[:16]}{_LISTS}'
        kept = sorted(name for name in os.listdir(folder)
                      if name.endswith(_LISTS))
        if not any(name.endswith(end) for name in kept):
            # Sorted by when it was replaced.
            name = f'{at.strftime(_REPLACED)}{end}'
            _write(os.path.join(folder, name), content)
            kept.append(name)
        for name in kept[:-MOST_PREVIOUS]:
            os.unlink(os.path.join(folder, name))

    def _path(self, uuid: str) -> str:
        return os.path.join(self._lists, uuid + _LISTS)

    def _previous(self, uuid: str) -> str:
        return os.path.join(self._state_dir, 'previous', uuid)


def _json(path: str) -> Any:
    """Return what a file of ours holds; None if it holds nothing of use."""
    try:
        with open(path, 'rb') as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        LOG.warning('%s cannot be read: %s', path, error)
        return None


def _dumped(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _write(path: str, content: bytes) -> None:
    """Replace a file, which the group reads.

    :raises OSError: it cannot be written, and is the old one
    """
    # The same for all files of a folder, so that nothing is left in it that
    # nobody clears away.
    wholefile.replace(path, content, 0o640, '.new')
