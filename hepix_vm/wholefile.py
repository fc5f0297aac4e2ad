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

"""Files that are whole, the old one or the new one, whatever happens."""

import contextlib
import os
import tempfile


def replace(path: str, data: bytes, mode: int, beside: str = '') -> None:
    """Put a file in its place at once.

    :param mode: of the file, whatever the umask says
    :param beside: name of the file that is written first, in the same
        folder; for who writes there alone, so that who is killed leaves
        one such file at most. By default it is a new name each time
    :raises OSError: it cannot be written, and is the old one
    """
    folder = os.path.dirname(os.path.abspath(path))
    descriptor, new = _begin(folder, beside)
    try:
        with open(descriptor, 'wb') as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin(folder: str, beside: str) -> tuple[int, str]:
    if not beside:
        return tempfile.mkstemp(prefix='.new-', dir=folder)
    new = os.path.join(folder, beside)
    with contextlib.suppress(FileNotFoundError):
        # Of who was killed; nobody else is at work.
        os.unlink(new)
    return os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                   0o600), new
