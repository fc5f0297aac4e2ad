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

"""What a server is given: prolog, epilog and files, and how they are laid out.

At the root of the drive are ``prolog.sh`` and ``epilog.sh``, which run the
parts in ``context/`` (the layout of CernVM's amiconfig: it looks for
``prolog.sh`` at the root, copies the drive and sources the script).
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import re
from typing import NamedTuple
from typing import TypeVar

from hepix_vm.context import template
from hepix_vm.errors import ContextError

MOMENTS = ('prolog', 'epilog')
VARIABLES = 'variables.sh'

MAX_SCRIPT = 8 * 1024 * 1024  # bytes
MAX_TOTAL = 32 * 1024 * 1024  # bytes of all that a server is given
MAX_COUNT = 256
MAX_NAME = 64  # characters; Joliet has no more

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_RUNNABLE = 0o755
_SECRET = 0o600

_DRIVER = """\
#!/bin/sh
# The {moment} of this site: {moment}.sh start|stop.
# Written by hepix-vm. It is run, or sourced by a shell that stands at the
# root of a copy of this drive: the parentheses keep that shell as it was.
(
    case $0 in
        */{moment}.sh) cd "${{0%/*}}" || exit ;;
    esac
    action=${{1:-start}}
    case $action in
        start) set --{forth} ;;
        stop) set --{back} ;;
        *)
            echo 'usage: {moment}.sh start|stop' >&2
            exit 2
            ;;
    esac
    . ./context/{variables} || exit
    status=0
    for part; do
        "./context/{moment}.d/$part" "$action" && continue
        code=$?
        echo "hepix-vm: {moment} $part failed with status $code" >&2
        [ "$status" -ne 0 ] || status=$code
    done
    exit "$status"
)
"""


class File(NamedTuple):
    """A file of a drive.

    :param mode: the permissions, such as 0o644
    """

    content: bytes
    mode: int = 0o644


_Content = TypeVar('_Content', bytes, File)


class Bundle(NamedTuple):
    """What one source gives to one server.

    :param prolog: scripts by name, in the order in which they run
    :param files: by path below ``context/``
    """

    prolog: Mapping[str, bytes] = {}
    epilog: Mapping[str, bytes] = {}
    files: Mapping[str, File] = {}


def check_name(name: str) -> None:
    """Refuse a name that not every guest could read.

    :raises ContextError: it is such a name
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ContextError(
            f'{name[:MAX_NAME]!r} cannot be the name of a part: letters, '
            f'digits, dots, dashes and underlines are possible, at most '
            f'{MAX_NAME}, the first a letter or a digit.')


def check_script(name: str, content: bytes, known: Collection[str]) -> None:
    """Refuse a script that no guest could run.

    :param known: the variables that there are
    :raises ContextError: with what is wrong, and where
    """
    if len(content) > MAX_SCRIPT:
        raise ContextError(f'{name} is {len(content)} bytes long; at most '
                           f'{MAX_SCRIPT} are possible.')
    if b'\0' in content:
        raise ContextError(f'{name} is a binary file, not a script.',
                           remedy='List it under files, and let a script '
                                  'use it from there.')
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise ContextError(
            f'{name}, line {line}: this is not UTF-8 text.',
            remedy='Save it as UTF-8, or list it under files.') from None
    if b'\r' in content:
        line = content.count(b'\n', 0, content.index(b'\r')) + 1
        raise ContextError(
            f'{name}, line {line}: the line ends as on Windows (CR LF); no '
            f'guest could run it.',
            remedy='Convert it, for instance with dos2unix.')
    if not re.match(rb'#! ?/', content):
        raise ContextError(
            f'{name} does not begin with #! and the path of an interpreter.',
            remedy='Let its first line be #!/bin/sh.')
    allowed = {*known, *template.optional(content)}
    for line, variable in template.mentioned(content):
        if variable not in allowed:
            raise ContextError(
                f'{name}, line {line}: there is no variable {variable}.',
                remedy=f'Correct the name, define it in context.yaml, or '
                       f'give it a value in the script: '
                       f'${{{variable}:-value}}.')


def merge(bundles: Iterable[Bundle]) -> Bundle:
    """Return what all sources give.

    :raises ContextError: two of them give the same name, a part has one
        that it cannot have, or all of it is too much
    """
    prolog: dict[str, bytes] = {}
    epilog: dict[str, bytes] = {}
    files: dict[str, File] = {}
    for bundle in bundles:
        # A plugin may give what no rule named; the driver names it.
        for name in (*bundle.prolog, *bundle.epilog):
            check_name(name)
        _add(prolog, bundle.prolog)
        _add(epilog, bundle.epilog)
        _add(files, bundle.files)
    contents = [*prolog.values(), *epilog.values(),
                *(file.content for file in files.values())]
    if len(contents) > MAX_COUNT:
        raise ContextError(f'There are {len(contents)} parts; at most '
                           f'{MAX_COUNT} are possible.')
    total = sum(map(len, contents))
    if total > MAX_TOTAL:
        raise ContextError(f'The parts have {total} bytes; at most '
                           f'{MAX_TOTAL} are possible.')
    return Bundle(prolog, epilog, files)


def on_drive(bundle: Bundle) -> dict[str, File]:
    """Return the files of a drive, by their path from its root."""
    drive = {}
    for moment in MOMENTS:
        scripts: Mapping[str, bytes] = getattr(bundle, moment)
        drive[f'{moment}.sh'] = File(driver(moment, scripts), _RUNNABLE)
        drive.update({f'context/{moment}.d/{name}': File(content, _RUNNABLE)
                      for name, content in scripts.items()})
    drive.update({f'context/{path}': file
                  for path, file in bundle.files.items()})
    return drive


def variables_file(variables: Mapping[str, str]) -> File:
    """Return the file from which the scripts have their variables.

    :raises ContextError: a value cannot be one
    """
    return File(template.assignments(variables), _SECRET)


def driver(moment: str, names: Collection[str]) -> bytes:
    """Return the script that runs the parts of a moment.

    It goes on after a part that fails; its status is that of the first
    that failed.

    :param moment: ``prolog`` or ``epilog``
    :param names: of the parts, in the order in which they start
    """
    return _DRIVER.format(
        moment=moment, variables=VARIABLES,
        forth=''.join(f' {name}' for name in names),
        back=''.join(f' {name}' for name in reversed(list(names))),
        ).encode()


def _add(target: dict[str, _Content], more: Mapping[str, _Content]) -> None:
    for name, content in more.items():
        if name in target:
            raise ContextError(f'Two sources of the context give {name}.')
        target[name] = content
