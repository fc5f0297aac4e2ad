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
"""One at a time: the lock under which lists are followed."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from importlib import metadata
import logging
import os
import socket
import types
from typing import Any
import urllib.parse
import uuid
import warnings

from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError

LOG = logging.getLogger(__name__)

_LOCK = b'hepix-vm-sync'
_NAMESPACE = uuid.UUID('0d9a7c52-6f0b-5f0e-8a55-1a6e3c1b7d42')


def bringer(url: str, state_dir: str) -> str:
    """Return by what runs know each other that are never at work at once.

    It tells neither a password nor a path.

    :param url: where controllers meet, as for :func:`alone`
    :param state_dir: the folder of this controller
    """
    # Of all that meet somewhere, one is at work.
    place = 'coordination_url' if url else (
        f'{socket.gethostname()}:{os.path.abspath(state_dir)}')
    return str(uuid.uuid5(_NAMESPACE, place))


@contextlib.contextmanager
def alone(url: str, state_dir: str) -> Iterator[bool]:
    """Keep others from following lists at the same time.

    :param url: where controllers meet, as tooz takes it; empty for a file
        in the folder of this controller
    :param state_dir: that folder
    :returns: False if somebody else is at work
    :raises ConfigError: nobody can be asked
    :raises ServiceError: whoever was asked does not answer any more
    """
    coordination = _tooz()
    member = f'{socket.gethostname()}-{os.getpid()}'.encode()
    place = url or f'file://{os.path.join(state_dir, "coordination")}'
    # What a driver raises may be of its own library, and say the address
    # with user and password: only its type is told.
    try:
        meeting = coordination.get_coordinator(place, member)
        meeting.start(start_heart=True)
    except Exception as error:
        raise _unasked(coordination, place, error) from error
    try:
        try:
            lock = meeting.get_lock(_LOCK)
            acquired = lock.acquire(blocking=False)
        except Exception as error:
            raise ServiceError(
                f'It cannot be asked whether another sync is at work '
                f'({type(error).__name__}).', 0,
                'Look at the service of coordination_url.') from error
        if not acquired:
            yield False
            return
        try:
            yield True
        finally:
            _leave(lock.release)
    finally:
        _leave(meeting.stop)


def _leave(how: Callable[[], Any]) -> None:
    """Let others go on; who cannot say so is forgotten after a while."""
    try:
        how()
    except Exception as error:
        LOG.warning('The service of coordination_url does not answer any '
                    'more (%s); other syncs wait until it forgets this one',
                    type(error).__name__)


def _unasked(coordination: types.ModuleType, place: str,
             error: Exception) -> HepixVmError:
    """Return what to say where nobody can be asked."""
    from stevedore import exception

    driver = urllib.parse.urlsplit(place).scheme
    if isinstance(error, exception.NoMatches):
        there = metadata.entry_points(
            group=coordination.TOOZ_BACKENDS_NAMESPACE).names
        return ConfigError(
            f'coordination_url: tooz has no driver '
            f'{driver or "without a name"}; it has '
            f'{", ".join(sorted(there))}.',
            remedy='Begin coordination_url with one of them.')
    if isinstance(error, ImportError):
        return ConfigError(
            f'coordination_url: the driver {driver} of tooz needs the Python '
            f'package {error.name}.', remedy='Install it.')
    return ConfigError(
        f'coordination_url: nobody can be asked whether another sync is '
        f'at work ({type(error).__name__}).',
        remedy='Correct coordination_url, or look whether the service '
               'runs; without one, run the command as the user to whom '
               'state_dir belongs.')


def _tooz() -> types.ModuleType:
    """Return what coordinates.

    It takes its time, and is not needed by every command.
    """
    with warnings.catch_warnings():
        # It looks for eventlet, which complains where it is.
        warnings.simplefilter('ignore')
        from tooz import coordination
    return coordination
