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

"""The staged file of an import: still while it is judged, and after.

Glance lets an image be imported while its staging still goes on: the
upload writes to the file that the import reads, removes it when it fails,
and another one may make it anew. What is judged must be what is stored.
"""

import errno
import fcntl
import hashlib
import os
import signal

_CHUNK = 1024 * 1024  # bytes


def take(path: str) -> str:
    """Take a staged file for ourselves.

    Uploads that fail remove a file by the name that Glance gave it, and
    others may make it anew; who has it open for writing writes on.

    :param path: the staged file
    :returns: where it is now: nobody writes there, and no request names it
    :raises OSError: it cannot be read, or there is no room for a copy
    """
    taken = f'{path}.hepix'
    os.rename(path, taken)
    with open(taken, 'rb') as file:
        if _has_writers(file.fileno()):
            _replace_by_copy(taken, file.fileno())
    return taken


def digest(path: str) -> tuple[str, int]:
    """Return SHA-512 in hex and the number of bytes of a file."""
    sha512 = hashlib.sha512()
    size = 0
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            sha512.update(chunk)
            size += len(chunk)
    return sha512.hexdigest(), size


def _has_writers(descriptor: int) -> bool:
    """Return whether a file is, or may be, open for writing anywhere.

    Linux grants a read lease only on a file that nobody has open for
    writing (fcntl(2), "Leases"). It is given back at once; should it be
    broken in between, the signal is one that is ignored by default.
    """
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EINVAL, errno.EACCES,
                               errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        # Somebody writes, or the file system, NFS for one, cannot tell.
        return True
    return False


def _replace_by_copy(path: str, descriptor: int) -> None:
    copy = f'{path}.copy'
    left = os.fstat(descriptor).st_size
    try:
        # A crash may have left one, which nobody writes to any more.
        with open(copy, 'wb') as target:
            while left:
                sent = os.sendfile(target.fileno(), descriptor, None, left)
                if not sent:
                    break
                left -= sent
        os.replace(copy, path)
    except BaseException:
        if os.path.exists(copy):
            os.unlink(copy)
        raise
