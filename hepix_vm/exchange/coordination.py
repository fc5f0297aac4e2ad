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

from collections.abc import Iterator
import contextlib
import os
import socket
import types
import warnings

from hepix_vm.errors import ConfigError

_LOCK = b'hepix-vm-sync'


@contextlib.contextmanager
def alone(url: str, state_dir: str) -> Iterator[bool]:
    """Keep others from following lists at the same time.

    :param url: where controllers meet, as tooz takes it; empty for a file
        in the folder of this controller
    :param state_dir: that folder
    :returns: False if somebody else is at work
    :raises ConfigError: nobody can be asked
    """
    coordination, known = _tooz()
    member = f'{socket.gethostname()}-{os.getpid()}'.encode()
    place = url or f'file://{os.path.join(state_dir, "coordination")}'
    try:
        meeting = coordination.get_coordinator(place, member)
        meeting.start(start_heart=True)
    except known as error:
        raise ConfigError(
            f'coordination_url: nobody can be asked whether another sync is '
            f'at work ({type(error).__name__}).',
            remedy='Correct coordination_url, or look whether the service '
                   'runs; without one, run the command as the user to whom '
                   'state_dir belongs.') from error
    try:
        lock = meeting.get_lock(_LOCK)
        if not lock.acquire(blocking=False):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
    finally:
        meeting.stop()


def _tooz() -> tuple[types.ModuleType, tuple[type[Exception], ...]]:
    """Return what coordinates, and its errors.

    It takes its time, and is not needed by every command.
    """
    with warnings.catch_warnings():
        # It looks for eventlet, which complains where it is.
        warnings.simplefilter('ignore')
        from stevedore import exception
        import tooz
        from tooz import coordination
    return coordination, (tooz.ToozError, exception.NoMatches, OSError)
