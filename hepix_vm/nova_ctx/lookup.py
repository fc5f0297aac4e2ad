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

"""What Glance says of images that servers are to boot, kept for a while."""

from collections.abc import Callable
import logging
import threading
from typing import TypeVar

from oslo_config import cfg

from hepix_vm import credentials
from hepix_vm.deadline import Deadline
from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.ledger import LedgerCopy
from hepix_vm.gate import Search
from hepix_vm.held import Held
from hepix_vm.nova_ctx.answers import Answers
from hepix_vm import opts

LOG = logging.getLogger(__name__)

_Said = TypeVar('_Said')


class Unknown(HepixVmError):
    """A service does not say what must be known."""

    default_code = Code.UNAVAILABLE


def asked(service: str, deadline: Deadline,
          ask: Callable[[float], _Said]) -> _Said:
    """Return what a service says.

    :param service: what users know it by
    :param deadline: until when it is waited for, with all attempts and with
        Keystone, whose token is needed
    :param ask: asks, and raises TimeoutError after so many seconds
    :raises Unknown: it does not say; the log has the cause
    """
    if not deadline.left:
        raise Unknown('It takes too long now to look at all that would boot.')
    cause: Exception | None = None
    while left := deadline.left:
        try:
            return ask(left)
        except ServiceError as error:
            LOG.error('%s %s', error.message, error.remedy)
            raise _silent(service) from error
        except TimeoutError as error:
            # It may have been the time of another, who asked before.
            cause = error
    LOG.error('%s does not answer within boot_timeout.', service)
    raise _silent(service) from cause


def _silent(service: str) -> Unknown:
    return Unknown(f'{service} does not say now what would boot.')


class Lookup:
    """Asks Glance: one request an image, whoever asks meanwhile.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :raises ConfigError: there is no account to ask with
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        group = conf[opts.GROUP]
        # Who was waited for in vain goes on, and must not bring back what
        # was before.
        self._refreshing = threading.Lock()
        self._catalogue = Catalogue(credentials.adapter(
            conf, credentials.IMAGE, group.boot_timeout))
        self._ledger = LedgerCopy(self._catalogue, group.ledger_owner)
        self._images: Answers[Held | None] = Answers(
            group.boot_cache, _size, lasting=_is_active)
        self._refreshed: Answers[None] = Answers(
            group.boot_cache, lambda nothing: 0)

    def image(self, image_id: str, deadline: Deadline) -> Held | None:
        """Return an image; None if Glance has no such.

        :param image_id: as Nova will ask for it: in capitals and in small
            letters, it may be of two images
        :param deadline: until when Glance is waited for
        :raises Unknown: Glance does not say
        """
        return asked('Glance', deadline, lambda seconds: self._images.get(
            image_id, lambda: self._find(image_id), seconds))

    def _find(self, image_id: str) -> Held | None:
        found = self._catalogue.find(image_id)
        if found is None or found['id'] != image_id:
            return None
        return held_of(found)

    def ledger(self, deadline: Deadline) -> Search:
        """Return what searches the ledger as it is now.

        :param deadline: until when Glance is waited for
        :raises Unknown: Glance does not say
        """
        asked('Glance', deadline, lambda seconds: self._refreshed.get(
            '', self._refresh, seconds))
        return self._ledger.search

    def _refresh(self) -> None:
        with self._refreshing:
            self._ledger.refresh()


def _is_active(image: Held | None) -> bool:
    """Return whether an image may stay as it is for a while.

    Whoever waits for one that comes asks again and again.
    """
    return image is not None and image.status == 'active'


def _size(image: Held | None) -> int:
    return sum(map(len, image.extra.values())) if image else 0
