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

"""``hepix-vm-sync adopt``: images that may stay without endorsement."""

import argparse
import datetime
import os
import pwd
from typing import TYPE_CHECKING

from hepix_vm.cmd import common
from hepix_vm.errors import ConfigError
from hepix_vm.exchange.adopt import Adoption
from hepix_vm.exchange.adopt import obstacle
from hepix_vm.exchange.adopt import Word
from hepix_vm.exchange.audit import Audit
from hepix_vm.exchange.audit import Finding
from hepix_vm.exchange.audit import UNKNOWN
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import utcnow
from hepix_vm.site import SiteFiles
from hepix_vm.yamlfile import Node

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[common.Parser]


def add_author_options(parser: argparse._ActionsContainer,
                       required: bool) -> None:
    """Add on whose word something is written, and why."""
    parser.add_argument(
        '--reason', metavar='TEXT', required=required,
        help='why, for whoever reads the record next')
    parser.add_argument(
        '--author', metavar='NAME', default=user(),
        help='who says so; by default who is logged in (%(default)s)')
    parser.set_defaults(until=None)


def add_word_options(parser: argparse._ActionsContainer,
                     required: bool) -> None:
    """Add what an operator says when he adopts images."""
    add_author_options(parser, required)
    parser.add_argument(
        '--until', metavar='DATE',
        help='the last day (2027-03-31), or a time '
             '(2027-03-31T12:00:00Z), for which it holds; by default it '
             'does not end')


def word_of(given: argparse.Namespace) -> Word:
    """Return what the options say.

    :raises ConfigError: they say nothing that can be kept
    """
    if not (given.reason or '').strip() or not given.author.strip():
        raise ConfigError('Neither --reason nor --author may be empty.',
                          remedy='Say who decides this, and why.')
    return Word(given.reason, given.author,
                _until(given.until) if given.until else None)


def add_parser(subparsers: '_Parsers') -> None:
    """Add the subcommand to a command line."""
    parser = subparsers.add_parser(
        'adopt', help='let images stay that nobody endorsed',
        description='Writes into the ledger that images may stay though '
        'nobody endorsed them. What is blocked, revoked or expired is not '
        'adopted. Nothing else is changed; the next sweep marks the images.',
        examples=[
            'hepix-vm-sync adopt --reason "image of Octavia" --until '
            '2027-03-31 2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42',
            'hepix-vm-sync adopt --reason "older than the gate" '
            '--all-unknown --dry-run'])
    add_word_options(parser, required=True)
    parser.add_argument('--all-unknown', action='store_true',
                        help='adopt all images that the audit calls unknown')
    parser.add_argument(
        '--dry-run', action='store_true', default=argparse.SUPPRESS,
        help='only say what would be done')
    parser.add_argument('images', metavar='IMAGE', nargs='*',
                        help='ids of images')
    parser.set_defaults(work=run, parser=parser)


def run(given: argparse.Namespace) -> int:
    """Adopt what is asked for.

    :returns: 1 if an image was refused
    :raises HepixVmError: nothing more can be done
    """
    if given.all_unknown is bool(given.images):
        given.parser.error('name images, or give --all-unknown')
    cloud = common.connect()
    site = SiteFiles(cloud.settings).current()
    adoption = Adoption(cloud.ledger, SteadyGate(site, cloud.ledger.search),
                        word_of(given))
    audit = Audit(cloud.catalogue, cloud.ledger, site)
    refused = 0
    if given.all_unknown:
        for found in audit.run():
            if found.state == UNKNOWN:
                refused += not _adopt(found, adoption, given.dry_run)
        return int(refused > 0)
    cloud.catalogue.check_administrator()
    for image_id in dict.fromkeys(given.images):
        image = cloud.catalogue.find(image_id)
        if image is None:
            print(f'{image_id} refused: there is no such image')
            refused += 1
        else:
            refused += not _adopt(audit.look(image), adoption,
                                  given.dry_run)
    return int(refused > 0)


def _adopt(found: Finding, adoption: Adoption, dry_run: bool) -> bool:
    """Adopt an image unless something speaks against it, and say so."""
    why = obstacle(found)
    if why:
        done = f'refused: {why}'
    elif adoption.adopted(found):
        done = 'adopted already'
    elif dry_run:
        done = 'would be adopted'
    else:
        adoption.write(found)
        done = f'adopted {adoption.end}'
    print(f'{found.held.image_id} {done} ({found.name})')
    return not why


def _until(text: str) -> datetime.datetime:
    until = Node(text, '--until', 0).time()
    if 'T' not in text:
        # The day that is named still counts, as in policy.yaml.
        until += datetime.timedelta(days=1)
    if until <= utcnow():
        raise ConfigError('The end lies in the past.', '--until')
    return until


def user() -> str:
    """Return who is at the terminal, also behind sudo."""
    try:
        return os.environ.get('SUDO_USER') or pwd.getpwuid(
            os.getuid()).pw_name
    except KeyError:
        return f'uid {os.getuid()}'
