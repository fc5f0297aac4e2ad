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

"""The notifier ``vmcatcher``: an event handler of a site that had vmcatcher.

Names and values of the events are those of vmcatcher 0.6, so that a handler
need not be changed. The program is started as it is named, without
a shell, with the variables of the event and no others of ours.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import fcntl
import json
import logging as levels
import os
import signal
import subprocess
import time
import uuid

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import Notifier
from hepix_vm.exchange.notify.told import ToldFile
from hepix_vm.trust.model import ImageEntry

LOG = logging.getLogger(__name__)

# Seconds that the handler has for an event; vmcatcher gave it 10.
_PATIENCE = 60
# Seconds for all events of a run: the next run, or sweep, waits for this one.
_MOST = 600

_LONGEST = 32 * 1024  # bytes of a value; Linux takes 128 KiB

_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# Events that wait, and of these what only was listed: a first run over a
# large list makes one an image, and leaves room for what happens to images.
_LONGEST_QUEUE = 20_000
_MOST_LISTED = 10_000
# So many in a row that did not end, and the handler is let alone.
_MOST_HANGS = 3

_EXPIRE, _AVAILABLE, _LISTED = _ORDER = (
    'Expire', 'Available', 'SubscriptionImageNew')
# vmcatcher fetched what was listed again, as if it had never been there.
_AVAILABLE_KINDS = frozenset({Kind.IMAGE_AVAILABLE, Kind.IMAGE_ENDORSED})
_EXPIRE_KINDS = frozenset({
    Kind.IMAGE_EXPIRED, Kind.IMAGE_REVOKED, Kind.IMAGE_BLOCKED,
    Kind.IMAGE_SUPERSEDED})

_Variables = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Item:
    """What is told of one image.

    :param session: of the command in which it happened
    :param kind: which events these are: the first, or all, of their names
    :param of: variables of the image
    :param at: when it happened, as names of files have it
    """

    session: str
    kind: str
    of: _Variables
    at: str

    def calls(self) -> Iterator[tuple[str, str]]:
        """Yield types and file names of the events."""
        identifier = self.of['DC_IDENTIFIER']
        if self.kind == _LISTED:
            yield self.kind, ''
            return
        yield f'{self.kind}Prefix', identifier
        # Under that name vmcatcher archived the file.
        yield f'{self.kind}Postfix', (
            f'{identifier}.{self.at}' if self.kind == _EXPIRE
            else identifier)


class Vmcatcher(Notifier):
    """Starts the event handler.

    What happens to images in a run is told when the run ends, so that no
    handler holds up the images: what expired, then what is available, as
    vmcatcher did. A new version is there before the old one goes, and a
    handler, which knows both by one identifier, would take the new one away.
    What was listed, which vmcatcher told first, comes last: one list may have
    thousands. Until then it waits in ``told.db``, and whoever is killed, or
    for whom it takes too long, leaves it to the next run.
    """

    limit = 1800.0

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr) -> None:
        super().__init__(settings)
        self._argv = list(settings.vmcatcher_event_handler)
        if not self._argv or not os.path.isabs(self._argv[0]):
            raise ConfigError(
                '[hepix_vm] vmcatcher_event_handler is not the absolute path '
                'of a program, which the notifier vmcatcher needs.')
        if not os.access(self._argv[0], os.X_OK):
            raise ConfigError('It cannot be executed.', self._argv[0])
        self._base = {
            'PATH': _PATH, 'LANG': 'C.UTF-8',
            **settings.vmcatcher_environment}
        self._session = str(uuid.uuid4())
        self._sessions = {self._session}
        self._file, self._listed = (
            ToldFile(settings.state_dir, 'vmcatcher', longest)
            for longest in (_LONGEST_QUEUE, _MOST_LISTED))
        self._runs = os.path.join(settings.state_dir, 'vmcatcher.runs')
        self._run: int | None = None
        self._took = 0.0
        self._hangs = 0
        self._hung: TimeoutError | None = None

    def tell(self, event: Event) -> None:
        """Start the handler for what vmcatcher knows, or keep it for later.

        :raises TimeoutError: the handler did not end in time for an event
        :raises OSError: it cannot be started, or nothing be kept
        """
        if event.kind is Kind.RUN_BEGINS:
            self._begin()
        elif event.kind is Kind.RUN_ENDS:
            self._deliver(_ORDER)
            self._handle('ProcessPostfix', self._session, {})
            self._end()
        elif (item := self._item(event)) is not None:
            file = self._listed if item.kind == _LISTED else self._file
            with file.open() as told:
                told.queue([json.dumps(dataclasses.astuple(item))])
            if self._run is None:
                self._deliver((item.kind,))
        hung, self._hung = self._hung, None
        if hung is not None:
            raise hung

    def _begin(self) -> None:
        """Begin a run; what killed ones left is told first.

        Of that, what was only listed waits for the end of this one. While
        others of this controller are at work nobody knows what is left, and
        what only waits for the end of a run.
        """
        self._end()
        self._took = 0.0
        self._run = os.open(
            self._runs, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._handle('ProcessPrefix', self._session, {})
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._run, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sessions |= {
                item.session for item in self._waiting().values()}
            self._deliver((_EXPIRE, _AVAILABLE))
        fcntl.flock(self._run, fcntl.LOCK_SH)

    def _end(self) -> None:
        if self._run is not None:
            os.close(self._run)
        self._run = None

    def _item(self, event: Event) -> _Item | None:
        """Return what there is to tell of an event."""
        entry = event.entry
        kind = (_LISTED if event.kind is Kind.IMAGE_LISTED
                else _AVAILABLE if event.kind in _AVAILABLE_KINDS
                else _EXPIRE if event.kind in _EXPIRE_KINDS else '')
        if entry is None or not kind:
            return None  # vmcatcher knew images of lists only
        of = _listed(entry) if kind == _LISTED else _known(event, entry)
        return _Item(self._session, kind, {
            name: value[:_LONGEST] for name, value in of.items()},
            f'{event.at:%Y-%m-%d_%H-%M-%S}')

    def _waiting(self) -> dict[int, _Item]:
        with self._file.open() as told:
            return {number: _Item(*json.loads(item))
                    for number, item in told.waiting().items()}

    def _deliver(self, kinds: Collection[str]) -> None:
        """Tell what waits of these kinds, and is ours to tell."""
        found = self._waiting()
        with self._file.open() as told:
            missed = told.missed()
            told.said(missed)
        if missed:
            LOG.error('%d events did not fit in what waits for %s, and are '
                      'not told', missed, self._argv[0])
        sessions = list(dict.fromkeys(
            item.session for item in found.values()))
        due = [(number, item) for number, item in found.items()
               if item.session in self._sessions and item.kind in kinds]
        due.sort(key=lambda each: (each[1].kind == _LISTED,
                                   sessions.index(each[1].session),
                                   _ORDER.index(each[1].kind)))
        for done, (number, item) in enumerate(due):
            if self._hangs >= _MOST_HANGS or self._took >= _MOST:
                LOG.warning('%d images are told to %s in the next run',
                            len(due) - done, self._argv[0])
                return
            for what, filename in item.calls():
                self._handle(what, item.session, item.of, filename)
            with self._file.open() as told:
                told.done([number])

    def _handle(self, what: str, session: str, of: _Variables,
                filename: str = '') -> None:
        """Start the handler, and wait for it.

        An event for which it does not end is told no more; the next ones
        are.

        :raises OSError: it cannot be started
        """
        if self._hangs >= _MOST_HANGS:
            return
        variables = {**self._base, **{
            f'VMCATCHER_EVENT_{name}': value for name, value in
            {**of, 'UUID_SESSION': session, 'FILENAME': filename,
             'TYPE': what}.items() if value}}
        begin = time.monotonic()
        # What it writes goes where our own words go, and is nowhere kept.
        process = subprocess.Popen(  # noqa: S603
            self._argv, env=_encoded(variables), stdin=subprocess.DEVNULL,
            stdout=2, stderr=2,
            start_new_session=True)
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            # Whatever it started goes with it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._hangs += 1
            self._hung = TimeoutError(
                f'{self._argv[0]} did not end within {_PATIENCE} s for '
                f'{what}')
            LOG.error('%s', self._hung)
            return
        finally:
            self._took += time.monotonic() - begin
        self._hangs = 0
        LOG.log(levels.ERROR if status else levels.DEBUG,
                '%s ended with %d for the event %s', self._argv[0], status,
                what)


def _listed(entry: ImageEntry) -> _Variables:
    """Return what vmcatcher told of an image that a list newly had."""
    return {
        'DC_IDENTIFIER': entry.identifier,
        'DC_TITLE': entry.title,
        'DC_DESCRIPTION': entry.description,
        'HV_URI': entry.uri,
        'HV_SIZE': str(entry.size),
        'HV_VERSION': entry.version,
        'HV_HYPERVISOR': entry.hypervisor,
        'SL_ARCH': entry.arch,
        'SL_OS': entry.os,
        'SL_OSVERSION': entry.osversion,
        'SL_COMMENTS': entry.comments,
        'SL_CHECKSUM_SHA512': entry.sha512}


def _known(event: Event, entry: ImageEntry) -> _Variables:
    """Return what vmcatcher told of an image of its cache."""
    return {
        **_listed(entry),
        'HV_FORMAT': entry.format,
        'AD_MPURI': entry.extra_text('ad:mpuri'),
        'IL_DC_IDENTIFIER': (event.image_list.identifier if event.image_list
                             else event.list_uuid),
        'VO': event.image_list.vo if event.image_list else ''}


def _encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return an environment that can be handed over, whatever a list says."""
    return {name.encode(): value.replace('\0', '').encode(
        'utf-8', 'replace')[:_LONGEST] for name, value in variables.items()}
