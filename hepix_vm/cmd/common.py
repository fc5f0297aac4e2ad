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

"""What all commands have in common: words for the terminal, and a Glance."""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import functools
import logging
import sys
import textwrap
from typing import Any
from typing import NoReturn

from keystoneauth1 import adapter as keystone_adapter
from oslo_config import cfg

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.report import FAILED
from hepix_vm.exchange.report import INTERRUPTED
from hepix_vm.exchange.report import MISCONFIGURED
from hepix_vm.exchange.report import STATUSES
from hepix_vm import opts

LOG = logging.getLogger(__name__)

_WIDTH = 78  # characters of a line of help

# Values of auth_type with which no Keystone is asked.
NO_KEYSTONE = frozenset({'none', 'http_basic', 'admin_token'})


class OneLine(logging.Formatter):
    """Says what went wrong in a line, and of an exception but its name.

    :param debug: whether the stack is wanted
    """

    def __init__(self, debug: bool) -> None:
        super().__init__('%(levelname)s: %(message)s')
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as the terminal shows it."""
        if self._debug or not record.exc_info:
            return super().format(record)
        error = record.exc_info[1]
        quiet = logging.makeLogRecord({
            **record.__dict__, 'exc_info': None, 'exc_text': None})
        return f'{super().format(quiet)}: {type(error).__name__}: {error}'


class Stderr(logging.Handler):
    """Writes to what stderr is when something is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        print(self.format(record), file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Reads a command line whose words are refused as settings are.

    :param examples: command lines that show how it is used
    """

    def __init__(self, *, description: str, examples: Sequence[str] = (),
                 epilog: str = '', **options: Any) -> None:
        self.examples = examples
        shown = ''.join(f'\n  {example}' for example in examples)
        several = 's' if len(examples) > 1 else ''
        super().__init__(
            description=textwrap.fill(description, _WIDTH),
            epilog='\n\n'.join(filter(None, [
                shown and f'example{several}:{shown}', epilog])),
            formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end; argparse's status 2 is a failure."""
        self.print_usage(sys.stderr)
        self.exit(MISCONFIGURED, f'{self.prog}: error: {message}\n')


def statuses() -> str:
    """Return what exit statuses mean, as help says it."""
    return 'exit status:\n' + '\n'.join(
        textwrap.fill(text, _WIDTH, initial_indent=f'  {status:<5}',
                      subsequent_indent=' ' * 7)
        for status, text in STATUSES.items())


def log_to_stderr(debug: bool) -> None:
    """Let everything that is logged go to stderr."""
    handler = Stderr()
    handler.setFormatter(OneLine(debug))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if debug else logging.WARNING)
    # It tells of each attempt; what came of them is an error.
    logging.getLogger('keystoneauth').setLevel(
        logging.INFO if debug else logging.ERROR)


def guarded(program: str, work: Callable[[], int]) -> int:
    """Return the exit status of some work, whatever happens in it.

    :param program: its name, with which errors begin
    """
    try:
        return work()
    except HepixVmError as error:
        return failed(program, error)
    except KeyboardInterrupt:
        print(f'{program}: interrupted.', file=sys.stderr)
        return INTERRUPTED
    except Exception:
        LOG.exception('hepix-vm failed; --debug shows where')
    return FAILED


def failed(program: str, error: HepixVmError) -> int:
    """Say what ended a command; return the exit status.

    :param program: its name
    """
    print(f'{program}: {error.message} {error.remedy}', file=sys.stderr)
    return MISCONFIGURED if isinstance(error, ConfigError) else FAILED


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """The Glance that the settings name.

    :param settings: the group ``hepix_vm`` of the configuration
    :param adapter: returns the way to a service, by its type
    :param keystone: whether there is a Keystone, which knows projects
    """

    settings: cfg.ConfigOpts.GroupAttr
    catalogue: Catalogue
    ledger: RestLedger
    adapter: Callable[[str], keystone_adapter.Adapter]
    keystone: bool


def connect() -> Cloud:
    """Return the cloud; nothing is asked yet.

    :raises ConfigError: the settings cannot be read
    """
    conf = config.load()
    settings = conf[opts.GROUP]
    adapter = functools.partial(credentials.adapter, conf)
    catalogue = Catalogue(adapter(credentials.IMAGE))
    return Cloud(
        settings, catalogue, RestLedger(catalogue, settings.ledger_owner),
        adapter, conf[credentials.GROUP].auth_type not in NO_KEYSTONE)
