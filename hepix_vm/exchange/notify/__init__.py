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

"""Who is told what happens to lists and images.

A notifier is a plugin of the group ``hepix_vm.notifiers``. One that is
missing or broken is an error when a command begins; one that fails later is
logged and journalled, and changes nothing of what the command does.
"""

import abc
import threading

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import PluginError
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.steady import SERVICE
from hepix_vm.journal import Journal
from hepix_vm import loading
from hepix_vm.trust.imagelist import format_time

LOG = logging.getLogger(__name__)


class Notifier(abc.ABC):
    """Tells somebody.

    :param settings: the group ``hepix_vm`` of the configuration
    :raises ConfigError: the options of this notifier cannot be used
    """

    # Seconds that one call of tell may take. One that takes longer is not
    # waited for, and not asked again by this process.
    limit = 120.0

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr) -> None:
        self.settings = settings

    @abc.abstractmethod
    def tell(self, event: Event) -> None:
        """Tell of one event.

        It is called for one event after the other, and may raise what it
        likes.
        """


class Notifiers:
    """Those that the option ``notifiers`` names.

    :param settings: the group ``hepix_vm`` of the configuration
    :raises ConfigError: one is not installed, or does not load, or its
        options cannot be used
    """

    def __init__(self, settings: cfg.ConfigOpts.GroupAttr) -> None:
        self._journal = Journal(settings.state_dir, SERVICE)
        offered = loading.offered(loading.NOTIFIERS)
        if unknown := set(settings.notifiers).difference(offered):
            raise ConfigError(
                f'[hepix_vm] notifiers: there is no {", ".join(unknown)}, '
                f'but {", ".join(offered)}.',
                remedy='Correct the name, or install the package that has '
                       'it.')
        try:
            plugins = loading.load(loading.NOTIFIERS, settings.notifiers)
        except PluginError as error:
            raise ConfigError(f'[hepix_vm] notifiers: {error.message}',
                              remedy=error.remedy) from error
        self._notifiers = dict(zip(
            settings.notifiers, (plugin(settings) for plugin in plugins),
            strict=True))

    def tell(self, event: Event) -> None:
        """Let each of them tell; nothing that goes wrong is raised."""
        for name, notifier in list(self._notifiers.items()):
            cause, hangs = _tell(notifier, event)
            if hangs:
                del self._notifiers[name]
            if cause is not None:
                self._record(name, event, cause.__name__)

    def _record(self, name: str, event: Event, cause: str) -> None:
        self._journal.record({
            'time': format_time(event.at), 'event': 'notifier-failed',
            'notifier': name, 'about': str(event.kind), 'cause': cause})


def _tell(notifier: Notifier,
          event: Event) -> tuple[type[BaseException] | None, bool]:
    """Let one tell; return what it failed with, and whether it hangs.

    What hangs holds up nobody: the thread ends with the process.
    """
    failed: list[type[BaseException]] = []

    def work() -> None:
        try:
            notifier.tell(event)
        except HepixVmError as error:
            LOG.error('The notifier %s failed to tell of %s: %s %s',
                      type(notifier).__name__, event.kind, error.message,
                      error.remedy)
            failed.append(type(error))
        except Exception as error:
            LOG.exception('The notifier %s failed to tell of %s',
                          type(notifier).__name__, event.kind)
            failed.append(type(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(notifier.limit)
    if thread.is_alive():
        LOG.error('The notifier %s took more than %d s to tell of %s, and is '
                  'not asked again', type(notifier).__name__, notifier.limit,
                  event.kind)
        return TimeoutError, True
    return failed[0] if failed else None, False
