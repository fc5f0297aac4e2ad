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

"""The record of what was decided: who, what, when, why.

Each service appends JSON lines to ``state_dir/journal/SERVICE.jsonl``;
the same records go out as oslo.messaging notifications, so that a site
with several controllers merges them in its usual collector.
"""

import fcntl
import json
import os
import socket
import time
from typing import Any
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_log import log as logging

if TYPE_CHECKING:
    import oslo_messaging

LOG = logging.getLogger(__name__)

EVENT_TYPE = 'hepix_vm.verdict'

# Seconds for which the journal's lock is waited for, and between two looks.
_PATIENCE = 2.0
_PAUSE = 0.01


class Journal:
    """Appends records to a file, and sends them to a bus.

    A record that cannot be written or sent is an error in the log and
    changes nothing of what was decided.

    :param state_dir: the folder that has ``journal/``
    :param service: who writes; there is a file a service
    :param conf: configuration of the notifications; None sends none
    """

    def __init__(self, state_dir: str, service: str,
                 conf: cfg.ConfigOpts | None = None) -> None:
        self.path = os.path.join(state_dir, 'journal', f'{service}.jsonl')
        self._service = service
        self._host = socket.gethostname()
        self._conf = conf
        self._notifier: oslo_messaging.Notifier | None = None

    def record(self, record: dict[str, Any]) -> None:
        """Write and send one record.

        :param record: what happened, in values that JSON has
        """
        record = {'service': self._service, 'host': self._host, **record}
        try:
            self._append(json.dumps(record, ensure_ascii=True))
        except OSError as error:
            LOG.error('The journal %s cannot be written: %s', self.path,
                      error)
        if self._conf is not None:
            self._notify(record)

    def _append(self, line: str) -> None:
        """Append a line whole or not at all.

        The processes of a service share the file.
        """
        os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        descriptor = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC,
            0o640)
        try:
            _lock(descriptor)
            data = line.encode() + b'\n'
            end = os.fstat(descriptor).st_size
            if os.write(descriptor, data) != len(data):
                os.ftruncate(descriptor, end)
                raise OSError('the disk is full')
        finally:
            os.close(descriptor)

    def _notify(self, record: dict[str, Any]) -> None:
        # Only services have a bus; commands do not wait for its library.
        import oslo_messaging

        try:
            if self._notifier is None:
                self._notifier = oslo_messaging.Notifier(
                    oslo_messaging.get_notification_transport(self._conf),
                    publisher_id=f'hepix-vm.{self._host}',
                    # By default it tries for ever, and who asked waits.
                    retry=1)
            self._notifier.info({}, EVENT_TYPE, record)
        except Exception as error:  # a bus may raise what it likes
            LOG.error('The verdict cannot be sent as a notification: %s',
                      error)


def _lock(descriptor: int) -> None:
    """Lock a file that others lock for an instant only.

    Whoever holds it for longer, by mistake or not, holds up no verdict.

    :raises BlockingIOError: somebody holds it
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
