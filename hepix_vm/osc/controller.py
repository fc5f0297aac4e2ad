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

"""What lives on a controller, and where it is not here what to do."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oslo_config import cfg

    from hepix_vm.exchange.inventory import Listed
    from hepix_vm.exchange.store import ListStore
    from hepix_vm.site import Site


def settings(**instead: str | None) -> 'cfg.ConfigOpts.GroupAttr':
    """Return the group ``hepix_vm`` of the configuration.

    :param instead: values of options that the command line has
    :raises ConfigError: it cannot be read
    """
    from hepix_vm import config
    from hepix_vm import opts

    conf = config.load()
    for name, value in instead.items():
        if value:
            conf.set_override(name, value, opts.GROUP)
    group: cfg.ConfigOpts.GroupAttr = conf[opts.GROUP]
    return group


def needed(path: str, what: str) -> None:
    """Refuse to go on where a file of a controller is not here.

    :param path: of the file
    :param what: is in it, as the beginning of a sentence
    :raises ConfigError: it is not here
    """
    from hepix_vm.errors import ConfigError

    if not os.path.exists(path):
        raise ConfigError(
            f'It is not here. {what} on a controller.', path,
            remedy='Give the command on a controller, or name its '
                   'hepix-vm.conf in HEPIX_VM_CONFIG.')


def site(group: 'cfg.ConfigOpts.GroupAttr') -> 'Site':
    """Return the site of this controller.

    :raises ConfigError: this is none, or a file of it cannot be read
    """
    from hepix_vm.site import SiteFiles

    # A site that follows no list may lack the other file.
    if not os.path.exists(group.subscriptions_file):
        needed(group.policy_file, 'Whom a site trusts is known')
    return SiteFiles(group, complete=False).current()


def lists() -> tuple[list['Listed'], 'Site', 'ListStore']:
    """Return the image lists of this controller, and what they lie in.

    :raises ConfigError: this is none, or a file of it cannot be read
    """
    from hepix_vm.exchange.inventory import inventory
    from hepix_vm.exchange.store import ListStore
    from hepix_vm.gate import utcnow

    group = settings()
    here, store = site(group), ListStore(group.state_dir)
    return inventory(here, store, utcnow()), here, store
