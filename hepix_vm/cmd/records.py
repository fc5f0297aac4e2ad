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

"""``hepix-vm-sync block``, ``approve``, ``share`` and ``lift``.

They write by hand what an operator decides.
"""

import argparse
from collections.abc import Callable
from collections.abc import Collection
import functools
import sys
from typing import TYPE_CHECKING

from hepix_vm.cmd import adopt
from hepix_vm.cmd import common
from hepix_vm.errors import ConfigError
from hepix_vm.errors import MalformedError
from hepix_vm.exchange.report import ALL_WELL
from hepix_vm.exchange.report import REFUSED
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange.word import Named
from hepix_vm.exchange.word import Register
from hepix_vm.journal import Journal
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.settings import Blockable

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[common.Parser]

_LIFTED = frozenset({
    Fact.BLOCKED, Fact.REVOKED, Fact.SUPERSEDED, Fact.ADOPTED, Fact.APPROVED,
    Fact.SHAREABLE})
# What is said of an image that a list may have, wherever its bytes are.
_LISTED = (Blockable.SHA512, Blockable.IMAGE)
_NAMED = {
    Blockable.SHA512: ('DIGEST', 'bytes, by their SHA-512 in hexadecimal '
                       'digits'),
    Blockable.IMAGE: ('UUID', 'an endorsed image, by its dc:identifier'),
    Blockable.GLANCE_IMAGE: ('ID', 'an image of Glance, by its id'),
    Blockable.LIST: ('UUID', 'a list, by its dc:identifier'),
    Blockable.ENDORSER: ('DN', 'an endorser, by his distinguished name')}


_EXAMPLE = ('hepix-vm-sync {} --image 2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42 '
            '--reason "{}"')
# What each command that writes one adds, what then happens, and why one
# may do it.
_WRITERS = {
    'block': (Fact.BLOCKED, 'refuse something on all controllers, until it '
              'is lifted', 'the next sweep takes what is in use out of use',
              'CVE-2026-1234'),
    'approve': (Fact.APPROVED, 'let an image run whose list waits for an '
                'operator', 'the next run shows those of lists to their '
                'users, and the next sweep marks the others',
                'scanned, and sound'),
    'share': (Fact.SHAREABLE, 'let an image be published to other sites',
              'the next sweep marks its images', 'made at this site')}


def add_parsers(subparsers: '_Parsers') -> None:
    """Add the subcommands to a command line."""
    for name, (fact, text, then, why) in _WRITERS.items():
        _add(subparsers.add_parser(
            name, help=text, description=f'Writes into the ledger that '
            f'hepix-vm is to {text}; {then}.',
            examples=[_EXAMPLE.format(name, why)]),
             _NAMED if fact is Fact.BLOCKED else _LISTED,
             functools.partial(_write, event=name, fact=fact, then=then))
    _add(subparsers.add_parser(
        'lift', help='take back what the other commands, or lists, said',
        description='Takes back what the ledger says: blocks, revocations, '
        'that something was superseded, adoptions, approvals, and that '
        'something may be shared. All of it goes at once: what was blocked '
        'and had been approved has to be approved again. The records stay.',
        examples=[
            _EXAMPLE.format('lift', 'mended')]),
        _NAMED, _lift)


def _add(parser: argparse.ArgumentParser, kinds: Collection[Blockable],
         work: Callable[[Register, Named], int]) -> None:
    named = parser.add_mutually_exclusive_group(required=True)
    for kind in kinds:
        value, text = _NAMED[kind]
        named.add_argument(f'--{kind.replace("_", "-")}', dest=kind,
                           metavar=value, help=text)
    adopt.add_author_options(parser, required=True)
    parser.set_defaults(work=lambda given: _run(given, work), parser=parser)


def _run(given: argparse.Namespace,
         work: Callable[[Register, Named], int]) -> int:
    """Read the arguments, and do the work.

    :raises HepixVmError: they name nothing, or it cannot be done
    """
    word = adopt.word_of(given)
    kind = next(kind for kind in Blockable if getattr(given, kind, None))
    try:
        value = ledger.value_of(kind, getattr(given, kind))
    except MalformedError as error:
        raise ConfigError(error.message, remedy='Correct the command.'
                          ) from error
    cloud = common.connect()
    # Others are shown an empty ledger.
    cloud.catalogue.check_administrator()
    return work(Register(cloud.ledger, word, Journal(
        cloud.settings.state_dir, SERVICE)), (kind, value))


def _write(register: Register, named: Named, *, event: str, fact: Fact,
           then: str) -> int:
    done = (f'{fact}; {then}' if register.write(event, fact, named)
            else f'{fact} already')
    print(f'{named[1]} {done}')
    return ALL_WELL


def _lift(register: Register, named: Named) -> int:
    status = REFUSED
    for record in register.lift(_LIFTED, [named]):
        print(f'{named[1]} no longer {record.fact} ({record.reason})')
        status = ALL_WELL
    if status:
        print(f'Nothing is said of {named[1]} that can be taken back',
              file=sys.stderr)
    return status
