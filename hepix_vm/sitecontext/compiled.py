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

"""The site's context, compiled: what a drive is made from in a hurry.

It is a file of JSON in a cache, with the state of every file that it was
made from; when one of them changes it is made again. This module is on the
way of every boot: it imports nothing of OpenStack.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import importlib
import json
import os
from typing import Any
from typing import NamedTuple

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.facts import Facts
from hepix_vm import paths

# Changes with what is in the file.
FORMAT = 3

ENVIRONMENT = 'HEPIX_VM_CONTEXT_CACHE'
DEFAULT_CACHE = '/var/cache/hepix-vm/context.json'

# Name, device, inode, size in bytes, and times of change in ns of a file;
# the name alone if there is none.
Stamp = list[Any]


class Settings(NamedTuple):
    """What ``[hepix_vm]`` says of the making of drives.

    :param failure: ``fail`` or ``warn``
    :param timeout: seconds
    """

    failure: str
    timeout: int
    state_dir: str


class Compiled(NamedTuple):
    """What can be known before there is a server.

    :param config: the file of settings that was read
    :param stamps: the state of all files that were read
    :param sources: for each: name, module and class, and what it compiled
    """

    format: int
    config: str
    stamps: list[Stamp]
    settings: Settings
    sources: list[list[Any]]

    def context(self, facts: Facts) -> Bundle:
        """Return what a server gets from all sources.

        :raises ContextError: it cannot be made
        """
        return bundle.merge(
            _imported(entry).give(compiled, facts)
            for _, entry, compiled in self.sources)

    def public(self, facts: Facts) -> Bundle:
        """Return what everybody in a server may see.

        :raises ContextError: it cannot be made
        """
        return bundle.merge(
            _imported(entry).public(compiled, facts)
            for _, entry, compiled in self.sources)

    def current(self) -> bool:
        """Return whether no file has changed since it was made."""
        return self.config == paths.own_file() and all(
            stamp(kept[0]) == kept for kept in self.stamps)


def cache_path() -> str:
    """Return where the compiled context is kept."""
    return os.environ.get(ENVIRONMENT) or DEFAULT_CACHE


def stamp(path: str) -> Stamp:
    """Return what changes when a file does."""
    try:
        status = os.stat(path)
    except OSError:
        return [path]
    return [path, status.st_dev, status.st_ino, status.st_size,
            status.st_mtime_ns, status.st_ctime_ns]


def load(owner: int | None = None) -> Compiled | None:
    """Return what is in the cache, if it is still true.

    :param owner: the user who is believed, beside root; by default who asks
    :returns: None if there is none that can be used
    """
    believed = (0, os.geteuid() if owner is None else owner)
    try:
        with open(cache_path(), 'rb') as file:
            # What another user could write is not believed.
            status = os.fstat(file.fileno())
            if status.st_uid not in believed or (
                    status.st_mode & 0o022):
                return None
            content = json.loads(file.read())
        found = Compiled(*content)
        if found.format != FORMAT or not found.current():
            return None
        return found._replace(settings=Settings(*found.settings))
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        # There is none, or one of another version: it is made again.
        return None


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait until no other process compiles, where one can know of another.

    After a change many servers may be made at once; one of them compiles.
    """
    try:
        descriptor = os.open(
            f'{cache_path()}.lock',
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        # What is compiled cannot be kept there, either.
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def save(compiled: Compiled) -> None:
    """Replace what is in the cache.

    Who may read the folder's group may read it: it holds secrets of the
    site, and nova-compute needs them.

    :raises OSError: it cannot be written
    """
    path = cache_path()
    new = f'{path}.{os.getpid()}'
    descriptor = os.open(
        new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, 'wb') as file:
            file.write(json.dumps(compiled).encode())
            group = os.stat(os.path.dirname(path)).st_gid
            if os.fstat(descriptor).st_gid != group:
                os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o640)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _imported(entry: str) -> Any:
    module, _, name = entry.partition(':')
    return getattr(importlib.import_module(module), name)
