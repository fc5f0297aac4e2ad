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

"""Whether lists are followed on this controller, and images swept."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import datetime
import os

from oslo_config import cfg

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import account
from hepix_vm.exchange import endorsers
from hepix_vm.exchange.report import remedy_of
from hepix_vm.exchange.rest import Rest
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange.sweep import SWEPT
from hepix_vm import findings
from hepix_vm.findings import Finding
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.gate import utcnow
from hepix_vm import opts
from hepix_vm import paths
from hepix_vm.site import SiteFiles

_NOTHING = 'No image is brought in, or taken out of use'
_METADEFS = '/v2/metadefs/namespaces/OS::HEPiX::Endorsement'
_TIMEOUT = 10  # seconds
# As the timers have them, and as much again for a run that takes long.
_SWEPT = datetime.timedelta(minutes=15)
_FETCHED = datetime.timedelta(hours=3)


def check() -> list[Finding]:
    """Return what all checks found in the settings of this controller.

    :raises ConfigError: they cannot be read
    """
    return findings.look(_CHECKS, config.load())


def _check_account(conf: cfg.ConfigOpts) -> Found:
    """Whether Glance shows every image and lets it be changed."""
    yield from account.check(conf, _NOTHING)


def _check_metadefs(conf: cfg.ConfigOpts) -> Found:
    """Whether Glance explains our properties."""
    try:
        glance = Rest(credentials.adapter(conf, credentials.IMAGE, _TIMEOUT),
                      'Glance', {-1: 'Look into the log of glance-api.',
                                 0: 'Look whether it runs.'})
        answer = glance.request('GET', _METADEFS, (200, 404))
    except ConfigError:
        return  # _check_account says it.
    except ServiceError as error:
        yield Severity.WARNING, f'{error.message} {error.remedy}'
        return
    if answer.status_code == 404:
        yield Severity.WARNING, (
            'Glance cannot explain the properties of hepix-vm to users. Run '
            'glance-manage db load_metadefs --path /etc/hepix-vm/metadefs '
            'on a host of glance-api.')


def _check_files(conf: cfg.ConfigOpts) -> Found:
    """Whether the site's files can be used."""
    try:
        SiteFiles(conf[opts.GROUP]).current()
    except HepixVmError as error:
        yield account.until_mended(error, _NOTHING)


def _check_endorsers(conf: cfg.ConfigOpts) -> Found:
    """Whether somebody may endorse, and is believed."""
    try:
        site = SiteFiles(conf[opts.GROUP]).current()
    except HepixVmError:
        return  # _check_files says it.
    found = list(endorsers.pinned(site, utcnow()))
    if not found:
        yield Severity.WARNING, (
            f'Every image is refused: nobody may endorse. Name an endorser '
            f'in {conf[opts.GROUP].policy_file}, or a list in '
            f'{conf[opts.GROUP].subscriptions_file}.')
    for each in found:
        if each.state != endorsers.GOOD:
            of = f' of the list {each.list_uuid}' if each.list_uuid else ''
            yield Severity.WARNING, (
                f'What {each.endorser.dn}{of} endorses is refused with '
                f'{each.state}. {remedy_of(Code(each.state))}')


def _check_lists(conf: cfg.ConfigOpts) -> Found:
    """Whether each list is here, and was asked for lately."""
    group = conf[opts.GROUP]
    try:
        blocks = SiteFiles(group).current().subscriptions.blocks
    except HepixVmError:
        return  # _check_files says it.
    store = ListStore(group.state_dir)
    there = store.uuids()
    for block in blocks:
        uuid = block.subscription.uuid
        if uuid not in there:
            yield Severity.WARNING, (
                f'The list {uuid} was never accepted here. '
                + (f'Run hepix-vm-sync, which says why, as the user to whom '
                   f'{group.state_dir} belongs.' if block.following else
                   f'It has no url: put it into {group.state_dir}/lists.'))
        elif block.following and _late(store.note(uuid).succeeded, _FETCHED):
            yield Severity.WARNING, (
                f'The list {uuid} was not fetched for {_hours(_FETCHED)}. '
                f'See that hepix-vm-sync.timer runs, or what else starts '
                f'hepix-vm-sync, and what it says.')


def _check_sweep(conf: cfg.ConfigOpts) -> Found:
    """Whether images are swept again and again."""
    path = os.path.join(conf[opts.GROUP].state_dir, SWEPT)
    try:
        last = datetime.datetime.fromtimestamp(
            os.stat(path).st_mtime, datetime.UTC)
    except OSError:
        yield Severity.WARNING, (
            f'No sweep ended here yet ({path}), so that what is revoked '
            f'stays in use. Start hepix-vm-sweep.timer, or what else runs '
            f'hepix-vm-sync --sweep every five minutes.')
        return
    if _late(last, _SWEPT):
        yield Severity.WARNING, (
            f'The last sweep of this controller ended at '
            f'{last:%Y-%m-%dT%H:%M:%SZ}, so that what is revoked stays in '
            f'use. See that hepix-vm-sweep.timer runs, or what else starts '
            f'hepix-vm-sync --sweep, and what it says.')


def _late(when: datetime.datetime | None,
          most: datetime.timedelta) -> bool:
    return when is None or utcnow() - when > most


def _hours(time: datetime.timedelta) -> str:
    return f'{time // datetime.timedelta(hours=1)} hours'


def _check_rights(conf: cfg.ConfigOpts) -> Found:
    """Whether only their owners write the site's files, and read secrets."""
    group = conf[opts.GROUP]
    own = paths.own_file()
    yield from findings.check_rights({
        own: 'the file of the settings',
        os.path.join(group.state_dir, 'lists'): 'the accepted lists',
        **{getattr(group, option): f'[hepix_vm] {option}' for option in (
            'policy_file', 'subscriptions_file', 'trust_anchors')}})
    if conf[credentials.GROUP].auth_type:
        yield from findings.check_secret(own)
    for folder in _not_ours(group.state_dir):
        yield Severity.FAILURE, (
            f'hepix-vm-sync cannot write {folder} as this user (uid '
            f'{os.geteuid()}). Run it, and this command, as the user to '
            f'whom state_dir belongs: sudo -u hepix-vm.')


def _not_ours(state_dir: str) -> Iterator[str]:
    yield from (folder for folder in (
        state_dir, *(os.path.join(state_dir, name)
                     for name in ('lists', 'previous', 'fetched', 'journal')))
        if os.path.exists(folder) and not os.access(folder, os.W_OK))


_CHECKS: Mapping[str, Callable[[cfg.ConfigOpts], Found]] = {
    'Account of hepix-vm': _check_account,
    'Metadata definitions': _check_metadefs,
    'Files of the site': _check_files,
    'Endorsers': _check_endorsers,
    'Lists': _check_lists,
    'Sweep': _check_sweep,
    'Rights on files': _check_rights,
}
