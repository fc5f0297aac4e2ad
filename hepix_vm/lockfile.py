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

"""Files by which one process keeps others of its host away."""

from collections.abc import Iterator
import contextlib
import fcntl
import os


@contextlib.contextmanager
def alone(path: str, wait: bool = False) -> Iterator[bool]:
    """Yield whether nobody else has the lock; it is ours until the end.

    Whoever is killed holds it no longer, and the file stays.

    :param path: of the file, which is made
    :param wait: whether it is waited for
    :raises OSError: the file cannot be opened
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor,
                        fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
