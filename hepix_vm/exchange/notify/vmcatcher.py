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

Names, values and order of the events are those of vmcatcher 0.6, so that a
handler need not be changed. The program is started as it is named, without
a shell, with the variables of the event and no others of ours.
"""

from collections.abc import Mapping
import logging as levels
import os
import signal
import subprocess
from typing import Any
import uuid

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import Notifier
from hepix_vm.trust.model import ImageEntry

LOG = logging.getLogger(__name__)

# Seconds that the handler has for an event; vmcatcher gave it 10.
_PATIENCE = 60

_LONGEST = 32 * 1024  # bytes of a value; Linux takes 128 KiB

_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# vmcatcher fetched what was listed again, as if it had never been there.
_AVAILABLE = frozenset({Kind.IMAGE_AVAILABLE, Kind.IMAGE_ENDORSED})
_EXPIRES = frozenset({
    Kind.IMAGE_EXPIRED, Kind.IMAGE_REVOKED, Kind.IMAGE_BLOCKED,
    Kind.IMAGE_SUPERSEDED})

_Variables = dict[str, str]


class Vmcatcher(Notifier):
    """Starts the event handler.

    What happens to images in a run is told when the run ends: first what
    expired, then what is available, as vmcatcher did. A new version is
    there before the old one goes, and a handler, which knows both by one
    identifier, would take the new one away.
    """

    limit = 4 * 3600.0

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
            **settings.vmcatcher_environment,
            'VMCATCHER_EVENT_UUID_SESSION': str(uuid.uuid4())}
        self._held: list[Event] | None = None

    def tell(self, event: Event) -> None:
        """Start the handler for what vmcatcher knows, or keep it for later.

        :raises TimeoutError: the handler did not end in time
        """
        if event.kind is Kind.RUN_BEGINS:
            self._held = []
            self._handle('ProcessPrefix', {})
        elif event.kind is Kind.RUN_ENDS:
            held, self._held = self._held or [], None
            for each in sorted(held, key=_is_available):
                self._about_image(each)
            self._handle('ProcessPostfix', {})
        elif self._held is not None and event.kind is not Kind.IMAGE_LISTED:
            self._held.append(event)
        else:
            self._about_image(event)

    def _about_image(self, event: Event) -> None:
        """Tell of an image before and after the change."""
        entry = event.entry
        if entry is None:
            return  # vmcatcher knew images of lists only
        of, identifier = _known(event, entry), entry.identifier
        if event.kind is Kind.IMAGE_LISTED:
            self._handle('SubscriptionImageNew', _listed(entry))
        elif event.kind in _AVAILABLE:
            self._handle('AvailablePrefix', of, identifier)
            self._handle('AvailablePostfix', of, identifier)
        elif event.kind in _EXPIRES:
            self._handle('ExpirePrefix', of, identifier)
            # Under that name vmcatcher archived the file.
            self._handle('ExpirePostfix', of,
                         f'{identifier}.{event.at:%Y-%m-%d_%H-%M-%S}')

    def _handle(self, what: str, of: _Variables, filename: str = '') -> None:
        """Start the handler, and wait for it.

        :raises TimeoutError: it did not end in time
        """
        variables = {**self._base, **{
            f'VMCATCHER_EVENT_{name}': value for name, value in
            {**of, 'FILENAME': filename, 'TYPE': what}.items() if value}}
        # What it writes goes where our own words go, and is nowhere kept.
        process = subprocess.Popen(  # noqa: S603
            self._argv, env=_encoded(variables), stdin=subprocess.DEVNULL,
            stdout=2, stderr=2,
            start_new_session=True)
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired as error:
            # Whatever it started goes with it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TimeoutError(
                f'{self._argv[0]} did not end within {_PATIENCE} s for '
                f'{what}') from error
        LOG.log(levels.ERROR if status else levels.DEBUG,
                '%s ended with %d for the event %s', self._argv[0], status,
                what)


def _is_available(event: Event) -> bool:
    return event.kind in _AVAILABLE


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
        'AD_MPURI': _text(entry.extra, 'ad:mpuri'),
        'IL_DC_IDENTIFIER': (event.image_list.identifier if event.image_list
                             else event.list_uuid),
        'VO': event.image_list.vo if event.image_list else ''}


def _text(extra: Mapping[str, Any], key: str) -> str:
    value = extra.get(key, '')
    return str(value) if isinstance(value, str | int) else ''


def _encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return an environment that can be handed over, whatever a list says."""
    return {name.encode(): value.replace('\0', '').encode(
        'utf-8', 'replace')[:_LONGEST] for name, value in variables.items()}
