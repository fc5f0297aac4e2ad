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


"""The checks of Glance's configuration, asked of Glance's own code."""

import sys

import pytest
from stevedore import extension

from hepix_vm.glance_hooks.checks import properties
from hepix_vm.glance_hooks import service
from hepix_vm import protections
from tests.testbed import site as testbed_site
from tests.unit.glance_hooks.conftest import alone
from tests.unit.glance_hooks.conftest import NO_SENTINEL

SHIPPED = testbed_site.PROPERTY_PROTECTIONS.read_text()
POLICY = testbed_site.POLICY.read_text()


def test_the_shipped_files_give_no_finding(configured):
    assert configured.findings() == {}


@pytest.mark.parametrize(('plugins', 'remedy'), [
    ((), '[hepix_trust]'),
    (('no_op', 'hepix_trust'), '[hepix_trust,no_op]'),
    (('hepix_trusty',), '[hepix_trust,hepix_trusty]'),
    (('no_op',), '[hepix_trust,no_op]')])
def test_the_plugin_must_be_the_first(configured, plugins, remedy):
    found = configured.findings(import_plugins=plugins)
    alone(found, 'Import plugin is first', 'failure: ',
          f'{configured.etc}/glance-api.conf: [image_import_opts] '
          f'image_import_plugins is', f'Set image_import_plugins = {remedy}.')


def distribution(folder, entry_points):
    info = folder / 'other-1.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: other\nVersion: 1\n')
    (info / 'entry_points.txt').write_text(
        f'[glance.image_import.plugins]\n{entry_points}\n')


@pytest.mark.parametrize(('value', 'cause'), [
    ('no_such_module:get_flow', 'no_such_module'),
    ('hepix_vm.glance_hooks.import_plugin:no_such_name', 'no_such_name'),
    ('glance.async_.flows.plugins.no_op:get_flow', 'no_op')])
def test_the_plugin_must_load_and_be_ours(configured, tmp_path, monkeypatch,
                                          value, cause):
    """The name is offered by another package too."""
    distribution(tmp_path / 'last', f'hepix_trust = {value}')
    # stevedore keeps what it found, in this process and in files.
    monkeypatch.setattr(
        extension.ExtensionManager, 'ENTRY_POINT_CACHE', {})
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path / 'last')])
    alone(configured.findings(), 'Import plugin loads', 'failure: ', cause,
          'glance.image_import.plugins', 'Install hepix-vm anew')


def test_a_plugin_that_alters_bytes(configured):
    found = configured.findings(import_plugins=(
        'hepix_trust', 'no_op', 'image_conversion', 'unheard_of'))
    alone(found, 'Plugins that alter bytes', 'warning: ',
          'image_conversion, unheard_of after hepix_trust')
    assert configured.findings(import_plugins=(
        'hepix_trust', 'no_op', 'inject_image_metadata')) == {}


def test_no_protections(configured):
    alone(configured.findings(property_protections=None),
          'Protected properties', 'failure: ',
          'glance-api.conf: [DEFAULT] property_protection_file is not set',
          '= /etc/hepix-vm/property-protections.conf')


def written(tmp_path, text):
    path = tmp_path / 'protections.conf'
    path.write_text(text)
    return path


def section(name, writers='@'):
    return (f'[{name}]\ncreate = {writers}\nread = @\n'
            f'update = {writers}\ndelete = {writers}\n')


@pytest.mark.parametrize('name', properties.GUARDED)
@pytest.mark.parametrize('operation', ['create', 'update', 'delete'])
def test_a_section_before_ours_that_lets_users_write(
        configured, tmp_path, name, operation):
    text = section(f'^{name}$', 'admin').replace(
        f'{operation} = admin', f'{operation} = admin,tester')
    found = configured.findings(property_protections=written(
        tmp_path, text + SHIPPED))
    alone(found, 'Protected properties', 'failure: ',
          f'{tmp_path}/protections.conf', 'property_protection_file',
          f'lets role tester, all these roles write {name}.',
          'hepix-vm-status property-protections merge')


@pytest.mark.parametrize('who', [
    'member', 'reader', '_member_', 'creator', 'service', 'Anybody-Else'])
def test_whoever_a_rule_names(configured, tmp_path, who):
    found = configured.findings(property_protections=written(
        tmp_path, section('hepix_', f'admin, {who}') + SHIPPED))
    message, = found['Protected properties']
    assert f' lets role {who.lower()}' in message
    assert 'role admin' not in message


def test_spellings_that_mysql_takes_for_one(configured, tmp_path):
    """As the expressions were once."""
    text = SHIPPED.replace('(?i)', '')
    found = configured.findings(
        property_protections=written(tmp_path, text))
    alone(found, 'Protected properties', 'hepix_state', 'role member, ')


@pytest.mark.parametrize('text', [
    '[hepix_', '[(hepix]\n', '[.*]\ncreate = @\n',
    section('.*', '@,!'), section('^(?i)hepix_')])
def test_protections_that_glance_cannot_read(configured, tmp_path, text):
    found = configured.findings(property_protections=written(tmp_path, text))
    alone(found, 'Protected properties', 'failure: ', 'protections.conf',
          'cannot be read by Glance')


def test_protections_that_are_missing(configured, tmp_path):
    alone(configured.findings(property_protections=tmp_path / 'nowhere'),
          'Protected properties', 'failure: ', f'{tmp_path}/nowhere')


def test_protections_without_a_catch_all(configured, tmp_path):
    text = SHIPPED[:SHIPPED.index('# Everything else')]
    found = configured.findings(
        property_protections=written(tmp_path, text))
    alone(found, 'Free properties', 'warning: ',
          'does not let users create a property that no rule names')


def test_an_endorsement_that_users_cannot_bring(configured, tmp_path):
    found = configured.findings(property_protections=written(
        tmp_path, section('hepix_', 'admin') + SHIPPED))
    alone(found, 'Free properties', 'warning: ',
          'does not let users create hepix_endorsement')


def policies(tmp_path, more='', operator='context_is_admin'):
    """The options of a Glance whose protections name policies."""
    merged = protections.merge('', operator, 'policies').text
    policy = tmp_path / 'policy.yaml.glance'
    policy.write_text(POLICY + more)
    return {'property_protections': written(tmp_path, merged),
            'policy': policy, 'extra': {'DEFAULT': {
                'property_protection_rule_format': 'policies'}}}


def test_protections_by_policies(configured, tmp_path):
    assert configured.findings(**policies(tmp_path)) == {}
    assert configured.findings(
        **policies(tmp_path, operator='hepix_operator')) == {}


@pytest.mark.parametrize(('rule', 'who'), [
    ('role:member', 'role member'),
    ('role:tester', 'role tester'),
    ('role:one and role:two', 'all these roles'),
    ('', 'role member')])
def test_policies_that_let_users_write(configured, tmp_path, rule, who):
    options = policies(
        tmp_path, f'"anybody": "rule:context_is_admin or ({rule})"\n'
        if rule else '"anybody": ""\n', operator='anybody')
    alone(configured.findings(**options), 'Protected properties', who)


def test_a_policy_that_is_not_there_is_glances_default(
        configured, tmp_path):
    """Glance lets everybody do what names no rule that it knows."""
    options = policies(tmp_path, operator='forgotten')
    alone(configured.findings(**options), 'Protected properties', 'failure')


def test_operators_beside_admin(configured, site, tmp_path):
    site.write_config(operator_role='Image_Operator')
    found = configured.findings()
    assert set(found) == {'Free properties', 'Operators'}
    assert 'role image_operator' in found['Free properties'][0]
    assert '"rule:context_is_admin or role:image_operator"' in (
        found['Operators'][0])
    policy = tmp_path / 'policy.glance'
    policy.write_text(POLICY.replace('#"hepix_operator"', '"hepix_operator"')
                      .replace('"hepix_operator": "rule:context_is_admin"\n',
                               ''))
    merged = protections.merge('', protections.writers('Image_Operator'))
    assert configured.findings(
        policy=policy,
        property_protections=written(tmp_path, merged.text)) == {}


def test_an_admin_who_is_no_administrator(configured, site, tmp_path):
    """Glance's policy says who is one, and the option who is as good."""
    policy = tmp_path / 'policy.glance'
    policy.write_text(
        f'{POLICY}"context_is_admin": "role:cloud_admin or role:ops"\n')
    assert set(configured.findings(policy=policy)) == {'Operators'}
    site.write_config(operator_role='ops')
    service.gate.cache_clear()
    merged = written(tmp_path, protections.merge(
        '', protections.writers('ops')).text)
    alone(configured.findings(policy=policy, property_protections=merged),
          'Protected properties', 'lets role admin')


def test_an_operator_role_that_users_have(configured, site):
    site.write_config(operator_role='member')
    found = configured.findings()
    assert 'member, which ordinary users have' in (
        found['Protected properties'][0])


def replaced(tmp_path, rule, value):
    path = tmp_path / 'glance-policy.yaml'
    lines = [line for line in POLICY.splitlines()
             if not line.startswith(f'"{rule}"')]
    path.write_text('\n'.join([*lines, f'"{rule}": "{value}"\n']))
    return path


@pytest.mark.parametrize(('rule', 'value'), [
    ('add_image_location', '@'),
    ('add_image_location', 'role:reader'),
    ('add_image_location', 'project_id:%(project_id)s'),
    ('reactivate', '@'),
    ('reactivate', 'role:admin or project_id:%(project_id)s'),
    ('reactivate', 'rule:forgotten'),
    ('tasks_api_access', 'role:creator'),
    ('tasks_api_access', 'rule:context_is_admin')])
def test_a_rule_that_opens_a_route(configured, tmp_path, rule, value):
    policy = replaced(tmp_path, rule, value)
    alone(configured.findings(policy=policy), 'Policy of Glance',
          'failure: ', f'{policy} (', '[oslo_policy] policy_file',
          f'rule {rule} lets role ', f'Set "{rule}": "')


def test_glances_own_policy(configured):
    found = configured.findings(policy=None)
    assert set(found) == {'Policy of Glance'}
    assert [message.split(' rule ')[1].split()[0]
            for message in found['Policy of Glance']] == [
        'add_image_location', 'tasks_api_access', 'reactivate']


def test_locations_by_patch(configured, tmp_path):
    extra = {'DEFAULT': {'show_multiple_locations': 'true'}}
    alone(configured.findings(extra=extra), 'Options of Glance', 'failure: ',
          'glance-api.conf: [DEFAULT] show_multiple_locations is true',
          'Set show_multiple_locations = false.')
    policy = replaced(tmp_path, 'set_image_location', '@')
    assert configured.findings(policy=policy) == {}
    found = configured.findings(extra=extra, policy=policy)
    assert set(found) == {'Options of Glance', 'Policy of Glance'}


@pytest.mark.parametrize(('prefixes', 'remedy'), [
    (None, '[hw_,os_distro,os_secure_boot,os_type,hepix_endorsement]'),
    ('[hepix_]', '[hepix_endorsement]'),
    ('[h,os_type]', '[os_type,hepix_endorsement]'),
    ('[kernel]', '[hepix_endorsement]'),
    ('[os_]', '[hepix_endorsement]')])
def test_properties_that_come_from_another_glance(
        configured, prefixes, remedy):
    extra = {'DEFAULT': {
        'enabled_import_methods': '[glance-direct,glance-download]'}} | (
        {} if prefixes is None else {
            'glance_download_properties': {'extra_properties': prefixes}})
    alone(configured.findings(extra=extra), 'Options of Glance', 'failure: ',
          f'Set extra_properties = {remedy}')
    extra['glance_download_properties'] = {'extra_properties': remedy}
    assert configured.findings(extra=extra) == {}


def test_a_store_of_web_servers(configured):
    extra = {'DEFAULT': {
        'enabled_backends': 'cheap:file,reliable:file,web:http'}}
    alone(configured.findings(extra=extra), 'Stores', 'warning: ',
          '[DEFAULT] enabled_backends has web')


def test_users_who_pass_for_services(configured):
    alone(configured.findings(extra={'keystone_authtoken': {
        'service_token_roles_required': 'false'}}),
        'Tokens that Glance takes', 'warning: ', 'Set it to true',
        '[keystone_authtoken] service_token_roles_required is false')


def test_no_sentinel(configured):
    alone(configured.findings(extra=NO_SENTINEL), 'Sentinel', 'warning: ',
          '[oslo_messaging_notifications] driver lacks hepix_trust',
          'Add the line driver = hepix_trust.')
    alone(configured.findings(extra={
        'DEFAULT': {'disabled_notifications': 'task,image.update'}}),
        'Sentinel', 'disabled_notifications has image.update')
