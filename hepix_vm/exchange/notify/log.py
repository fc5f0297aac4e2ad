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

"""The notifier ``log``: a line an event."""

import logging as levels

from oslo_log import log as logging

from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import Notifier
from hepix_vm.exchange.notify import words

LOG = logging.getLogger(__name__)

_WARNED = frozenset({
    Kind.LIST_REFUSED, Kind.LIST_STALE, Kind.LIST_CLASHES,
    Kind.IMAGE_REFUSED, Kind.IMAGE_WAITS, Kind.IMAGE_EXPIRED,
    Kind.IMAGE_REVOKED, Kind.IMAGE_BLOCKED, Kind.SERVER_RUNS,
    Kind.SERVER_LOCKED, Kind.SERVER_STOPPING, Kind.SERVER_UNSTOPPED})


class Log(Notifier):
    """Writes to the log of whoever tells.

    What an operator should look at is a warning, all else informs.
    """

    def tell(self, event: Event) -> None:
        """Log one event."""
        about = {'list': words.list_of(event), 'image': words.image_of(event),
                 'server': words.server_of(event)}
        LOG.log(levels.WARNING if event.kind in _WARNED else levels.INFO,
                '%s', ' '.join([
                    f'{words.happened(event)}:' if any(about.values())
                    else f'{words.happened(event)}.',
                    *(f'{what} {value}.' for what, value in about.items()
                      if value), *words.why(event, for_operators=True)]))
