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

"""What lies on this machine, and who gives the commands.

A site's files lie on its controllers; who administers it from elsewhere has
none of them.
"""

import argparse
import os
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oslo_config import cfg

    from hepix_vm.exchange.inventory import Listed
    from hepix_vm.exchange.store import ListStore
    from hepix_vm.site import Site


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the files by which is judged in place of the site's own."""
    parser.add_argument(
        '--trust-anchors', metavar='DIR', default='', help='folder of '
        'CAs and CRLs, instead of that of hepix-vm.conf')
    parser.add_argument(
        '--policy', metavar='FILE', default='', help='policy.yaml of a '
        'site, instead of that of hepix-vm.conf')


def configured(**instead: str | None) -> 'cfg.ConfigOpts.GroupAttr':
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


def has_site(settings: 'cfg.ConfigOpts.GroupAttr') -> bool:
    """Return whether the site's files are here.

    :param settings: the group ``hepix_vm`` of the configuration
    """
    return os.path.exists(settings.policy_file)


def site(settings: 'cfg.ConfigOpts.GroupAttr',
         complete: bool = True) -> 'Site':
    """Return what the site decided, as its files here say.

    :param settings: the group ``hepix_vm`` of the configuration
    :param complete: whether all is needed by which images are judged;
        else a site that trusts nobody, and one that has subscriptions.yaml
        alone, are sites as well
    :raises ConfigError: they are not here, or cannot be read
    """
    from hepix_vm.site import SiteFiles

    if complete or not os.path.exists(settings.subscriptions_file):
        needed(settings.policy_file, 'What the site decided lies')
    return SiteFiles(settings, complete).current()


def lists() -> tuple[list['Listed'], 'Site', 'ListStore']:
    """Return the image lists of this controller, and what they lie in.

    :raises ConfigError: this is none, or a file of it cannot be read
    """
    from hepix_vm.exchange.inventory import inventory
    from hepix_vm.exchange.store import ListStore
    from hepix_vm.gate import utcnow

    group = configured()
    found, store = site(group, False), ListStore(group.state_dir)
    return inventory(found, store, utcnow()), found, store


def author(manager: Any) -> str:
    """Return who gives a command, as records name him.

    :param manager: the ClientManager of the program
    """
    account = _account(manager)
    if account is not None and account.username:
        domain = account.user_domain_name or account.user_domain_id
        return f'{account.username}@{domain}' if domain else str(
            account.username)
    from hepix_vm.cmd import adopt

    return adopt.user()


def project(manager: Any) -> str:
    """Return the id of the project to which one is logged in.

    :param manager: the ClientManager of the program
    :raises HepixVmError: one is logged in to none
    """
    from hepix_vm.errors import HepixVmError

    account = _account(manager)
    if account is None or not account.project_id:
        raise HepixVmError(
            'One is logged in to no project.',
            remedy='Give --all-projects, or the project to which you log '
                   'in: --os-project-name.')
    return str(account.project_id)


def _account(manager: Any) -> Any:
    """Return what Keystone said of the account; None where there is none."""
    from hepix_vm.cmd import common

    return (None if manager.auth_plugin_name in common.NO_KEYSTONE
            else manager.auth_ref)
