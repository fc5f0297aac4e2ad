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

"""What checks of a service's configuration find, and how they are made."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
import os
import stat
from typing import TypeVar

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SHOWN = 3  # paths


class Severity(enum.IntEnum):
    """How bad it is; the value is the exit status of ``upgrade check``."""

    OK = 0
    WARNING = 1
    FAILURE = 2

    def __str__(self) -> str:
        """Return the word that users read."""
        return self.name.lower()


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    :param what: which check found it
    :param message: plain words that name file, option and value to set
    """

    severity: Severity
    what: str
    message: str


# What a check finds: severity and message; nothing where all is well.
Found = Iterable[tuple[Severity, str]]

Checked = TypeVar('Checked')


def look(checks: Mapping[str, Callable[[Checked], Found]],
         checked: Checked) -> list[Finding]:
    """Return what checks find.

    A check that finds nothing says so with a finding that is ok.

    :param checks: by their names
    :param checked: what they look at
    """
    return [finding for what, check in checks.items()
            for finding in _findings(what, check, checked)]


def _findings(what: str, check: Callable[[Checked], Found],
              checked: Checked) -> Iterator[Finding]:
    found = False
    try:
        for severity, message in check(checked):
            found = True
            yield Finding(severity, what, message)
    except Exception as error:
        LOG.exception('The check %s cannot be made', what)
        found = True
        yield Finding(
            Severity.FAILURE, what,
            f'It cannot be checked ({type(error).__name__}: {error}). Tell '
            f'the developers of hepix-vm; the log has the cause.')
    if not found:
        yield Finding(Severity.OK, what, '')


def check_rights(named: Mapping[str, str]) -> Found:
    """Whether only their owners can write the site's files.

    :param named: what each path is
    """
    for path, name in named.items():
        open_to_others = list(_open_to_others(path))
        if open_to_others:
            more = len(open_to_others) - _SHOWN
            yield Severity.WARNING, (
                f'{", ".join(open_to_others[:_SHOWN])}'
                f'{f" and {more} more" if more > 0 else ""} ({name}) can be '
                f'written by others than the owner. Run chmod go-w on it.')


def check_secret(path: str) -> Found:
    """Whether others than owner and group read a file with a password.

    :param path: of the file; it need not be there
    """
    if _mode(path) & stat.S_IRWXO:
        yield Severity.WARNING, (
            f'{path} has a password, and everybody on this host may read it. '
            f'Run chmod o= on it.')


def _open_to_others(path: str) -> Iterator[str]:
    """Yield what others can write: a path, and what decides over it.

    That is all that is in a folder, and the folders above, where names
    can be exchanged.
    """
    path = os.path.abspath(path)
    for above in dict.fromkeys((*_above(path),
                                *_above(os.path.realpath(path)))):
        mode = _mode(above)
        if mode & _OTHERS and not mode & stat.S_ISVTX:
            yield above
    if _mode(path) & _OTHERS:
        yield path
    for folder, folders, files in os.walk(path):
        yield from (each for each in (
            os.path.join(folder, name) for name in sorted(folders + files))
            if _mode(each) & _OTHERS)


def _above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _mode(path: str) -> int:
    """Return the mode of what a path leads to; 0 if there is nothing."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
