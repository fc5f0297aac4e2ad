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

"""``hepix-vm-sync``: what is done again and again, and by operators."""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import functools
import os
import pathlib
import sys

from keystoneauth1 import adapter as keystone_adapter

from hepix_vm.cmd import adopt
from hepix_vm.cmd import common
from hepix_vm.cmd import follow
from hepix_vm.cmd import import_config
from hepix_vm.cmd import publish
from hepix_vm.cmd import records
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.ended import Ended
from hepix_vm.exchange.ended import Services
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.event import nobody
from hepix_vm.exchange.notify import Notifiers
from hepix_vm.exchange import report
from hepix_vm.exchange.sweep import Sweep
from hepix_vm.exchange.sweep import SWEPT
from hepix_vm.exchange import usage
from hepix_vm.gate import utcnow
from hepix_vm import lockfile
from hepix_vm.site import SiteFiles


_PROGRAM = 'hepix-vm-sync'


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    :returns: the exit status
    """
    given = _parser().parse_args(arguments)
    common.log_to_stderr(given.debug)
    if given.sweep and (given.work or given.lists or given.no_fetch
                        or given.format or given.columns):
        given.parser.error('--sweep goes with --dry-run and --debug only')
    work = given.work or (_sweep if given.sweep else follow.run)
    return common.guarded(_PROGRAM, functools.partial(work, given))


def _parser() -> common.Parser:
    parser = common.Parser(
        prog=_PROGRAM, description='Fetches the image lists that this site '
        'follows, brings their images into Glance, and keeps all images as '
        'the verdicts on them are.', examples=[
            f'{_PROGRAM} --dry-run',
            f'{_PROGRAM} --list 8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11',
            f'{_PROGRAM} --sweep'], epilog=common.statuses())
    parser.add_argument(
        '--sweep', action='store_true',
        help='judge all active images, and those that were taken out of '
             'use, and make them what they must be')
    parser.add_argument('--dry-run', action='store_true',
                        help='only say what would be done')
    follow.add_options(parser)
    parser.add_argument('--debug', action='store_true',
                        help='say more, and show where an error came from')
    parser.set_defaults(work=None, parser=parser)
    commands = parser.add_subparsers(metavar='COMMAND')
    adopt.add_parser(commands)
    follow.add_parser(commands)
    records.add_parsers(commands)
    import_config.add_parser(commands)
    publish.add_parser(commands)
    return parser


def _sweep(given: argparse.Namespace) -> int:
    cloud = common.connect()
    with _alone(cloud.settings.state_dir) as alone:
        if not alone:
            print('Another sweep is at work; it does what is to be done.')
            return 0
        site = SiteFiles(cloud.settings).current()
        tell = nobody if given.dry_run else Notifiers(cloud.settings).tell
        tell(Event(Kind.RUN_BEGINS, utcnow()))
        try:
            sweep = Sweep(cloud.catalogue, cloud.ledger, site, print,
                          given.dry_run, tell)
            tally = sweep.run()
            # Images come first: what fails here leaves none in use.
            servers = Ended(
                sweep.settler, site, _services(cloud),
                cloud.settings.state_dir, print, tell, given.dry_run,
            ).run(sweep.out)
        finally:
            tell(Event(Kind.RUN_ENDS, utcnow()))
        if not given.dry_run:
            # Its time says that sweeps are run here.
            pathlib.Path(cloud.settings.state_dir, SWEPT).touch(0o640)
    print(f'{tally}, {servers}')
    return report.FAILED if tally.failed or servers.failed else 0


def _services(cloud: common.Cloud) -> Services:
    """Return who knows servers."""
    def there(service: str) -> keystone_adapter.Adapter | None:
        found = cloud.adapter(service)
        return found if usage.is_there(found, cloud.keystone) else None

    return Services(
        functools.partial(there, credentials.COMPUTE),
        functools.partial(there, credentials.BLOCK_STORAGE),
        cloud.adapter(credentials.IDENTITY) if cloud.keystone else None)


@contextlib.contextmanager
def _alone(state_dir: str) -> Iterator[bool]:
    """Keep other sweeps of this controller away.

    :returns: False if one is at work
    """
    path = os.path.join(state_dir, 'sweep.lock')
    with contextlib.ExitStack() as stack:
        try:
            alone = stack.enter_context(lockfile.alone(path))
        except OSError as error:
            raise ConfigError(f'It cannot be opened: {error.strerror}.', path,
                              remedy='Run the sweep as the user to whom '
                                     'state_dir belongs.') from error
        yield alone


if __name__ == '__main__':
    sys.exit(main())
