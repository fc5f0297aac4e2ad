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

"""``hepix-vm-status audit``: what the gate thinks of every image."""

import argparse
import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import logging
import os

from cliff import columns
from cliff import lister

from hepix_vm.cmd.adopt import add_word_options
from hepix_vm.cmd.adopt import word_of
from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange.adopt import Adoption
from hepix_vm.exchange.adopt import obstacle
from hepix_vm.exchange.adopt import Word
from hepix_vm.exchange.audit import Audit
from hepix_vm.exchange.audit import Finding
from hepix_vm.exchange.audit import UNKNOWN
from hepix_vm.exchange.audit import with_lists
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles

LOG = logging.getLogger(__name__)

COLUMNS = ('State', 'Status', 'Owner', 'Name', 'ID', 'Visibility', 'SHA-512',
           'Reasons', 'Configured', 'Enforcing', 'Legacy', 'Permissive')


class Digest(columns.FormattableColumn[str]):
    """A digest, of which a table shows the beginning."""

    def human_readable(self) -> str:
        """Return as much as tells two images apart by eye."""
        return f'{self._value[:12]}...' if len(self._value) == 128 else (
            self._value)


class AuditImages(lister.Lister):
    """List the images of this Glance with what the gate thinks of them.

    Only images that have data are shown. Nothing is changed, unless
    --adopt is given, and nothing is downloaded.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command line."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--list', metavar='FILE', dest='lists', action='append',
            default=[], help='judge as if this site followed the signed '
            'image list in the file; may be given several times')
        group = parser.add_argument_group('adopting')
        group.add_argument(
            '--adopt', action='store_true', help='show which images are '
            'unknown, and after a question let all of them stay')
        group.add_argument('--yes', action='store_true',
                           help='adopt without a question')
        add_word_options(group, required=False)
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Iterable[Sequence[object]]]:
        """Return the columns, and rows that are made one by one."""
        word = word_of(parsed_args) if parsed_args.adopt else None
        cloud = common.connect()
        site = _site(cloud, parsed_args.lists)
        found = Audit(cloud.catalogue, cloud.ledger, site)
        if word:
            self._adopt(cloud, site, found, word, parsed_args.yes)
        return COLUMNS, self._rows(found.run())

    def _rows(self, found: Iterable[Finding]) -> Iterator[Sequence[object]]:
        states: collections.Counter[str] = collections.Counter()
        done: collections.Counter[str] = collections.Counter()
        for each in found:
            states[each.state] += 1
            for mode in ('configured', 'enforcing', 'legacy'):
                done[f'{mode} {getattr(each, mode)}'] += 1
            yield _row(each)
        self._say(_summary(states, done))

    def _adopt(self, cloud: Cloud, site: Site, found: Audit, word: Word,
               sure: bool) -> None:
        """Adopt all unknown images, if that is really meant."""
        adoption = Adoption(cloud.ledger, SteadyGate(
            site, cloud.ledger.search), word)
        plan = []
        for each in found.run():
            if each.state == UNKNOWN and not obstacle(each):
                plan.append(each.held.image_id)
                self._say(f'{each.held.image_id} {each.held.owner} '
                          f'{each.name}')
        self._say(f'{len(plan)} images would be adopted by {word.author} '
                  f'{adoption.end}: {word.reason}')
        if plan and not sure and not self._asked():
            raise HepixVmError('Nothing was adopted.',
                               remedy='Answer y, or give --yes.')
        done = 0
        for image_id in plan:
            image = cloud.catalogue.find(image_id)
            # What was asked may have taken its time.
            if image and not obstacle(again := found.look(image)):
                adoption.write(again)
                done += 1
        self._say(f'{done} images adopted.')

    def _asked(self) -> bool:
        self.app.stderr.write('Adopt them? [y/N] ')
        self.app.stderr.flush()
        return self.app.stdin.readline().strip().lower() in ('y', 'yes')

    def _say(self, line: str) -> None:
        self.app.stderr.write(f'{line}\n')


def _site(cloud: Cloud, lists: Iterable[str]) -> Site:
    """Return what the site decided, which may be nothing yet."""
    settings = cloud.settings
    for path in (settings.policy_file, settings.trust_anchors):
        if not os.path.exists(path):
            LOG.warning('%s does not exist: nobody is trusted yet', path)
    return with_lists(
        SiteFiles(settings, complete=False).current(),
        [(path, _read(path)) for path in lists])


def _read(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f'It cannot be read: {error.strerror}.', path,
                          remedy='Give the file of a signed image list.'
                          ) from error


def _row(found: Finding) -> Sequence[object]:
    held = found.held
    return (found.state, held.status, held.owner, found.name, held.image_id,
            held.visibility, Digest(found.sha512), ', '.join(found.codes),
            found.configured, found.enforcing, found.legacy,
            found.permissive)


def _summary(states: collections.Counter[str],
             done: collections.Counter[str]) -> str:
    """Return the counts as one sentence."""
    each = ', '.join(f'{number} {state}' for state, number
                     in sorted(states.items()))
    modes = (
        ('configured', 'As configured'), ('enforcing', 'Enforcing'),
        ('legacy', 'Enforcing that allows images older than the gate'))
    acts = ' '.join(
        f'{text} deactivates {done[f"{mode} deactivate"]} and reactivates '
        f'{done[f"{mode} reactivate"]}.' for mode, text in modes)
    return f'{states.total()} images: {each or "none"}. {acts}'
