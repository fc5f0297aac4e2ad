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

"""``hepix-vm-status ledger``: what the ledger says."""

import argparse

from cliff import lister

from hepix_vm.cmd import common
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Record

COLUMNS = ('Fact', 'Kind', 'Names', 'Version', 'Since', 'Until', 'Author',
           'Reason', 'Lifted')


class Ledger(lister.Lister):
    """Show the records of the ledger: blocks, adoptions and the others.

    It needs an account that is an administrator of Glance.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--lifted', action='store_true',
                            help='show those that were taken back, too')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace
            ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the table, oldest first."""
        cloud = common.connect()
        # Others are shown an empty ledger.
        cloud.catalogue.check_administrator()
        found = sorted((record for record in cloud.ledger.all()
                        if parsed_args.lifted or not record.lifted),
                       key=lambda record: record.at)
        return COLUMNS, [_row(record) for record in found]


def _row(record: Record) -> tuple[str, ...]:
    return (str(record.fact), str(record.kind or ''), record.value,
            record.version, format_time(record.at),
            format_time(record.until) if record.until else '',
            record.author, record.reason, record.lifted)
