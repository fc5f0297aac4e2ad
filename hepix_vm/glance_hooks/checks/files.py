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


"""The site's files: whether they load, and who may write them."""

import os

from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.errors import PluginError
from hepix_vm import findings
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm import paths
from hepix_vm.trust.settings import Choice


def check_load(glance: Checked) -> Found:
    """Whether the site's files can be used."""
    try:
        glance.gate.site()
    except (ConfigError, PluginError) as error:
        yield Severity.WARNING, (
            f'Every image is refused until this is mended: {error} '
            f'{error.remedy}')


def check_derived(glance: Checked) -> Found:
    """Whether Nova can be asked, where that lets images in."""
    try:
        rules = glance.gate.site().policy.derived_images
        account = glance.gate.conf[credentials.GROUP].auth_type
    except (ConfigError, PluginError):
        return  # check_load says it.
    if account or all(rule.choice is Choice.REFUSE for rule in rules):
        return
    yield Severity.WARNING, (
        f'policy.yaml takes images made from servers (derived_images), but '
        f'each of them is refused, since Nova cannot be asked: '
        f'[{credentials.GROUP}] of hepix-vm.conf has no auth_type. Give it '
        f'an account that may list the servers of all projects.')


def check_rights(glance: Checked) -> Found:
    """Whether only their owners can write the site's files."""
    try:
        settings = glance.gate.settings
    except ConfigError:
        return  # check_load says it, and names the file.
    lists = os.path.join(settings.state_dir, 'lists')
    named = {paths.own_file(): 'the file of the settings',
             lists: 'the accepted lists'} | {
        getattr(settings, option): f'[hepix_vm] {option}' for option in (
            'policy_file', 'subscriptions_file', 'trust_anchors')}
    yield from findings.check_rights(named)
    # Root may write everything, and is not who serves.
    if os.geteuid() and os.access(lists, os.W_OK):
        yield Severity.WARNING, (
            f'{lists} (the accepted lists) can be written by the user of '
            f'this process (uid {os.geteuid()}). If that '
            f'is who runs glance-api, a hole in it opens the gate: let the '
            f'folder belong to hepix-vm and the group of glance-api, with '
            f'mode 0750, and run hepix-vm-sync as hepix-vm.')
