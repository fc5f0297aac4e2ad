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

"""Whether every server gets its context."""

import os
import shutil
import urllib.parse

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.context import facts
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm import findings
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm import opts
from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import file

PROGRAM = 'hepix-vm-mkisofs'

_LOCAL = ('127.0.0.1', '::1', 'localhost')


def check_program(nova: cfg.ConfigOpts) -> Found:
    """Whether Nova makes its drives with our program."""
    wanted = nova.mkisofs_cmd
    if os.path.basename(wanted) != PROGRAM:
        yield Severity.FAILURE, (
            f'Servers get no context: mkisofs_cmd is {wanted}. Set '
            f'[DEFAULT] mkisofs_cmd = {shutil.which(PROGRAM) or PROGRAM}.')
    elif shutil.which(wanted) is None:
        yield Severity.FAILURE, (
            f'No server can be started: [DEFAULT] mkisofs_cmd = {wanted} is '
            f'not found in PATH, or cannot be run. Set its whole path.')


def check_format(nova: cfg.ConfigOpts) -> Found:
    """Whether Nova calls mkisofs at all."""
    if nova.config_drive_format != 'iso9660':
        yield Severity.FAILURE, (
            f'Servers get no context: with config_drive_format = '
            f'{nova.config_drive_format} Nova does not call mkisofs_cmd. Set '
            f'[DEFAULT] config_drive_format = iso9660.')


def check_forced(nova: cfg.ConfigOpts) -> Found:
    """Whether a user can switch the context off."""
    if not nova.force_config_drive:
        yield Severity.FAILURE, (
            'A server gets its context only if its user asks for a config '
            'drive. Set [DEFAULT] force_config_drive = True.')


def check_own_group(nova: cfg.ConfigOpts) -> Found:
    """Whether somebody expects settings of ours to be read from Nova's."""
    for path in config.files_of(nova):
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        if opts.GROUP in sections:
            yield Severity.FAILURE, (
                f'{path}: [{opts.GROUP}] is not read: {PROGRAM} is not told '
                f'of it. Write the options into {paths.own_file()}.')


def check_vendordata(nova: cfg.ConfigOpts) -> Found:
    """Whether rules can ask for the image and its VO."""
    providers = nova.api.vendordata_providers
    if 'DynamicJSON' in providers and 'StaticJSON' not in providers:
        yield Severity.FAILURE, (
            'No config drive can be made: [api] vendordata_providers has '
            'DynamicJSON without StaticJSON. Set it to '
            'StaticJSON,DynamicJSON.')
    named = any(target.startswith(f'{facts.TARGET}@')
                for target in nova.api.vendordata_dynamic_targets)
    if 'DynamicJSON' not in providers or not named:
        yield Severity.WARNING, (
            f'Rules that name an image or a VO never apply, and scripts are '
            f'not told of the image: [api] vendordata_providers and '
            f'vendordata_dynamic_targets do not name the vendordata service '
            f'({facts.TARGET}@URL).')
        return
    if not nova.vendordata_dynamic_auth.auth_type:
        yield Severity.FAILURE, (
            'The vendordata service answers nobody whom Keystone does not '
            'know, and Nova has no account for it: [vendordata_dynamic_auth] '
            'has no auth_type.')
    for target in nova.api.vendordata_dynamic_targets:
        url = urllib.parse.urlsplit(target.partition('@')[2])
        if url.scheme == 'http' and url.hostname not in _LOCAL:
            yield Severity.WARNING, (
                f'Nova sends its token to {url.hostname} without TLS. Name '
                f'an https URL in [api] vendordata_dynamic_targets.')
    if not nova.api.vendordata_dynamic_failure_fatal:
        yield Severity.WARNING, (
            'When the vendordata service does not answer, rules that name '
            'an image or a VO are silently left out. Set [api] '
            'vendordata_dynamic_failure_fatal = True, unless servers should '
            'rather start without them.')


def check_context(nova: cfg.ConfigOpts) -> Found:
    """Whether the site's files can be used, and are ready."""
    what = 'No server can be started'
    try:
        conf = config.load()
        if compiler.settings_of(conf).failure == 'warn':
            what = 'No server has its context'
            yield Severity.WARNING, (
                'A server whose context cannot be made starts without it: '
                '[hepix_vm] context_failure = warn.')
        compiler.compile_context(conf)
    except HepixVmError as error:
        yield Severity.FAILURE, (
            f'{what} until this is mended: {error.message} {error.remedy}')
        return
    folder = os.path.dirname(compiled.cache_path())
    # It is nova-compute's, who may not be who asks here.
    if not os.path.isdir(folder) or compiled.load(
            owner=os.stat(folder).st_uid) is None:
        yield Severity.WARNING, (
            f'Each drive takes ten times as long as it needs: '
            f'{compiled.cache_path()} is not up to date, or '
            f'cannot be read. Let the user of nova-compute write the folder '
            f'{folder}, or run hepix-vm-status context compile.')


def check_rights(nova: cfg.ConfigOpts) -> Found:
    """Whether only their owners can write the site's files."""
    try:
        path = config.load()[opts.GROUP].context_file
    except ConfigError:
        return  # check_context says it.
    yield from findings.check_rights({
        paths.own_file(): 'the file of the settings',
        path: '[hepix_vm] context_file',
        os.path.join(os.path.dirname(path), file.FOLDER): 'the scripts'})
