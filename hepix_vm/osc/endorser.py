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

"""``openstack image endorser``: who may endorse what."""

import argparse
from typing import Any
from typing import TYPE_CHECKING

from osc_lib.cli import format_columns

from hepix_vm.osc import base
from hepix_vm.osc import here

if TYPE_CHECKING:
    import datetime

    from hepix_vm.exchange.endorsers import Pinned

_POLICY = 'policy.yaml'
_COLUMNS = ('Endorser', 'Source', 'VO', 'CA Expires', 'CRL Next Update',
            'Certificate Expires', 'State')
_LONG = ('CA', 'CRL', 'Projects', 'Email')


class List(base.Lister):
    """List who may endorse what, and when that ends.

    Endorsers are accepted by policy.yaml, for endorsements that come with
    images, or pinned for one list by subscriptions.yaml. The state is good,
    or the code of what speaks against an endorser; his certificate is known
    where a list that he signed is here. It reads the files of a controller,
    which hepix-vm.conf names (HEPIX_VM_CONFIG), and asks no cloud.
    """

    examples = ('openstack image endorser list',
                'openstack image endorser list --long '
                '--sort-column "CRL Next Update"')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--long', action='store_true',
            help='also show the CAs, what their CRLs are worth, and for '
                 'which projects and at which address an endorser is known')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the table."""
        from hepix_vm.exchange.endorsers import pinned
        from hepix_vm.gate import utcnow

        site = here.site(here.configured(), complete=False)
        columns = (*_COLUMNS, *(_LONG if parsed_args.long else ()))
        return columns, [
            _row(each)[:len(columns)] for each in pinned(site, utcnow())]


def _row(found: 'Pinned') -> tuple[Any, ...]:
    endorser, authority = found.endorser, found.authority
    return (
        endorser.dn, found.list_uuid or _POLICY, endorser.vo,
        _time(authority.expires if authority else None),
        _time(authority.crl_due if authority else None),
        _time(found.expires), found.state, endorser.ca, str(found.crl),
        format_columns.ListColumn(sorted(endorser.projects)),
        endorser.email)


def _time(at: 'datetime.datetime | None') -> str:
    from hepix_vm.trust.imagelist import format_time

    return format_time(at) if at else ''
