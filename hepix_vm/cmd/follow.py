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
from collections.abc import Sequence
import contextlib
from contextlib import AbstractContextManager
import dataclasses
import functools
import logging
import sys
from typing import TextIO
from typing import TYPE_CHECKING

from oslo_config import cfg

from hepix_vm.cmd import common
from hepix_vm.cmd.common import Cloud
from hepix_vm.cmd import plantable
from hepix_vm import credentials
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange import coordination
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.event import nobody
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.follow import Follow
from hepix_vm.exchange.intake import Intake
from hepix_vm.exchange import metrics
from hepix_vm.exchange.notify import Notifiers
from hepix_vm.exchange.notify import once
from hepix_vm.exchange import progress
from hepix_vm.exchange import report
from hepix_vm.exchange.report import ListReport
from hepix_vm.exchange.run import Followed
from hepix_vm.exchange.run import Request
from hepix_vm.exchange.run import World
from hepix_vm.exchange.settle import newest
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.exchange import tidings
from hepix_vm.exchange import usage
from hepix_vm.gate import utcnow
from hepix_vm.journal import Journal
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.subscriptions import Following

if TYPE_CHECKING:
    _Parsers = argparse._SubParsersAction[common.Parser]

LOG = logging.getLogger(__name__)

_PROGRAM = 'hepix-vm-sync'


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
    parser.add_argument(
        '-c', '--column', metavar='COLUMN', dest='columns', action='append',
        default=[], choices=plantable.COLUMNS,
        help='of the table, in the order in which they are named: '
             f'{", ".join(plantable.COLUMNS)}')


def add_parser(subparsers: '_Parsers') -> None:
    """Add the subcommand to a command line."""
    parser = subparsers.add_parser(
        'fetch', help='bring in images whose bytes were evicted or refused',
        description='Brings in images which were evicted, or whose bytes '
        'were refused, and does nothing else.', examples=[
            'hepix-vm-sync fetch 2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'])
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
    if (given.format or given.columns) and not given.dry_run:
        given.parser.error('-f and -c are for --dry-run')
    if given.columns and given.format == 'json':
        given.parser.error('-c is for the table')
    return Run(common.connect(), Request(
        only=frozenset(map(str.lower, given.lists)) or None,
        dry_run=given.dry_run), not given.no_fetch, functools.partial(
            _print_plan, given.dry_run, given.format or 'table',
            given.columns),
        # Of a dry run standard output has the plan alone.
        sys.stderr if given.dry_run else sys.stdout).run()


def _fetch(given: argparse.Namespace) -> int:
    return Run(
        common.connect(),
        Request(fetched=given.images, dry_run=given.dry_run), False,
        functools.partial(_print_plan, given.dry_run, 'table', ()),
        sys.stderr if given.dry_run else sys.stdout).run()


def _print_plan(dry_run: bool, shape: str, columns: Sequence[str],
                followed: Followed) -> None:
    if not dry_run:
        return
    print(plantable.as_json(
        followed.plan, followed.outline, followed.done.failures)
        if shape == 'json' else plantable.table(
            followed.plan, followed.outline, columns,
            plantable.terminal_width(sys.stdout)))


class Run:
    """One run: lists are fetched, then followed, and it is said who is told.

    :param cloud: that is asked, by whoever began the run
    :param fetching: whether lists are fetched, or only those that were
        accepted before followed
    :param show: is given what came of it
    :param out: where else what is done is said
    :param program: its name, with which errors begin
    """

    def __init__(self, cloud: Cloud, request: Request, fetching: bool,
                 show: Callable[[Followed], None], out: TextIO,
                 program: str = _PROGRAM) -> None:
        self._cloud = cloud
        self._request = request
        self._fetching = fetching
        self._show = show
        self._out = out
        self._program = program
        self._began = utcnow()
        self._reports: Sequence[ListReport] = ()
        settings = cloud.settings
        metrics.check(settings.metrics_file)
        self._files = SiteFiles(settings)
        self._site = self._files.current()
        self._tell = nobody if request.dry_run else Notifiers(settings).tell

    def run(self) -> int:
        """Do it, and return the exit status."""
        _check(self._request.only or (), self._site)
        if not self._site.subscriptions.followed:
            print(f'No list is followed: '
                  f'{self._cloud.settings.subscriptions_file} is not there, '
                  f'or names none with a url.', file=sys.stderr)
        self._tell(Event(Kind.RUN_BEGINS, utcnow()))
        try:
            if self._fetching:
                self._intake()
            followed, status = self._follow()
            status = max(status, report.status_of(self._reports))
        finally:
            self._tell(Event(Kind.RUN_ENDS, utcnow()))
        if self._fetching and not self._request.dry_run:
            metrics.write(
                self._cloud.settings.metrics_file, self._site, self._reports,
                self._measured(followed, status))
        return status

    def _measured(self, followed: Followed | None, status: int,
                  ) -> metrics.Run:
        """Return what metrics say of the run.

        Of what it did not look at they keep what they said.
        """
        run = metrics.Run(self._began, utcnow(), status)
        if followed is None:
            return run
        run = dataclasses.replace(run, images=followed.states)
        return run if self._request.only else dataclasses.replace(
            run, refused=[refusal.code for refusal in followed.refusals
                          if refusal.code],
            waiting=len(followed.approvals))

    def _intake(self) -> None:
        intake = Intake(
            self._cloud.settings, self._files, self._tell,
            self._request.only or (), self._marks(), self._request.dry_run)
        self._reports = intake.run()
        self._site = intake.site
        for each in self._reports:
            print(each, file=self._out)

    def _marks(self) -> dict[str, str]:
        """Return the highest versions of lists that any controller has."""
        try:
            return {uuid: newest(self._cloud.ledger.search, uuid)
                    for uuid in self._site.accepted.subscriptions}
        except HepixVmError as error:
            # Lists are fetched though Glance is down; the marks are looked
            # at again before anything is done with them.
            LOG.warning('The ledger cannot be read: %s', error.message)
            return {}

    def _follow(self) -> tuple[Followed | None, int]:
        """Follow the lists; return what came of it and what that is worth.

        What was fetched counts, whatever happens here.
        """
        settings = self._cloud.settings
        try:
            with _alone(settings, self._request.dry_run) as alone:
                if not alone and self._request.fetched:
                    raise HepixVmError(
                        'Another sync is at work, so nothing was fetched.',
                        remedy='Give the command again when that has ended.')
                if not alone:
                    print('Another sync is at work; it does what is to be '
                          'done.', file=self._out)
                    return None, report.ALL_WELL
                followed = Follow(
                    _world(self._cloud, self._site), self._request,
                    self._tell, progress.choose(self._out)).run()
        except HepixVmError as error:
            return None, common.failed(self._program, error)
        self._show(followed)
        if not self._request.dry_run:
            once.tell(settings.state_dir, tidings.found(
                followed.refusals, followed.approvals, utcnow()), self._tell)
        return followed, self._say(followed)

    def _say(self, followed: Followed) -> int:
        """Say what came of it; return the exit status."""
        done, refused = followed.done, [
            *map(_unknown, followed.unknown), *map(str, followed.refusals)]
        for kind, lines, file in (
                ('refused: ', refused, sys.stderr),
                ('failed: ', done.failures, sys.stderr),
                ('', (*followed.plan.notes, *done.notes), sys.stderr),
                ('waiting: ', followed.approvals, self._out),
                ('pending: ', done.pending, self._out),
                ('', () if self._request.dry_run else followed.summary,
                 self._out)):
            for line in lines:
                print(f'{kind}{line}', file=file)
        if done.failures:
            return report.FAILED
        return report.REFUSED if refused else report.ALL_WELL


def _check(only: Collection[str], site: Site) -> None:
    for uuid in sorted(set(only).difference(site.subscriptions.followed)):
        raise ConfigError(f'No list {uuid} is followed.',
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
                       limits).stream(url, settings.bring_time)

    return World(
        cloud.catalogue, cloud.ledger, site,
        functools.partial(usage.project_ids, identity),
        usage.usage(cloud.adapter(credentials.COMPUTE),
                    cloud.adapter(credentials.BLOCK_STORAGE)), opened,
        coordination.bringer(settings.coordination_url, settings.state_dir),
        settings.bring_time, Journal(settings.state_dir, SERVICE).record,
        usage.own_project(identity) if identity else '')


def _unknown(name: str) -> str:
    return (f'image {name}: [{Code.NOT_ENDORSED}] No list that is followed '
            f'has it, or its block does not select it. Give its '
            f'dc:identifier, or the id of its record in Glance.')
