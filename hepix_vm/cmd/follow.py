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
"""``hepix-vm-sync`` without a command, and ``hepix-vm-sync fetch``."""

import argparse
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from contextlib import AbstractContextManager
import contextlib
import functools
import json
import sys
from typing import TYPE_CHECKING

from oslo_config import cfg
import prettytable

from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.exchange import coordination
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.follow import Follow
from hepix_vm.exchange.follow import Followed
from hepix_vm.exchange.follow import Request
from hepix_vm.exchange.follow import World
from hepix_vm.exchange.plan import Plan
from hepix_vm.exchange.plan import Step
from hepix_vm.exchange import report
from hepix_vm.exchange import usage
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.subscriptions import Following

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[argparse.ArgumentParser]

COLUMNS = ('Action', 'List', 'Image', 'Name', 'Glance ID', 'Bytes in',
           'Bytes out', 'Why')


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run to the command line."""
    parser.add_argument(
        '--list', metavar='UUID', dest='lists', action='append', default=[],
        help='only fetch this list and bring in its images; may be given '
             'several times')
    parser.add_argument(
        '--no-fetch', action='store_true',
        help='follow the lists that were accepted before')
    parser.add_argument(
        '-f', '--format', choices=('table', 'json'),
        help='of the plan that --dry-run prints; table by default')


def add_parser(subparsers: '_Parsers') -> None:
    """Add the subcommand to a command line."""
    parser = subparsers.add_parser(
        'fetch', help='bring in images whose bytes were evicted or refused')
    parser.add_argument(
        'images', metavar='IMAGE', nargs='+', help='dc:identifier of an '
        'image, or the id of its record in Glance')
    parser.add_argument('--dry-run', action='store_true',
                        help='only print the plan')
    parser.set_defaults(work=_fetch, parser=parser)


def run(given: argparse.Namespace) -> int:
    """Do one run.

    :returns: the exit status
    :raises HepixVmError: nothing can be done at all
    """
    if given.format and not given.dry_run:
        given.parser.error('-f is for --dry-run')
    return _run(Request(
        only=frozenset(map(str.lower, given.lists)) or None,
        dry_run=given.dry_run), given.format or 'table')


def _fetch(given: argparse.Namespace) -> int:
    return _run(Request(fetched=given.images, dry_run=given.dry_run),
                'table')


def _run(request: Request, shape: str) -> int:
    cloud = common.connect()
    site = SiteFiles(cloud.settings).current()
    _check(request.only or (), site)
    with _alone(cloud.settings, request.dry_run) as alone:
        if not alone:
            print('Another sync is at work; it does what is to be done.')
            return report.ALL_WELL
        followed = Follow(
            _world(cloud, site), request, _tell, print).run()
    if request.dry_run:
        print(_SHAPES[shape](followed.plan))
    return _said(followed)


def _tell(event: Event) -> None:
    """Stand in for whoever is told of events."""


def _check(only: Collection[str], site: Site) -> None:
    followed = {block.subscription.uuid
                for block in site.subscriptions.blocks if block.following}
    for uuid in sorted(set(only) - followed):
        raise ConfigError(f'--list: no list {uuid} is followed.',
                          remedy='Give the uuid of a list with a url in '
                                 'subscriptions.yaml.')


def _alone(settings: cfg.ConfigOpts.GroupAttr,
           dry_run: bool) -> AbstractContextManager[bool]:
    # Who only looks is in nobody's way.
    return contextlib.nullcontext(True) if dry_run else (
        coordination.alone(settings.coordination_url, settings.state_dir))


def _world(cloud: Cloud, site: Site) -> World:
    settings = cloud.settings
    identity = cloud.adapter(credentials.IDENTITY) if cloud.keystone else (
        None)
    limits = Limits(settings.fetch_timeout, settings.fetch_retries,
                    settings.max_list_bytes)

    def opened(following: Following,
               url: str) -> AbstractContextManager[Iterator[bytes]]:
        return Fetcher(following, settings.trust_anchors,
                       limits).stream(url)

    return World(
        cloud.catalogue, cloud.ledger, site,
        functools.partial(usage.project_ids, identity),
        usage.usage(cloud.adapter(credentials.COMPUTE)), opened,
        usage.own_project(identity) if identity else '')


def _said(followed: Followed) -> int:
    """Say what came of a run; return the exit status."""
    done = followed.done
    for refusal in followed.refusals:
        print(f'refused: {refusal}', file=sys.stderr)
    for failure in done.failures:
        print(f'failed: {failure}', file=sys.stderr)
    for note in followed.plan.notes:
        print(note, file=sys.stderr)
    for text in done.pending:
        print(f'pending: {text}')
    counts = [f'{action} {number}' for action, number in done.steps.items()]
    print(', '.join([*counts, f'refused {len(followed.refusals)}',
                     f'failed {len(done.failures)}']))
    if done.failures:
        return report.FAILED
    return report.REFUSED if followed.refusals else report.ALL_WELL


def _row(step: Step) -> list[object]:
    wanted, present = step.wanted, step.present
    entry = wanted.entry if wanted else None
    return [
        str(step.action),
        wanted.image_list.identifier if wanted else (
            present.list_id if present else ''),
        entry.identifier if entry else (
            present.identifier if present else ''),
        common.shown(present.name if present else (
            wanted.name if wanted else '')),
        present.image_id if present else '', step.bytes_in, step.bytes_out,
        step.why]


def _table(made: Plan) -> str:
    table = prettytable.PrettyTable(COLUMNS, align='l')
    table.add_rows([_row(step) for step in made.steps])
    total_in = sum(step.bytes_in for step in made.steps)
    total_out = sum(step.bytes_out for step in made.steps)
    return (f'{table}\n{len(made.steps)} steps, {total_in} bytes in, '
            f'{total_out} bytes out')


def _json(made: Plan) -> str:
    return json.dumps([dict(zip(COLUMNS, _row(step), strict=True))
                       for step in made.steps], indent=2)


_SHAPES: dict[str, Callable[[Plan], str]] = {'table': _table, 'json': _json}
