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

from collections.abc import Iterator
import os
import stat

from hepix_vm import config
from hepix_vm import credentials
from hepix_vm.errors import ConfigError
from hepix_vm.errors import PluginError
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm.glance_hooks.checks.finding import Found
from hepix_vm.glance_hooks.checks.finding import Severity
from hepix_vm import paths
from hepix_vm.trust.settings import Choice

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_SHOWN = 3  # paths in a message


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
    named = {paths.own_file(): 'the file of the settings'} | {
        getattr(settings, option): f'[hepix_vm] {option}' for option in (
            'policy_file', 'subscriptions_file', 'state_dir',
            'trust_anchors')}
    for path, name in named.items():
        open_to_others = list(_open_to_others(path))
        if open_to_others:
            more = len(open_to_others) - _SHOWN
            yield Severity.WARNING, (
                f'{", ".join(open_to_others[:_SHOWN])}'
                f'{f" and {more} more" if more > 0 else ""} ({name}) can be '
                f'written by others than the owner. Run chmod go-w on it.')


def _open_to_others(path: str) -> Iterator[str]:
    """Yield what others can write: a path, and what decides over it.

    That is all that is in a folder, and the folders above, where names
    can be exchanged.
    """
    path = os.path.abspath(path)
    for above in dict.fromkeys((*_above(path),
                                *_above(os.path.realpath(path)))):
        mode = _mode(above)
        if mode & _OTHERS and not mode & stat.S_ISVTX:
            yield above
    if _mode(path) & _OTHERS:
        yield path
    for folder, folders, files in os.walk(path):
        yield from (each for each in (
            os.path.join(folder, name) for name in sorted(folders + files))
            if _mode(each) & _OTHERS)


def _above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _mode(path: str) -> int:
    """Return the mode of what a path leads to; 0 if there is nothing."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
