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

"""What is said of a Cinder whose users say what volumes were made of."""

import json
import types

from oslo_config import cfg
import pytest

from hepix_vm.cinder_checks import preflight
from hepix_vm.findings import Severity
from hepix_vm import paths
from hepix_vm import protections
from tests.testbed import service
from tests.testbed import site as testbed_site

RULES = testbed_site.CINDER_POLICY.read_text().splitlines()
SET, REMOVE, UPDATE = (
    'volume_extension:volume_image_metadata:set',
    'volume_extension:volume_image_metadata:remove', 'volume:update')
COPIED = {'glance_core_properties': ','.join(
    ('size', *protections.UNCOPIED))}
METADATA = 'Image of a volume'


@pytest.fixture
def cinder(tmp_path, monkeypatch):
    """What has all in order, and is told what is not."""
    monkeypatch.setenv(paths.ENVIRONMENT, str(tmp_path / 'hepix-vm.conf'))
    cinder = types.SimpleNamespace(
        rules=list(RULES), options=dict(COPIED), volumes='inherit',
        policy=tmp_path / 'policy.yaml')

    def bad():
        (tmp_path / 'cinder-policy.yaml').write_text('\n'.join(cinder.rules))
        conf = tmp_path / 'cinder.conf'
        conf.write_text(service.ini({
            'DEFAULT': cinder.options,
            'oslo_policy': {'policy_file': 'cinder-policy.yaml'}}))
        cinder.policy.write_text(f'volumes: {cinder.volumes}')
        (tmp_path / 'hepix-vm.conf').write_text(
            f'[hepix_vm]\npolicy_file = {cinder.policy}\n')
        if cinder.volumes is None:
            cinder.policy.unlink()
        # Cinder and Nova cannot be in one process: both have a state_path.
        # A functional test reads the options of Cinder itself.
        options = cfg.ConfigOpts()
        options.register_opt(cfg.ListOpt('glance_core_properties'))
        options([], default_config_files=[str(conf)], default_config_dirs=[])
        found = {}
        for finding in preflight.check(options):
            if finding.severity is not Severity.OK:
                found.setdefault(finding.what, []).append(
                    (finding.severity, finding.message))
        return found
    cinder.bad = bad
    return cinder


def test_the_shipped_settings_are_good(tmp_path, cinder):
    options = cfg.ConfigOpts()
    options.register_opt(cfg.ListOpt('glance_core_properties'))
    options([], default_config_files=[str(testbed_site.CINDER_CONF)],
            default_config_dirs=[])
    assert protections.not_in(options.glance_core_properties) == []


@pytest.mark.parametrize('own', [
    None, {}, {SET: '', 'volume:delete': 'role:mine'}])
def test_the_shipped_rules_beside_those_of_the_site(tmp_path, own):
    """As the documentation says: a file in policy.d, and no option."""
    conf = tmp_path / 'cinder.conf'
    conf.write_text('')
    (tmp_path / 'policy.d').mkdir()
    (tmp_path / 'policy.d' / 'hepix-vm.yaml').write_text('\n'.join(RULES))
    if own is not None:
        (tmp_path / 'policy.yaml').write_text(json.dumps(own))
    options = cfg.ConfigOpts()
    options([], default_config_files=[str(conf)], default_config_dirs=[])
    assert not any(preflight._lets_users(options, rule)
                   for rule in (SET, REMOVE, UPDATE))
    assert preflight._lets_users(options, 'volume:delete') is not bool(own)


def without(rule):
    """Return the shipped rules, without one of them."""
    return [line for line in RULES if not line.startswith(f'"{rule}"')]


@pytest.mark.parametrize('volumes', ['refuse', 'inherit', 'allow', None])
def test_all_is_well(cinder, volumes):
    cinder.volumes = volumes
    assert cinder.bad() == {}


@pytest.mark.parametrize('rule', [SET, REMOVE])
@pytest.mark.parametrize('volumes, severity', [
    ('refuse', Severity.WARNING), ('inherit', Severity.FAILURE),
    ('allow', Severity.FAILURE), (None, Severity.FAILURE)])
def test_users_who_say_what_a_volume_was_made_of(
        cinder, rule, volumes, severity):
    cinder.rules, cinder.volumes = without(rule), volumes
    (grade, message), = cinder.bad().pop(METADATA)
    assert grade is severity
    assert f'Set "{rule}": "rule:admin_api"' in message
    assert 'cinder-policy.yaml' in message


@pytest.mark.parametrize('rule', [
    'role:member', 'role:manager', 'role:reader', '@',
    'project_id:%(project_id)s', 'rule:admin_or_owner'])
def test_rules_that_let_users_in(cinder, rule):
    cinder.rules = [*without(SET), f'"{SET}": "{rule}"']
    assert METADATA in cinder.bad()


@pytest.mark.parametrize('rule', ['!', 'role:admin', 'rule:admin_api'])
def test_rules_that_do_not(cinder, rule):
    cinder.rules = [*without(SET), f'"{SET}": "{rule}"']
    assert cinder.bad() == {}


@pytest.mark.parametrize('volumes', ['inherit', 'allow'])
def test_users_who_make_volumes_bootable(cinder, volumes):
    cinder.rules, cinder.volumes = without(UPDATE), volumes
    (grade, message), = cinder.bad()['Volumes that can be booted']
    assert grade is Severity.WARNING
    assert f'"{UPDATE}": "rule:admin_api"' in message


def test_what_does_not_boot_may_be_bootable(cinder):
    cinder.rules, cinder.volumes = without(UPDATE), 'refuse'
    assert cinder.bad() == {}


@pytest.mark.parametrize('missing', protections.UNCOPIED)
def test_what_cinder_must_not_copy(cinder, missing):
    given = [name for name in protections.UNCOPIED if name != missing]
    cinder.options = {'glance_core_properties': ','.join(['mine', *given])}
    (grade, message), = cinder.bad()['Properties of images of volumes']
    assert grade is Severity.WARNING
    assert message.endswith(f'{",".join(["mine", *given, missing])}.')
