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

"""Prolog and epilog as one script each, for guests that have no drive.

Such a guest reads them from the metadata service. The script has all that
``context/`` has on a drive, writes it to a folder of its own, runs the same
driver there, and removes the folder.
"""

import base64
import itertools
import shlex

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File

# What guest/install.sh puts into an image. One that has it and cloud-init
# would run everything twice.
RUNNER = '/usr/sbin/hepix-vm-context'

_DELIMITER = 'END_OF_PART'

# A folder that may be mounted without execution is tried: a script in it
# would not run.
_BEGIN = """\
#!/bin/sh
# The {moment} of this site, in one file: start|stop.
# Written by hepix-vm.
(
    if [ -x {runner} ]; then
        echo 'hepix-vm: this image runs the {moment} of its drive'
        exit 0
    fi
    mask=$(umask)
    umask 077
    for parent in "${{TMPDIR:-/tmp}}" /var/tmp /var/lib /root; do
        folder=$(mktemp -d "$parent/hepix-vm.XXXXXXXX" 2> /dev/null) \\
            || continue
        printf '#!/bin/sh\\n' > "$folder/try" && chmod 0700 "$folder/try" \\
            && "$folder/try" 2> /dev/null && break
        rm -rf "$folder"
        folder=
    done
    if [ -z "$folder" ]; then
        echo 'hepix-vm: there is no folder to run the {moment} in' >&2
        exit 1
    fi
    trap 'cd /; rm -rf "$folder"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$folder" && rm try && mkdir -p{folders} || exit
"""
_END = """\
    umask "$mask"
    ./{moment}.sh "$@"
    exit
)
"""


def script(moment: str, given: Bundle) -> bytes:
    """Return all that a moment needs, as one script.

    :param moment: ``prolog`` or ``epilog``
    :param given: as :func:`hepix_vm.context.bundle.merge` returns it, with
        the file of the variables
    :returns: nothing, if there is nothing to run
    """
    if not getattr(given, moment):
        return b''
    other, = set(bundle.MOMENTS) - {moment}
    files = bundle.on_drive(given._replace(**{other: {}}))
    del files[f'{other}.sh']
    folders = sorted({path.rpartition('/')[0] for path in files} - {''})
    return b''.join((
        _BEGIN.format(moment=moment, runner=RUNNER, folders=''.join(
            f' {shlex.quote(folder)}' for folder in folders)).encode(),
        *(_written(path, file) for path, file in sorted(files.items())),
        _END.format(moment=moment).encode()))


def _written(path: str, file: File) -> bytes:
    """Return the lines that write a file and give it its permissions."""
    content, command = file.content, 'cat'
    # POSIX 2.7.4: a here-document is lines of text. With a quoted
    # delimiter nothing in it is expanded.
    if not content.endswith(b'\n') or not _is_text(content):
        content, command = base64.encodebytes(content), 'base64 -d'
    delimiter = _delimiter(content)
    name = shlex.quote(path)
    return (f"    {command} > {name} << '{delimiter}' || exit\n".encode()
            + content + f'{delimiter}\n'.encode()
            + f'    chmod {file.mode:04o} {name} || exit\n'.encode())


def _delimiter(content: bytes) -> str:
    """Return a word that is not in a text."""
    return next(word for word in itertools.chain(
        (_DELIMITER,), (f'{_DELIMITER}_{n}' for n in itertools.count(2)))
        if word.encode() not in content)


def _is_text(content: bytes) -> bool:
    """Return whether a shell writes it as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return text.replace('\n', '').replace('\t', '').isprintable()
