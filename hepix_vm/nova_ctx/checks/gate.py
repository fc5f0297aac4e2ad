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

"""Whether Nova asks before servers boot, and can be told."""

import os

from oslo_config import cfg

from hepix_vm.boot import BootGate
from hepix_vm.config import where
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.exchange import account
from hepix_vm import findings
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm import opts
from hepix_vm.pastefile import misplaced
from hepix_vm.pastefile import Ways
from hepix_vm import paths

FILTER = 'hepix_vm.nova_ctx.scheduler_filter.EndorsedImageFilter'

_NAME = FILTER.rpartition('.')[2]
_USUAL = 'nova.scheduler.filters.all_filters'
_APPLICATION = 'osapi_compute'
_NO_SERVER = 'No server can be started'


def gate_of(nova: cfg.ConfigOpts) -> BootGate:
    """Return the gate that would be in a Nova, without its ledger."""
    return BootGate('', nova)


def check_pipeline(nova: cfg.ConfigOpts) -> Found:
    """Whether the filter sees every request to Nova's API, as Nova does."""
    from nova.api.openstack import wsgi_app

    from hepix_vm.nova_ctx import boot_filter

    # The option api_paste_config is not asked by nova.wsgi.
    path = wsgi_app._get_config_files()[0]
    try:
        chains = _ways().chains(path, _APPLICATION)
    except Exception as error:
        yield Severity.FAILURE, (
            f'{path}: the application {_APPLICATION} cannot be loaded: '
            f'{error}. Correct the file, or give this command the variable '
            f'OS_NOVA_CONFIG_DIR that nova-api has.')
        return
    wrong = misplaced(chains, boot_filter.filter_factory, 'hepix_boot',
                      'Nova')
    if wrong:
        yield Severity.FAILURE, (
            f'{path}: in a pipeline of {_APPLICATION} {wrong} Put '
            f'hepix_boot last before osapi_compute_app_v21 in each of them, '
            f'and add the section [filter:hepix_boot] with use = '
            f'egg:hepix-vm#hepix_boot.')


def _ways() -> Ways:
    from nova.api import auth
    from nova.api.openstack import compute
    from nova.api.openstack import urlmap

    return Ways(
        compute.APIRouterV21.factory,
        {auth.pipeline_factory_v21: 'keystone'}, (urlmap.urlmap_factory,))


def check_scheduler(nova: cfg.ConfigOpts) -> Found:
    """Whether the scheduler asks before it looks for a host."""
    from nova.scheduler import filters

    group = nova.filter_scheduler
    available = where(nova, 'available_filters', 'filter_scheduler')
    enabled = where(nova, 'enabled_filters', 'filter_scheduler')
    try:
        found = {each.__name__: each for each in filters.HostFilterHandler(
            ).get_matching_classes(group.available_filters)}
    except Exception as error:
        yield Severity.FAILURE, (
            f'{available} has a filter that cannot be loaded: {error}. '
            f'Correct its name, or install what it is part of.')
        return
    unknown = [name for name in group.enabled_filters if name not in found]
    if unknown:
        yield Severity.FAILURE, (
            f'nova-scheduler does not start: {enabled} has '
            f'{", ".join(unknown)}, which available_filters lacks. Add '
            f'available_filters = '
            f'{FILTER if unknown == [_NAME] else _USUAL}.')
        return
    ours = found.get(_NAME)
    if ours is None or f'{ours.__module__}.{_NAME}' != FILTER:
        yield Severity.WARNING, (
            f'What nova-api did not see is scheduled unasked: {available} '
            f'lacks the filter. Add available_filters = {FILTER}, beside '
            f'available_filters = {_USUAL}, and '
            f'{_NAME} to enabled_filters.')
    elif _NAME not in group.enabled_filters:
        yield Severity.WARNING, (
            f'What nova-api did not see is scheduled unasked: {enabled} '
            f'lacks the filter. Set enabled_filters = '
            f'{",".join([*group.enabled_filters, _NAME])}.')


def check_policy(nova: cfg.ConfigOpts) -> Found:
    """Whether what the site decided can be read."""
    try:
        gate_of(nova).site()
    except HepixVmError as error:
        yield account.until_mended(error, _NO_SERVER)


def check_account(nova: cfg.ConfigOpts) -> Found:
    """Whether Glance tells us of every image."""
    try:
        conf = gate_of(nova).conf
    except ConfigError as error:
        yield account.until_mended(error, _NO_SERVER)
        return
    yield from account.check(conf, _NO_SERVER)
    if conf[opts.GROUP].on_unknown == 'allow':
        yield Severity.WARNING, (
            'While Glance does not answer, whatever is asked for boots: '
            '[hepix_vm] on_unknown = allow. Set it to refuse, unless servers '
            'are more urgent here than what they run.')


def check_rights(nova: cfg.ConfigOpts) -> Found:
    """Whether only their owners can write the site's files."""
    try:
        settings = gate_of(nova).settings
    except ConfigError:
        return  # check_policy says it.
    yield from findings.check_rights({
        paths.own_file(): 'the file of the settings',
        os.path.abspath(settings.policy_file): '[hepix_vm] policy_file'})
