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

"""What all commands of ours have in common."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import datetime
import logging
import sys
from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING

from osc_lib.command import command
from osc_lib import exceptions

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud

_OURS = 'hepix_vm'
INTERRUPTED = 130  # as shells have it of SIGINT


class _Help(argparse.RawDescriptionHelpFormatter):
    """Leaves paragraphs as they are written, for people and for Sphinx."""

    def _format_text(self, text: str) -> str:
        return super()._format_text(text.replace('::\n\n', ':\n'))


class Ours(command.Command):
    """A command that fails in one line, and asks a cloud if it needs one.

    :cvar examples: command lines that its help shows
    """

    # Those that need a cloud in any case say so; see :meth:`cloud`.
    auth_required = False
    examples: ClassVar[Sequence[str]] = ()
    status = 0  # what the program ends with if nothing is raised

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments, with examples."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.formatter_class = _Help
        shown = ''.join(f'\n  {example}' for example in self.examples)
        several = 's' if len(self.examples) > 1 else ''
        if shown:
            parser.epilog = (f'example{several}::\n{shown}\n\n'
                             f'{parser.epilog or ""}').rstrip()
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Do it; whatever goes wrong is one line.

        :returns: the exit status
        """
        with _plain_log(self.app.options.debug), _in_one_line(
                self.app.options.debug):
            return super().run(parsed_args) or self.status

    def cloud(self) -> 'Cloud':
        """Return the cloud that is asked, for which one logs in now."""
        from hepix_vm.osc import cloud

        if not self.auth_required:
            # Of this one run: the class is for files as well.
            self.auth_required = True
            self.app.prepare_to_run_command(self)
        return cloud.connect(self.app.client_manager)

    def say(self, line: str) -> None:
        """Say a line to whoever gave the command, beside its result."""
        print(line, file=sys.stderr)


class Lister(Ours, command.Lister):
    """A command that shows a table."""


class ShowOne(Ours, command.ShowOne):
    """A command that shows the fields of one thing."""

    @property
    def formatter_namespace(self) -> str:
        """Where the forms of output are: cliff's, and CSV."""
        return 'hepix_vm.formatters'


def moment(last: bool = False) -> Callable[[str], datetime.datetime]:
    """Return what reads a time of the command line.

    :param last: whether a day that is named still counts
    """
    def read(text: str) -> datetime.datetime:
        from hepix_vm.errors import ConfigError
        from hepix_vm.gate import utcnow
        from hepix_vm import moments

        try:
            return moments.parse(text, utcnow().replace(microsecond=0), last)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(
                f'{error.message} {error.remedy}') from error
    return read


@contextlib.contextmanager
def _in_one_line(debug: bool) -> Iterator[None]:
    """Let whatever is raised be an error of OpenStackClient.

    :param debug: whether stacks are wanted
    """
    from keystoneauth1 import exceptions as keystone_exceptions
    from openstack import exceptions as sdk_exceptions

    from hepix_vm.errors import HepixVmError
    from hepix_vm.errors import TrustError
    from hepix_vm.exchange.oneline import clean

    try:
        yield
    except HepixVmError as error:
        code = f'[{error.code}] ' if isinstance(error, TrustError) else ''
        raise exceptions.CommandError(
            f'{code}{error.message} {error.remedy}') from error
    except (exceptions.CommandError, exceptions.AuthorizationFailure,
            keystone_exceptions.ClientException,
            sdk_exceptions.SDKException, BrokenPipeError):
        raise  # OpenStackClient's own; it says them in a line.
    except KeyboardInterrupt as error:
        raise SystemExit(INTERRUPTED) from error
    except Exception as error:
        if debug:
            raise
        raise exceptions.CommandError(clean(
            f'{type(error).__name__}: {error}') + ' (--debug shows where)'
            ) from error


@contextlib.contextmanager
def _plain_log(debug: bool) -> Iterator[None]:
    """Let what is logged be a line each, and stacks be for --debug."""
    from hepix_vm.cmd import common

    log = logging.getLogger(_OURS)
    # Tells of each attempt; what came of them is an error.
    attempts = logging.getLogger('keystoneauth')
    handler = common.Stderr()
    handler.setFormatter(common.OneLine(debug))
    handler.setLevel(logging.DEBUG if debug else logging.WARNING)
    before: Any = log.propagate, attempts.level
    log.addHandler(handler)
    log.propagate = False
    if not debug:
        attempts.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.propagate = before[0]
        attempts.setLevel(before[1])
        log.removeHandler(handler)
