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

"""``openstack image catalog``: the image lists of a site."""

import argparse
from collections.abc import Iterator
from collections.abc import Sequence
import os
import sys
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc import columns
from hepix_vm.osc import here

if TYPE_CHECKING:
    from hepix_vm.exchange.run import Followed

_COLUMNS = {
    'ID': 'id', 'Title': 'title', 'Version': 'version',
    'Images': 'image_count', 'Expires': 'expires', 'State': 'state',
    'Codes': 'codes'}
_LONG = {
    'Created': 'created', 'Fetched': 'fetched', 'Endorser': 'endorser_dn',
    'CA': 'endorser_ca', 'URL': 'url'}

# Of a step: what hepix_vm.cmd.plantable calls them.
_STEPS = {
    'Action': 'Action', 'List': 'List', 'List ID': 'List ID',
    'Image': 'Image', 'Endorsed Image ID': 'Image ID',
    'Glance ID': 'Glance ID', 'In': 'In', 'Out': 'Out', 'Why': 'Why'}


class List(base.Lister):
    """List the image lists that this site follows or accepted.

    It reads the files of a controller, which hepix-vm.conf names
    (HEPIX_VM_CONFIG), and asks no cloud.
    """

    examples = ('openstack image catalog list',
                'openstack image catalog list --long -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--long', action='store_true',
            help='also show when lists were made and fetched, who signed '
                 'them, and where they come from')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the table."""
        from hepix_vm.osc import listed

        shown = _COLUMNS | (_LONG if parsed_args.long else {})
        return tuple(shown), [
            tuple(fields[key] for key in shown.values())
            for fields in map(listed.row, here.lists()[0])]


class Show(base.ShowOne):
    """Show an image list of this site, and the images in it.

    It reads the files of a controller, which hepix-vm.conf names
    (HEPIX_VM_CONFIG), and asks no cloud.
    """

    examples = (
        'openstack image catalog show 8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11',
        'openstack image catalog show -f json -c images "Images of Atlas"')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('list', metavar='LIST',
                            help='UUID or title of a list')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields."""
        from hepix_vm.exchange import inventory
        from hepix_vm.osc import listed

        found, site, store = here.lists()
        the_one = inventory.find(found, parsed_args.list)
        fields = listed.in_full(the_one, inventory.formers(
            store, the_one.uuid, site.trust))
        return tuple(fields), tuple(fields.values())


class Sync(base.Lister):
    """Fetch image lists, and bring Glance up to date with them.

    It does what hepix-vm-sync does, with the account that openstack was
    given, on a controller, whose files hepix-vm.conf names
    (HEPIX_VM_CONFIG). The rows are the steps that were carried out; with
    --dry-run, those that would be. What became of the lists, and what was
    refused or failed, is said on standard error.
    """

    auth_required = True
    examples = ('openstack image catalog sync --dry-run',
                'openstack image catalog sync '
                '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'lists', metavar='LIST', nargs='*',
            help='UUID or title of a list that is followed; all by default')
        parser.add_argument(
            '--no-fetch', action='store_true',
            help='follow the lists that were accepted before')
        parser.add_argument('--dry-run', action='store_true',
                            help='only show what would be done')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Do it, and return the table."""
        from hepix_vm.cmd import follow
        from hepix_vm.exchange.inventory import find
        from hepix_vm.exchange.run import Request

        known = here.lists()[0]
        came: list[Followed] = []
        run = follow.Run(
            self.cloud(), Request(
                only=frozenset(find(known, named).uuid for named
                               in parsed_args.lists) or None,
                dry_run=parsed_args.dry_run), not parsed_args.no_fetch,
            came.append, sys.stderr, 'openstack image catalog sync')
        self.status = int(run.run() > 0)
        return tuple(_STEPS), [
            row for followed in came
            for row in self._steps(followed, parsed_args.dry_run)]

    def _steps(self, followed: 'Followed',
               dry_run: bool) -> Iterator[tuple[Any, ...]]:
        from hepix_vm.cmd import plantable

        if dry_run:
            self.say(plantable.summary(followed.plan))
        for row in plantable.rows(
                followed.plan.steps if dry_run else followed.done.deeds,
                followed.outline, tuple(_STEPS.values())):
            yield tuple(
                columns.Bytes(cell) if title in plantable.BYTES else cell
                for title, cell in zip(_STEPS, row, strict=True))


class Verify(base.ShowOne):
    """Judge a signed image list as this site would if it were published.

    Signature, chain and dates are judged, whether the site pinned the
    endorser for this list, and whether the list may take the place of the
    version that the site accepted. It asks no cloud. Which CAs are trusted
    and which lists are subscribed it reads from the files of a controller,
    which hepix-vm.conf names (HEPIX_VM_CONFIG), or from those that are
    named here. The exit status is 0 only if the list would be accepted.
    """

    examples = (
        'openstack image catalog verify images.smime',
        'openstack image catalog verify https://lists.example.org/images',
        'openstack image catalog verify --trust-anchors certificates '
        '--subscriptions subscriptions.yaml images.smime')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('list', metavar='FILE|URL',
                            help='file, or https address, of a signed list')
        parser.add_argument(
            '--trust-anchors', metavar='DIR',
            help='folder of the CAs and CRLs; by default that of '
                 'hepix-vm.conf')
        parser.add_argument(
            '--subscriptions', metavar='FILE',
            help='subscriptions.yaml of a site; by default that of '
                 'hepix-vm.conf')
        parser.add_argument(
            '--tls-ca', metavar='PATH',
            help='CAs of web servers, a file or folder; by default what '
                 'subscriptions.yaml says of the address, or those of the '
                 'system')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields."""
        from hepix_vm.exchange import candidate
        from hepix_vm.exchange.store import ListStore
        from hepix_vm.gate import utcnow
        from hepix_vm.osc import listed
        from hepix_vm.site import SiteFiles

        settings = here.configured(
            trust_anchors=_absolute(parsed_args.trust_anchors),
            subscriptions_file=_absolute(parsed_args.subscriptions))
        for path, lacking in (
                (settings.trust_anchors, 'no CA is trusted'),
                (settings.subscriptions_file, 'no list is subscribed')):
            if not os.path.exists(path):
                self.say(f'{path} is not here: {lacking}.')
        site = SiteFiles(settings, complete=False).current()
        found = candidate.judge(
            candidate.fetch(parsed_args.list, site, settings,
                            _absolute(parsed_args.tls_ca)),
            site, ListStore(settings.state_dir), utcnow())
        self.status = int(bool(found.reasons))
        fields = listed.judged(found)
        return tuple(fields), tuple(fields.values())


class Publish(base.ShowOne):
    """Publish a signed list of images, for other sites.

    It does what hepix-vm-sync publish does, with the account that
    openstack was given; where no image of Glance is published, no cloud is
    asked. What the new version changes is shown before it is signed.
    """

    examples = (
        'openstack image catalog publish --output /srv/www/images.smime '
        'published.yaml',
        'openstack image catalog publish --put '
        'https://lists.example.org/images --token-file token --dry-run '
        'published.yaml')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        from hepix_vm.cmd import publish

        parser = super().get_parser(prog_name)
        # What begins like an option is none: a --passphrase would be one
        # for --passphrase-file, and stand on the command line.
        parser.allow_abbrev = False
        publish.add_options(parser)
        parser.add_argument(
            '--dry-run', action='store_true',
            help='only show what the new version changes')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Do it, and return the fields."""
        from hepix_vm.cmd import publish
        from hepix_vm.osc import listed

        def agreed(changes: Sequence[str]) -> bool:
            if parsed_args.dry_run or parsed_args.yes:
                return not parsed_args.dry_run
            for line in changes:
                self.say(line)
            return publish.confirmed()

        done = publish.publish_by(parsed_args, self.cloud, agreed)
        refused = not done.image_list or not (
            done.kept or parsed_args.dry_run)
        self.status = int(refused)
        fields = {
            'published': bool(done.kept), **listed.described(done.image_list),
            'changes': columns.Lines(list(done.changes)),
            'place': done.place, 'kept': done.kept}
        return tuple(fields), tuple(fields.values())


def _absolute(path: str | None) -> str:
    return os.path.abspath(path) if path else ''
