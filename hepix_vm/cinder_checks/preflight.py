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

"""Whether users of Cinder can say what their volumes were made of.

Cinder remembers the image of which it made a volume, and the gate before
servers has nothing else to go by.
"""

from collections.abc import Collection
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from hepix_vm.boot import BootGate
from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm import findings
from hepix_vm.findings import Finding
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm import protections
from hepix_vm.trust.settings import Choice

# As cinder-policy.yaml has them, and what else each is good for.
_RULE = 'rule:admin_api'
_METADATA = 'volume_extension:volume_image_metadata'
_BOOTABLE = 'volume:update'

# What Keystone makes by itself, of a user in a project.
_ROLES = ('reader', 'member', 'manager')
_PROJECT = 'project'


def load(config_files: Sequence[str] = (),
         config_dirs: Sequence[str] = ()) -> cfg.ConfigOpts:
    """Return Cinder's configuration.

    :param config_files: those that cinder-api reads; by default those that
        it finds itself
    :param config_dirs: the same for its folders
    :raises ConfigError: they cannot be read
    """
    try:
        # They register its options; image.glance cannot be the first.
        from cinder.common import config as _  # noqa: F401
        from cinder.image import image_utils as _  # noqa: F401, F811
    except ImportError as error:
        raise ConfigError(
            f'Cinder cannot be imported: {error}.',
            remedy='Run the command with the Python environment of '
                   'cinder-api.') from error
    conf: cfg.ConfigOpts = cfg.CONF
    config.read(conf, 'cinder', 'cinder-api', config_files, config_dirs)
    return conf


def check(cinder: cfg.ConfigOpts) -> list[Finding]:
    """Return what all checks found in Cinder's configuration."""
    return findings.look(_CHECKS, cinder)


def _check_metadata(cinder: cfg.ConfigOpts) -> Found:
    """Whether users write of which image a volume was made."""
    severity = (Severity.WARNING if _volumes() is Choice.REFUSE
                else Severity.FAILURE)
    for action in ('set', 'remove'):
        rule = f'{_METADATA}:{action}'
        if _lets_users(cinder, rule):
            yield severity, (
                f'{_policy_file(cinder)}: the rule {rule} lets members of a '
                f'project say themselves of which image a volume was made. '
                f'Set "{rule}": "{_RULE}".')


def _check_bootable(cinder: cfg.ConfigOpts) -> Found:
    """Whether users make any volume bootable."""
    if _volumes() is not Choice.REFUSE and _lets_users(cinder, _BOOTABLE):
        yield Severity.WARNING, (
            f'{_policy_file(cinder)}: the rule {_BOOTABLE} lets members of a '
            f'project make any volume bootable (os-set_bootable). Set '
            f'"{_BOOTABLE}": "{_RULE}", if they need not change names and '
            f'descriptions of volumes.')


def _check_copied(cinder: cfg.ConfigOpts) -> Found:
    """Whether images made of volumes are given what the gate writes."""
    given = cinder.glance_core_properties
    missing = protections.not_in(given)
    if missing:
        yield Severity.WARNING, (
            f'Cinder copies to an image of a volume what was said of the '
            f'image that the volume was made of, and without service tokens '
            f'Glance refuses it: [DEFAULT] glance_core_properties of '
            f'cinder.conf lacks {len(missing)} properties. Set '
            f'glance_core_properties = {",".join([*given, *missing])}.')


def _volumes() -> Choice:
    """Return from which volumes servers may boot; most, if not known."""
    try:
        return BootGate('').site().policy.volumes
    except HepixVmError:
        return Choice.ALLOW


def _lets_users(cinder: cfg.ConfigOpts, rule: str) -> bool:
    """Return whether Cinder's policy lets a user of a project do it."""
    from cinder import policies
    from oslo_policy import policy

    enforcer = policy.Enforcer(cinder)
    enforcer.suppress_deprecation_warnings = True
    enforcer.suppress_default_change_warnings = True
    enforcer.register_defaults(policies.list_rules())
    enforcer.load_rules()
    target = {'project_id': _PROJECT, 'user_id': 'user'}
    return any(enforcer.enforce(rule, target, _user(_ROLES[:number]))
               for number in range(1, len(_ROLES) + 1))


def _user(roles: Collection[str]) -> dict[str, Any]:
    return {'user_id': 'user', 'project_id': _PROJECT, 'roles': [*roles],
            'is_admin': False, 'is_admin_project': True,
            'system_scope': None, 'domain_id': None}


def _policy_file(cinder: cfg.ConfigOpts) -> str:
    name = cinder.oslo_policy.policy_file
    return f'{cinder.find_file(name) or name} ([oslo_policy] policy_file)'


_CHECKS = {
    'Image of a volume': _check_metadata,
    'Volumes that can be booted': _check_bootable,
    'Properties of images of volumes': _check_copied,
}
