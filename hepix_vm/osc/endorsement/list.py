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

"""``openstack image endorsement list``."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import datetime
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base

if TYPE_CHECKING:
    from hepix_vm.exchange.catalogue import Image

_COLUMNS = ('ID', 'Name', 'State', 'VO', 'Expires')
_LONG = (*_COLUMNS, 'Status', 'Visibility', 'Project ID',
         'Endorsed Image ID', 'Image Version', 'List ID', 'List Version',
         'Endorser', 'Approved', 'Shareable', 'Reason')
_PROPERTIES = {
    'ID': 'id', 'Name': 'name', 'VO': 'hepix_vo', 'Expires': 'hepix_expires',
    'Status': 'status', 'Visibility': 'visibility', 'Project ID': 'owner',
    'Endorsed Image ID': 'hepix_image_id',
    'Image Version': 'hepix_image_version',
    'List ID': 'hepix_list_id', 'List Version': 'hepix_list_version',
    'Endorser': 'hepix_endorser_dn', 'Approved': 'hepix_approved',
    'Shareable': 'hepix_shareable', 'Reason': 'hepix_reason'}
_FLAGS = ('Approved', 'Shareable')
# As trust.standing.State has them, which costs its import at every
# openstack; a test compares both.
STATES = ('endorsed', 'expired', 'revoked', 'superseded', 'blocked',
          'derived', 'adopted', 'refused')


class List(base.Lister):
    """List images that bear an endorsement, with what the cloud decided.

    It reads what Glance shows: by default of the images that "openstack
    image list" shows. An endorsement that ended is shown as expired, also
    where no sweep marked the image yet.
    """

    auth_required = True
    examples = (
        'openstack image endorsement list --state expired --state revoked',
        'openstack image endorsement list --expiring-within 14d --long',
        'openstack image endorsement list --all-projects --vo atlas -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--state', metavar='STATE', dest='states', action='append',
            choices=STATES, default=[], help=f'only images in this state: '
            f'{", ".join(STATES)}; may be given several times')
        parser.add_argument(
            '--endorser', metavar='DN', type=_dn, help='only images '
            'of this endorser, by the distinguished name that --long '
            'shows, such as "/C=EU/O=Example Grid/CN=Alice Endorser"')
        parser.add_argument('--vo', metavar='VO', default='',
                            help='only images of this VO')
        parser.add_argument(
            '--expiring-within', metavar='DURATION|DATE', dest='until',
            type=base.moment(last=True), help='only images whose '
            'endorsement holds now and ends until then, such as 14d or '
            '2027-03-31')
        parser.add_argument('--long', action='store_true',
                            help='show all that the image bears')
        parser.add_argument(
            '--all-projects', action='store_true', help='list the images of '
            'all projects, and hidden ones (administrators)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
        """Return the table."""
        from hepix_vm.exchange import marks
        from hepix_vm.gate import utcnow

        given, now = parsed_args, utcnow()
        found = marks.find(
            self.cloud().catalogue, marks.Sought(
                frozenset(given.states), given.endorser or '', given.vo,
                given.until), now, given.all_projects)
        columns = _LONG if given.long else _COLUMNS
        return columns, _rows(found, columns, now)


def _dn(text: str) -> str:
    """Return a name as it is written on images; no other would be found."""
    if not text.startswith('/'):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no distinguished name such as /C=EU/O=Example '
            f'Grid/CN=Alice Endorser. Give it as --long shows it, or '
            f'"openssl x509 -subject -nameopt compat".')
    return text


def _rows(found: Iterable['Image'], columns: tuple[str, ...],
          now: datetime.datetime) -> Iterator[tuple[Any, ...]]:
    from hepix_vm.exchange import marks

    for image in found:
        yield tuple(
            marks.state(image, now) if column == 'State'
            else marks.flag(image, _PROPERTIES[column]) if column in _FLAGS
            else marks.line(image, _PROPERTIES[column])
            for column in columns)
