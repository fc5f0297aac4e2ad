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

"""``hepix-vm-mkisofs``: Nova's ``mkisofs_cmd``, which adds the context.

It runs once for every boot, so it imports what every drive needs and no
more; see doc/source/reference/benchmarks.rst for where the time goes.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import signal
import sys

from hepix_vm.context import bundle
from hepix_vm.context.bundle import File
from hepix_vm.context import facts
from hepix_vm.context.facts import Facts
from hepix_vm.context import iso
from hepix_vm.errors import ContextError
from hepix_vm.errors import HepixVmError
from hepix_vm.nova_ctx import arguments
from hepix_vm.nova_ctx.arguments import Arguments
from hepix_vm.nova_ctx import drive
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext.compiled import Compiled
from hepix_vm.sitecontext.compiled import Settings
from hepix_vm.sitecontext import record

PROGRAM = 'hepix-vm-mkisofs'

FAILED = 1  # exit status
USAGE = 2

# Seconds, for all but the making of the context, which has a limit of its
# own.
_LIMIT = 60

# All dates on a drive are this, so that equal input gives equal bytes:
# 1980-01-01, the first that every file system knows.
_DATE = 315532800

# Sources that are always there, and need nothing beside us.
_LIGHT = 2

# What amiconfig reads at the root, once prolog.sh is there.
_COPIES = {'user-data': 'ec2/latest/user-data',
           'meta-data.json': 'ec2/latest/meta-data.json'}


def main(argv: Sequence[str] | None = None) -> int:
    """Make a drive.

    :param argv: the arguments, without the name of the program
    :returns: the exit status
    """
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LIMIT)
    try:
        given = arguments.parse(sys.argv[1:] if argv is None else argv)
    except ContextError as error:
        return _say(error, USAGE)
    try:
        _make(given)
    except HepixVmError as error:
        return _say(error, FAILED)
    except Exception as error:
        return _say(_unexpected(error), FAILED)
    finally:
        signal.alarm(0)
    return 0


def _make(given: Arguments) -> None:
    files = drive.read(given.folder)
    if facts.META_DATA not in files:
        raise ContextError(
            f'{given.folder} has no {facts.META_DATA}, so this is no config '
            f'drive.', remedy='Make other images with mkisofs itself.')
    context = _context(files)
    signal.alarm(_LIMIT)
    copies = {name: files[source] for name, source in _COPIES.items()
              if context and source in files}
    drive.write(given.output, iso.build(
        [*files.items(), *copies.items(), *context.items()], given.label,
        given.publisher, _DATE))


def _context(files: Mapping[str, File]) -> dict[str, File]:
    """Return what is added to Nova's files.

    :returns: nothing, if it cannot be made and that is but a warning
    """
    settings, found = _site()
    known = Facts()
    try:
        signal.alarm(settings.timeout)
        known = _facts(files)
        if isinstance(found, HepixVmError):
            raise found
        if len(found.sources) > _LIGHT:
            _find_all_packages()
        return bundle.on_drive(found.context(known))
    except Exception as error:
        signal.alarm(_LIMIT)
        _journal(error, known.uuid, settings)
        plain = error if isinstance(error, HepixVmError) else (
            _unexpected(error))
        if settings.failure != 'warn':
            raise plain from error
        _say(plain, 0)
        return {}


def _site() -> tuple[Settings, Compiled | HepixVmError]:
    """Return the site's context, or why it cannot be compiled."""
    found = compiled.load()
    if found is None:
        with compiled.turn():
            # Whoever had the turn before may have done it.
            found = compiled.load()
            if found is None:
                return _compiled_anew()
    return found.settings, found


def _compiled_anew() -> tuple[Settings, Compiled | HepixVmError]:
    _find_all_packages()

    from hepix_vm import config
    from hepix_vm.sitecontext import compiler

    conf = config.load()
    settings = compiler.settings_of(conf)
    try:
        return settings, compiler.refresh(conf)
    except HepixVmError as error:
        return settings, error


def _find_all_packages() -> None:
    """Let everything be imported that is installed.

    The script that starts this one has found what a plain drive needs.
    """
    if sys.flags.no_site:
        import site

        site.main()


def _facts(files: Mapping[str, File]) -> Facts:
    nothing = File(b'')
    return facts.from_drive(
        files[facts.META_DATA].content,
        files.get(facts.NETWORK_DATA, nothing).content,
        files.get(facts.VENDOR_DATA, nothing).content,
        os.uname().nodename,
        files.get(facts.EC2_DATA, nothing).content)


def _journal(error: Exception, server: str, settings: Settings) -> None:
    """Record that a server has no context, and why."""
    record.write(
        settings.state_dir, 'context', server=server,
        outcome='left-out' if settings.failure == 'warn' else 'failed',
        reason=str(error) if isinstance(error, HepixVmError) else (
            type(error).__name__),
        where=_places(error))


def _too_long(number: int, frame: object) -> None:
    raise ContextError('It took too long.', remedy='Look for what is slow: '
                       'a source of the context, a disk, or a folder on the '
                       'network.')


def _unexpected(error: Exception) -> ContextError:
    """Return what is said of a mistake; its own text may quote a secret."""
    return ContextError(
        f'The drive cannot be made: {type(error).__name__} at '
        f'{_places(error)[-1]}.',
        remedy='Tell the operator: hepix-vm, or a source of the context, has '
               'a mistake there.')


def _places(error: Exception) -> list[str]:
    """Return where something happened: places in the code, no values."""
    import traceback

    return [f'{frame.filename}:{frame.lineno}'
            for frame in traceback.extract_tb(error.__traceback__)]


def _say(error: HepixVmError, status: int) -> int:
    """Say what went wrong, in one line."""
    line = ' '.join(f'{error.message} {error.remedy}'.split())
    prefix = '' if status else 'warning: no context is on the drive: '
    print(f'{PROGRAM}: {prefix}{line}', file=sys.stderr)
    return status
