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

"""``hepix-vm-sync block`` and ``lift``: what an operator writes by hand."""

import argparse
from collections.abc import Callable
import sys
from typing import TYPE_CHECKING

from hepix_vm.cmd import adopt
from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm.exchange.adopt import Word
from hepix_vm.gate import utcnow
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

_REFUSED = 1  # exit status
_NAMED = {
    Blockable.SHA512: ('DIGEST', 'bytes, by their SHA-512 in hexadecimal '
                       'digits'),
    Blockable.IMAGE: ('UUID', 'an endorsed image, by its dc:identifier'),
    Blockable.GLANCE_IMAGE: ('ID', 'an image of Glance, by its id'),
    Blockable.LIST: ('UUID', 'a list, by its dc:identifier'),
    Blockable.ENDORSER: ('DN', 'an endorser, by his distinguished name')}


def add_parsers(subparsers: '_Parsers') -> None:
    """Add the subcommands to a command line."""
    _add(subparsers.add_parser(
        'block', help='refuse something on all controllers, until it is '
        'lifted'), _block)
    _add(subparsers.add_parser(
        'lift', help='take blocks and revocations back'), _lift)


def _add(parser: argparse.ArgumentParser,
         work: Callable[[Cloud, Blockable, str, Word], int]) -> None:
    named = parser.add_mutually_exclusive_group(required=True)
    for kind, (value, text) in _NAMED.items():
        named.add_argument(f'--{kind.replace("_", "-")}', dest=kind,
                           metavar=value, help=text)
    adopt.add_author_options(parser, required=True)
    parser.set_defaults(work=lambda given: _run(given, work), parser=parser)


def _run(given: argparse.Namespace,
         work: Callable[[Cloud, Blockable, str, Word], int]) -> int:
    """Read the arguments, and do the work.

    :raises HepixVmError: they name nothing, or it cannot be done
    """
    word = adopt.word_of(given)
    kind = next(kind for kind in Blockable if getattr(given, kind))
    value = ledger.value_of(kind, getattr(given, kind))
    cloud = common.connect()
    # Others are shown an empty ledger.
    cloud.catalogue.check_administrator()
    return work(cloud, kind, value, word)


def _block(cloud: Cloud, kind: Blockable, value: str, word: Word) -> int:
    cloud.ledger.write(Record(
        Fact.BLOCKED, kind, value, word.reason, word.author, utcnow()))
    print(f'{value} blocked')
    return 0


def _lift(cloud: Cloud, kind: Blockable, value: str, word: Word) -> int:
    records = [
        record for record in cloud.ledger.search(
            [ledger.name_of(kind, value)])
        if record.fact in (Fact.BLOCKED, Fact.REVOKED) and not record.lifted]
    for record in records:
        cloud.ledger.lift(record, f'{word.author}: {word.reason}')
        print(f'{value} no longer {record.fact} ({record.reason})')
    if not records:
        print(f'{value} was neither blocked nor revoked', file=sys.stderr)
    return 0 if records else _REFUSED
