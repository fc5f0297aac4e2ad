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

"""Taking lists in: fetched, verified, and put where the gate reads them.

What cannot be fetched or verified changes nothing, and one list never
stops the others.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import datetime
import logging
import threading
import urllib.parse

from oslo_config import cfg

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import FetchError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import chronicle
from hepix_vm.exchange.chronicle import Result
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import nobody
from hepix_vm.exchange.fetch import Fetched
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.inventory import reasons_against
from hepix_vm.exchange.report import ListReport
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange import transport
from hepix_vm.gate import utcnow
from hepix_vm.site import Site
from hepix_vm.site import SiteFiles
from hepix_vm.subscriptions import Block
from hepix_vm.subscriptions import Following
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)

# Lists that are fetched at the same time: nearly all that they do is wait.
_AT_ONCE = 100
# Of one server; one that is silent holds up its own lists only.
_OF_A_SERVER = 4
# What came of fetching: nothing where a list is brought by hand.
_Came = Fetched | HepixVmError | None


class Intake:
    """One run over the subscribed lists.

    :param settings: the group ``hepix_vm`` of the configuration
    :param tell: is told what happened to lists
    :param only: UUIDs of the lists that are taken in; all if empty
    :param marks: the highest version of each list that the ledger knows
    :param dry_run: whether nothing is stored, journalled or told
    """

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr, files: SiteFiles,
                 tell: Callable[[Event], None] = nobody,
                 only: Collection[str] = (),
                 marks: Mapping[str, str] | None = None,
                 dry_run: bool = False) -> None:
        self._settings = settings
        self._files = files
        self._tell = tell
        self._only = only
        self._marks = marks or {}
        self._dry_run = dry_run
        self._store = ListStore(settings.state_dir)
        self._site = files.current()
        self._turns: Mapping[str, threading.Semaphore] = {}

    @property
    def site(self) -> Site:
        """The site with the lists that :meth:`run` accepted.

        In a dry run they are not on disk.
        """
        return self._site

    def run(self) -> list[ListReport]:
        """Take the lists in.

        :returns: what became of them, in the order of the file
        :raises ConfigError: a list is not subscribed, or nothing can be
            written
        """
        blocks = self._chosen()
        if not blocks and (stored := self._store.uuids()):
            LOG.warning('%s names no list, and %d are stored: their images '
                        'go out of use', self._settings.subscriptions_file,
                        len(stored))
        self._turns = {_server(block): threading.BoundedSemaphore(
            _OF_A_SERVER) for block in blocks}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            came = list(pool.map(self._fetch, blocks))
        if self._dry_run:
            return self._take(blocks, came)[0]
        with self._store.alone():
            reports, events = self._take(blocks, came)
        # Who is told may take his time.
        for event in events:
            self._tell(event)
        return reports

    def _chosen(self) -> list[Block]:
        blocks = self._site.subscriptions.blocks
        for uuid in self._only:
            if not any(block.subscription.uuid == uuid for block in blocks):
                raise ConfigError(
                    f'The list {uuid} is not subscribed.',
                    self._settings.subscriptions_file,
                    remedy='Name a list of that file.')
        return [block for block in blocks
                if not self._only or block.subscription.uuid in self._only]

    def _fetch(self, block: Block) -> _Came:
        if block.following is None:
            return None
        seconds = self._settings.fetch_timeout
        turn = self._turns[_server(block)]
        if not turn.acquire(timeout=seconds):
            return FetchError(
                f'{transport.shown(block.following.url)} was not asked for: '
                f'for {seconds} seconds other lists waited for its server.',
                transport.SUBSCRIBER.network)
        try:
            return self._fetch_now(block.subscription.uuid, block.following)
        finally:
            turn.release()

    def _fetch_now(self, uuid: str, following: Following) -> _Came:
        settings = self._settings
        try:
            return Fetcher(
                following, settings.trust_anchors,
                Limits(settings.fetch_timeout, settings.fetch_retries,
                       settings.max_list_bytes)).get(
                self._store.note(uuid).validators(
                    following.url, self._store.read(uuid)))
        except HepixVmError as error:
            return error
        except Exception as error:
            return _unforeseen(uuid, error)

    def _take(self, blocks: Sequence[Block],
              came: Sequence[_Came]) -> tuple[list[ListReport],
                                               list[Event]]:
        """Judge what came, store what is good, and say what became of it.

        The files are read again: nobody else changes them now.
        """
        self._site = self._files.current()
        at = utcnow()
        results = [self._judge(block, each, at)
                   for block, each in zip(blocks, came, strict=True)]
        if not self._dry_run:
            self._keep(results, at)
        self._site = dataclasses.replace(
            self._site, accepted=self._with(results))
        writer = chronicle.Chronicle(
            self._settings.state_dir, self._store, self._site, at)
        reports = [writer.close(result, not self._dry_run)
                   for result in results if result.outcome]
        return reports, writer.events

    def _judge(self, block: Block, came: _Came,
               at: datetime.datetime) -> Result:
        """Return what came of a list; what is wrong concerns no other."""
        result = Result(block)
        try:
            self._judge_into(result, came, at)
        except TrustError as error:
            result.refuse([Reason.of(error)], error.remedy)
        except HepixVmError as error:
            result.fail(error)
        except OSError as error:
            result.fail(FetchError(
                f'The stored list cannot be read: {error.strerror}.',
                'Run the command as the user to whom state_dir belongs.'))
        except Exception as error:
            result.fail(_unforeseen(block.subscription.uuid, error))
        return result

    def _judge_into(self, result: Result, came: _Came,
                    at: datetime.datetime) -> None:
        """Complete a result.

        :raises HepixVmError: as it was when it was fetched, or what came
            cannot be relied upon
        """
        subscription = result.block.subscription
        accepted = self._site.accepted.by_uuid.get(subscription.uuid)
        result.old = accepted.signed.image_list if accepted else None
        stored = self._store.read(subscription.uuid)
        opened = self._opened(stored) if stored and not accepted else None
        if opened and not endorsement.pinned(opened, subscription):
            result.unused = opened.image_list
        if isinstance(came, HepixVmError):
            raise came
        if came is None or came.content is None or came.content == stored:
            if stored is None:
                return
            result.came = came
            # One that is not used says so again.
            accepted = accepted or endorsement.accept(
                stored, subscription, self._site.trust)
            result.stand(self._reasons(accepted, at))
            return
        if opened:
            result.old = opened.image_list
        result.came, result.before = came, stored
        given = endorsement.accept(
            came.content, subscription, self._site.trust)
        reasons = self._reasons(given, at)
        if result.old:
            said = {reason.code for reason in reasons}
            reasons += [reason for reason in endorsement.check_replacement(
                result.old, given.signed.image_list)
                if reason.code not in said]
        if reasons:
            result.refuse(reasons)
        else:
            result.accept(given)

    def _opened(self, stored: bytes) -> SignedList | None:
        """Return a list that is not used, whose version counts all the same.

        It may be of an endorser who is no longer pinned.
        """
        try:
            return endorsement.open_list(stored, self._site.trust)
        except TrustError:
            return None

    def _reasons(self, given: AcceptedList,
                 at: datetime.datetime) -> list[Reason]:
        """Return why a list may not be relied upon now."""
        site = self._site
        image_list = given.signed.image_list
        mark = self._marks.get(image_list.identifier, '')
        reasons = reasons_against(given.signed, site, at)
        if compare_versions(image_list.version, mark) < 0:
            reasons.append(Reason(
                Code.LIST_ROLLBACK, f'Version {image_list.version} of the '
                f'list {image_list.identifier} is older than version '
                f'{mark}, which this cloud accepted.'))
        return reasons

    def _with(self, results: Sequence[Result]) -> AcceptedLists:
        return self._site.accepted.replaced(
            result.given for result in results if result.given)

    def _keep(self, results: Sequence[Result],
              at: datetime.datetime) -> None:
        """Store the new lists; one that cannot be stored is not accepted."""
        unheld: OSError | None = None
        try:
            self._store.write_holders(
                self._with(results).holders.known, at)
        except OSError as error:
            LOG.error('It cannot be written which list holds which image: '
                      '%s', error)
            unheld = error
        for result in results:
            if not result.given or not result.came:
                continue
            try:
                if unheld:
                    raise unheld
                self._store.put(
                    result.block.subscription.uuid,
                    result.came.content or b'', result.before, at)
            except OSError as error:
                result.fail(FetchError(
                    f'The list cannot be stored: {error.strerror}.',
                    f'Look at {self._settings.state_dir}; the next run '
                    f'tries again.'))


def _server(block: Block) -> str:
    """Return what answers for a list; nothing for a file."""
    return urllib.parse.urlsplit(
        block.following.url if block.following else '').netloc


def _unforeseen(uuid: str, error: Exception) -> HepixVmError:
    LOG.error('The list %s cannot be taken in', uuid, exc_info=error)
    return HepixVmError('The list cannot be taken in.')
