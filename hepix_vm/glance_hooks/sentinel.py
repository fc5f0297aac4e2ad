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

"""The sentinel: a driver of Glance's notifications that judges images.

Every route by which an image becomes active that was ever seen tells so
by a notification, in the process that did it and before anything else is
done. A driver cannot forbid it; it can take the image out of use at once.
"""

import contextvars
import threading
import time
from typing import Any

from oslo_log import log as logging
from oslo_messaging.notify import notifier

LOG = logging.getLogger(__name__)

_POLL = 1.0  # seconds between looks at imports that go on
_LOCK_LIMIT = 2 * 60 * 60  # seconds; Glance gives a lock up after one hour
# Settling an image saves it, which notifies again.
_settling = contextvars.ContextVar('settling', default=False)


class Sentinel(notifier.Driver):
    """Takes images out of use that are active and should not be.

    It stands beside the drivers that a site has, in
    ``[oslo_messaging_notifications] driver``. Glance makes one for every
    notifier, of which it has many.
    """

    def notify(self, context: Any, message: dict[str, Any], priority: str,
               retry: Any) -> None:
        """Judge the image that a notification is about.

        :param message: as Glance sends it; ``payload`` shows the image
        """
        payload = message.get('payload')
        if (_settling.get() or not isinstance(payload, dict)
                or not str(message.get('event_type')).startswith('image.')
                or payload.get('status') != 'active'):
            return
        try:
            if not _settle(payload['id']):
                _imports.wait_for(payload['id'])
        except Exception:
            LOG.exception('The sentinel cannot judge the image %s',
                          payload.get('id'))


class _Imports:
    """Judges images once their imports are over, in a thread.

    Nothing is sent when an import drops its lock.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def wait_for(self, image_id: str) -> None:
        """Judge an image later."""
        with self._lock:
            self._until[image_id] = time.monotonic() + _LOCK_LIMIT
            if self._worker is None:
                self._worker = threading.Thread(
                    target=self._work, name='hepix-sentinel', daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while self._more():
            time.sleep(_POLL)
            for image_id, until in list(self._until.items()):
                if self._settled(image_id) or time.monotonic() > until:
                    with self._lock:
                        # Unless it began to be imported anew meanwhile.
                        if self._until[image_id] == until:
                            del self._until[image_id]

    def _more(self) -> bool:
        with self._lock:
            if not self._until:
                self._worker = None
            return bool(self._until)

    @staticmethod
    def _settled(image_id: str) -> bool:
        try:
            return _settle(image_id)
        except Exception:
            LOG.exception('The sentinel cannot judge the image %s', image_id)
            return False


_imports = _Imports()


def _settle(image_id: str) -> bool:
    """Settle an image, unless its import goes on.

    :returns: whether it was judged, or is gone
    """
    from hepix_vm.glance_hooks import images
    from hepix_vm.glance_hooks import ledger
    from hepix_vm.glance_hooks import service

    token = _settling.set(True)
    try:
        return images.settle(
            service.gate(), images.repository(ledger.context()), image_id,
            route='sentinel')
    finally:
        _settling.reset(token)
