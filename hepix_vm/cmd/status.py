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


"""``hepix-vm-status``: what an operator asks before and after changes.

The commands are entry points of the group ``hepix_vm.status``.
"""

import argparse
from collections.abc import Sequence
from importlib import metadata
import sys
from typing import Any
import warnings

from cliff import app
from cliff import command
from cliff import commandmanager

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import PluginError

FAILURE = 2  # exit status of a command that could not do its work


class _EntryPoint(metadata.EntryPoint):
    """A command that says why it cannot be loaded."""

    def load(self) -> Any:
        """Return its class.

        :raises PluginError: it cannot be imported
        """
        try:
            return super().load()
        except Exception as error:
            raise PluginError(
                f'The command {self.name.replace("_", " ")} cannot be '
                f'loaded: {type(error).__name__}: {error}.',
                remedy='Install what requirements.txt of hepix-vm names, in '
                       'these versions or later ones.') from error


class _Commands(commandmanager.CommandManager):
    """Loads only what is asked for.

    cliff would load all, and go without a word without those that are broken.
    """

    def load_commands(self, namespace: str) -> None:
        """Learn what commands there are."""
        self.group_list.append(namespace)
        for each in metadata.entry_points(group=namespace):
            self.commands[each.name.replace('_', ' ')] = _EntryPoint(
                each.name, each.value, each.group)


class Status(app.App):
    """The program; its commands know nothing of it."""

    NAME = 'hepix-vm-status'
    DEFAULT_VERBOSE_LEVEL = 0  # warnings; -v tells more

    def __init__(self) -> None:
        super().__init__(
            'The state of hepix-vm in this cloud.',
            metadata.version('hepix-vm'),
            _Commands('hepix_vm.status'),
            deferred_help=True)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command, or say in one plain line that it is broken."""
        try:
            return super().run_subcommand(argv)
        except PluginError as error:
            if self.options.debug:
                raise
            self.stderr.write(f'{self.NAME}: {error} {error.remedy}\n')
            return FAILURE

    def prepare_to_run_command(self, cmd: command.Command) -> None:
        """Let what a command raises be one plain line."""
        run = cmd.run

        def reported(arguments: argparse.Namespace) -> int:
            try:
                return run(arguments)
            except HepixVmError as error:
                text = f'{error} {error.remedy}'
            except BrokenPipeError:
                raise  # cliff ends quietly.
            except Exception as error:
                if self.options.debug:
                    raise
                text = (f'{type(error).__name__}: {error} (--debug shows '
                        f'where)')
            self.stderr.write(f'{self.NAME}: {text}\n')
            return FAILURE

        setattr(cmd, 'run', reported)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    :param arguments: of the command line
    :returns: the exit status
    """
    if not sys.warnoptions:
        # What Glance's libraries tell their developers.
        warnings.simplefilter('ignore')
    wanted = sys.argv[1:] if arguments is None else arguments
    return Status().run(list(wanted) or ['help'])


if __name__ == '__main__':
    sys.exit(main())
