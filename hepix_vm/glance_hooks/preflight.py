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


"""Whether Glance's configuration lets the gate do its work.

Glance goes on without a plugin that does not load, and its policy and its
properties are open until the site closes them: nobody would notice.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import os

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.findings import Finding
from hepix_vm.findings import look
from hepix_vm.findings import Severity
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks.checks import files
from hepix_vm.glance_hooks.checks.finding import Check
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm.glance_hooks.checks import imports
from hepix_vm.glance_hooks.checks import pipeline
from hepix_vm.glance_hooks.checks import properties
from hepix_vm.glance_hooks.checks import routes
from hepix_vm.glance_hooks import service
from hepix_vm import site
from hepix_vm.trust.verdict import Mode

LOG = logging.getLogger(__name__)

_CHECKS: Mapping[str, Check] = {
    'Import plugin is first': imports.check_first,
    'Import plugin loads': imports.check_loads,
    'Plugins that alter bytes': imports.check_altering,
    'Filter in the pipeline': pipeline.check,
    'Protected properties': properties.check_protected,
    'Free properties': properties.check_free,
    'Policy of Glance': routes.check_policy,
    'Operators': routes.check_operators,
    'Options of Glance': routes.check_options,
    'Stores': routes.check_stores,
    'Tokens that Glance takes': routes.check_tokens,
    'Sentinel': imports.check_sentinel,
    'Files of the site': files.check_load,
    'Images made from servers': files.check_derived,
    'Rights on files': files.check_rights,
}


def load(config_files: Sequence[str] = (),
         config_dirs: Sequence[str] = ()) -> None:
    """Read Glance's configuration, for a process that is not Glance.

    :param config_files: those that glance-api reads; by default those that
        it finds itself
    :param config_dirs: the same for its folders
    :raises ConfigError: they cannot be read
    """
    try:
        from glance.common import config as glance_config
        from glance.common import wsgi_app
    except ImportError as error:
        raise ConfigError(
            f'Glance cannot be imported: {error}.',
            remedy='Run the command with the Python environment of '
                   'glance-api.') from error

    glance_config.set_config_defaults()
    config.read(cfg.CONF, 'glance', 'glance-api',
                config_files or wsgi_app._get_config_files(), config_dirs)


def findings() -> list[Finding]:
    """Return what all checks found in the configuration that was read."""
    return look(_CHECKS, Checked(cfg.CONF, service.gate()))


def require() -> None:
    """Let this Glance start only if its configuration is sound.

    Where nothing can be refused, what is wrong is only logged.

    :raises ConfigError: something leaves the gate open; says everything
        that does
    """
    found = findings()
    enforcing = can_enforce(service.gate())
    for finding in found:
        if finding.severity is Severity.FAILURE and enforcing:
            LOG.critical('%s: %s', finding.what, finding.message)
        elif finding.severity is not Severity.OK:
            LOG.warning('%s: %s', finding.what, finding.message)
    failures = [finding.message for finding in found
                if finding.severity is Severity.FAILURE]
    if failures and enforcing:
        raise ConfigError(
            'glance-api does not start, since its settings leave the gate '
            'of hepix-vm open:\n' + '\n'.join(
                f'{number}. {message}'
                for number, message in enumerate(failures, 1)),
            remedy='Set what each line says; hepix-vm-status upgrade check '
                   'shows it again.')


@functools.cache
def imports_are_judged() -> bool:
    """Return whether the import plugin is asked in this process.

    Glance reads this once as well.
    """
    return imports.are_judged(Checked(cfg.CONF, service.gate()))


def can_enforce(gate: Gate) -> bool:
    """Return whether some image may be refused.

    What cannot be read may say so.
    """
    try:
        settings = gate.settings
        if settings.enforcement == Mode.ENFORCING.value:
            return True
        if not os.path.exists(settings.policy_file):
            return False
        policy = site.read_policy(settings.policy_file)
    except ConfigError:
        return True
    return any(rule.mode is Mode.ENFORCING for rule in policy.enforcement)
