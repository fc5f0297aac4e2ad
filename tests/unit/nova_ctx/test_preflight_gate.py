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

"""What is said of a Nova that does not ask before servers boot."""

import pathlib
import re
import sys
import types

from keystoneauth1 import exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1 import loading
from nova.conf import scheduler
import pytest

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx.checks import gate
from hepix_vm.nova_ctx.checks import images
from hepix_vm.nova_ctx.preflight import Part
from hepix_vm import paths
from hepix_vm import protections
from hepix_vm.trust import ledger
from tests.testbed import service
from tests.testbed import site as testbed_site
from tests.unit.nova_ctx.settings import bad
from tests.unit.nova_ctx.settings import nova

SHIPPED = pathlib.Path(sys.prefix, 'etc/nova/api-paste.ini').read_text()
OURS = '[filter:hepix_boot]\nuse = egg:hepix-vm#hepix_boot\n'
LAST = ' osapi_compute_app_v21\n'
ACCOUNT = {'auth_type': 'password', 'auth_url': 'http://127.0.0.1:1/v3',
           'username': 'nova', 'password': 'secret'}
FILTERS = f'nova.scheduler.filters.all_filters\n' \
    f'available_filters = {gate.FILTER}'
GOOD = {
    'DEFAULT': {'non_inheritable_image_properties': ','.join(
        ('cache_in_nova', *protections.UNCOPIED))},
    'filter_scheduler': {'available_filters': FILTERS,
                         'enabled_filters': 'ComputeFilter,'
                                            'EndorsedImageFilter'},
    'service_user': {'send_service_user_token': 'true', **ACCOUNT}}

# What a gate in Glance writes when it starts.
INSTALLED = {'id': 'the first', 'owner': 'hepix-vm',
             'name': ledger.name_of(None, ''), 'updated_at':
             '2026-11-20T10:00:00Z'}


def paste(folder, before=LAST.lstrip(), after='', text=SHIPPED):
    """Write a paste file with the filter in both pipelines."""
    filtered = text.replace(
        LAST, ' ' + before.replace('osapi', f'hepix_boot {after}osapi'))
    (folder / 'api-paste.ini').write_text(filtered + OURS)


class Keystone(BaseIdentityPlugin):
    """Knows who Nova is."""

    roles = ('service', 'member')

    def get_access(self, session, **kwargs):
        if isinstance(self.roles, Exception):
            raise self.roles
        return types.SimpleNamespace(role_names=self.roles)

    def get_auth_ref(self, session, **kwargs):
        raise NotImplementedError

    get_cache_id_elements = invalidate = get_auth_ref


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A host on which all is well, and a way to write its files anew."""
    monkeypatch.setenv('OS_NOVA_CONFIG_DIR', str(tmp_path))
    monkeypatch.setenv(paths.ENVIRONMENT, str(tmp_path / 'hepix-vm.conf'))
    paste(tmp_path)
    policy = tmp_path / 'policy.yaml'
    glance, keystone = types.SimpleNamespace(
        error=None, ledger=[INSTALLED]), Keystone()

    def check_administrator(self):
        if glance.error:
            raise glance.error
    monkeypatch.setattr(
        Catalogue, 'check_administrator', check_administrator)
    monkeypatch.setattr(Catalogue, 'images', lambda self, **query: [
        image for image in glance.ledger if image['owner'] == query['owner']])
    monkeypatch.setattr(
        loading, 'load_auth_from_conf_options',
        lambda conf, group: keystone if conf[group].auth_type else None)

    def write(rules='{}', account=ACCOUNT, **options):
        policy.write_text(rules)
        (tmp_path / 'hepix-vm.conf').write_text(service.ini({
            'hepix_vm': {'policy_file': str(policy), **options},
            'service_credentials': account}))
    write()
    return types.SimpleNamespace(
        folder=tmp_path, write=write, glance=glance, keystone=keystone,
        policy=policy)


def found(site, part, **groups):
    """Return what is found of a part of Nova, by check."""
    return bad(nova(site.folder, **{
        name: {**GOOD.get(name, {}), **groups.get(name, {})}
        for name in GOOD.keys() | groups.keys()}), part)


def one(site, part, what, **groups):
    every = found(site, part, **groups)
    assert every.keys() == {what}
    (grade, message), = every[what]
    return grade, message


def test_the_shipped_settings_are_good(site):
    """Those of the files that the documentation shows."""
    snippet = testbed_site.NOVA_CONF.read_text()
    (site.folder / 'api-paste.ini').write_text(SHIPPED.replace(
        LAST, f' hepix_boot{LAST}') + testbed_site.NOVA_PASTE.read_text())
    conf = nova(site.folder)
    (site.folder / 'nova.conf').write_text(snippet)
    conf.reload_config_files()
    for part in (Part.API, Part.SCHEDULER):
        assert bad(conf, part) == {}
    assert 'Images stay as they are' not in bad(conf, Part.COMPUTE)
    # Nova's own filters are there as well.
    defaults = {each.dest: each.default for each in (
        scheduler.filter_scheduler_opts)}['enabled_filters']
    assert conf.filter_scheduler.enabled_filters == [
        *defaults, 'EndorsedImageFilter']


@pytest.mark.parametrize('part', [Part.API, Part.SCHEDULER])
def test_all_is_well(site, part):
    assert found(site, part) == {}


def test_each_part_has_its_checks(site):
    conf = nova(site.folder)
    asked = {part: {finding.what for finding in
                    gate_findings(conf, part)} for part in Part}
    assert 'Filter in the pipeline' in asked[Part.API]
    assert 'Scheduler filter' in asked[Part.SCHEDULER]
    assert 'Program that makes drives' in asked[Part.COMPUTE]
    assert not asked[Part.COMPUTE] & asked[Part.SCHEDULER]
    assert {finding.what for finding in gate_findings(conf, *Part)} == (
        set.union(*asked.values()))


def gate_findings(conf, *parts):
    from hepix_vm.nova_ctx import preflight
    return preflight.check(conf, parts)


@pytest.mark.parametrize('write, word', [
    (lambda folder: (folder / 'api-paste.ini').write_text(SHIPPED),
     'is missing'),
    (lambda folder: (folder / 'api-paste.ini').write_text(SHIPPED.replace(
        f'legacy_v2_compatible{LAST}',
        f'legacy_v2_compatible hepix_boot{LAST}') + OURS), 'is missing'),
    (lambda folder: paste(folder, after='legacy_v2_compatible '),
     'followed by another'),
    (lambda folder: (folder / 'api-paste.ini').write_text(SHIPPED.replace(
        ' authtoken keystonecontext',
        ' hepix_boot authtoken keystonecontext') + OURS),
     'followed by another'),
    (lambda folder: (folder / 'api-paste.ini').write_text(
        re.sub('(?m)^/v2.*\n', '', SHIPPED) + OURS), 'nothing leads'),
    (lambda folder: paste(folder, text='[composite:other]\n'),
     'cannot be loaded'),
    (lambda folder: (folder / 'api-paste.ini').unlink(),
     'cannot be loaded')])
def test_the_pipeline(site, write, word):
    write(site.folder)
    grade, message = one(site, Part.API, 'Filter in the pipeline')
    assert grade is Severity.FAILURE
    assert word in message
    assert str(site.folder / 'api-paste.ini') in message


@pytest.mark.parametrize('options, severity, word', [
    ({'enabled_filters': 'ComputeFilter'}, Severity.WARNING,
     'Set enabled_filters = ComputeFilter,EndorsedImageFilter'),
    ({'available_filters': 'nova.scheduler.filters.all_filters',
      'enabled_filters': 'ComputeFilter'},
     Severity.WARNING, f'Add available_filters = {gate.FILTER}'),
    ({'available_filters': 'nova.scheduler.filters.all_filters'},
     Severity.FAILURE, f'Add available_filters = {gate.FILTER}'),
    ({'available_filters': gate.FILTER}, Severity.FAILURE,
     'has ComputeFilter, which available_filters lacks. Add '
     'available_filters = nova.scheduler.filters.all_filters'),
    ({'available_filters': f'{FILTERS}\navailable_filters = nowhere.Filter'},
     Severity.FAILURE, 'cannot be loaded')])
def test_the_scheduler(site, options, severity, word):
    grade, message = one(site, Part.SCHEDULER, 'Scheduler filter',
                         filter_scheduler=options)
    assert grade is severity
    assert word in message


@pytest.mark.parametrize('part', [Part.API, Part.SCHEDULER])
@pytest.mark.parametrize('rules', ['volumes: perhaps', None])
def test_a_policy_that_cannot_be_read(site, part, rules):
    site.write(rules or '{}')
    if rules is None:
        site.policy.unlink()
    grade, message = one(site, part, 'Policy of the site')
    assert grade is Severity.FAILURE
    assert str(site.policy) in message


@pytest.mark.parametrize('part', [Part.API, Part.SCHEDULER])
def test_no_account_to_ask_glance_with(site, part):
    site.write(account={})
    grade, message = one(site, part, 'Account of hepix-vm')
    assert grade is Severity.FAILURE
    assert '[service_credentials] has no auth_type' in message


@pytest.mark.parametrize('status, severity', [
    (0, Severity.WARNING), (403, Severity.FAILURE),
    (401, Severity.FAILURE)])
def test_glance_is_asked(site, status, severity):
    site.glance.error = ServiceError('It says no.', status, 'Mend it.')
    assert one(site, Part.API, 'Account of hepix-vm') == (
        severity, 'It says no. Mend it.')


@pytest.mark.parametrize('records, owner', [
    ([], 'hepix-vm'), ([INSTALLED], 'other')])
@pytest.mark.parametrize('part', [Part.API, Part.SCHEDULER])
def test_a_ledger_that_no_gate_wrote(site, part, records, owner):
    """Nothing that it lacks would be believed, and nothing boots."""
    site.glance.ledger = records
    site.write(ledger_owner=owner)
    grade, message = one(site, part, 'Account of hepix-vm')
    assert grade is Severity.FAILURE
    assert 'No server can be started' in message
    assert f'no ledger of the owner {owner}' in message
    assert 'ledger_owner' in message


def test_what_boots_while_glance_is_silent(site):
    site.write(on_unknown='allow')
    grade, message = one(site, Part.API, 'Account of hepix-vm')
    assert grade is Severity.WARNING
    assert 'on_unknown = allow' in message


@pytest.mark.parametrize('name', ['policy.yaml', 'hepix-vm.conf'])
def test_files_that_others_may_write(site, name):
    (site.folder / name).chmod(0o666)
    grade, message = one(site, Part.API, 'Rights on files')
    assert grade is Severity.WARNING
    assert str(site.folder / name) in message


DERIVED = {'{}': Severity.WARNING,
           'derived_images: inherit': Severity.FAILURE}


@pytest.mark.parametrize('rules', DERIVED)
@pytest.mark.parametrize('options, roles, word', [
    ({'send_service_user_token': 'false'}, None,
     'send_service_user_token is false'),
    ({'auth_type': ''}, None, 'names no account'),
    ({}, ['member'], 'lacks the role service'),
    ({}, exceptions.Unauthorized('no'), 'does not take the account'),
    ({}, exceptions.MissingRequiredOptions([]),
     'does not take the account')])
def test_nova_that_does_not_prove_that_it_is_nova(
        site, rules, options, roles, word):
    site.write(rules)
    site.keystone.roles = roles
    grade, message = one(site, Part.API, 'Service tokens',
                         service_user=options)
    assert grade is DERIVED[rules]
    assert word in message


def test_keystone_that_does_not_answer(site):
    site.write('derived_images: inherit')
    site.keystone.roles = exceptions.ConnectFailure('nobody there')
    grade, message = one(site, Part.API, 'Service tokens')
    assert grade is Severity.WARNING
    assert 'nobody there' in message


def test_tokens_of_users_that_pass_for_those_of_services(site):
    grade, message = one(site, Part.API, 'Tokens that Nova takes',
                         keystone_authtoken={
                             'service_token_roles_required': 'false'})
    assert grade is Severity.WARNING
    assert 'service_token_roles_required is false' in message


@pytest.mark.parametrize('missing', protections.UNCOPIED)
def test_what_snapshots_must_not_inherit(site, missing):
    given = [name for name in protections.UNCOPIED if name != missing]
    grade, message = one(site, Part.API, 'Properties of snapshots', DEFAULT={
        'non_inheritable_image_properties': ','.join(['mine', *given])})
    assert grade is Severity.WARNING
    assert 'lacks 1 properties' in message
    # What it has is not taken from it.
    assert message.endswith(f'{",".join(["mine", *given, missing])}.')


def test_ours_are_all_that_a_verdict_writes():
    assert {'hepix_state', 'hepix_endorsement', 'img_config_drive',
            'trait:CUSTOM_HEPIX_ENDORSED'} <= {*protections.UNCOPIED}


@pytest.mark.parametrize('options, severity', [
    ({'inject_partition': '-1'}, Severity.FAILURE),
    ({'inject_key': 'true'}, Severity.WARNING),
    ({'inject_password': 'true'}, Severity.WARNING)])
def test_what_nova_would_write_into_images(site, options, severity):
    (grade, message), = found(site, Part.COMPUTE, libvirt=options)[
        'Images stay as they are']
    assert grade is severity
    name, = options
    assert f'[libvirt] {name} is ' in message


@pytest.mark.parametrize('name', [
    'rescue_image_id', 'rescue_kernel_id', 'rescue_ramdisk_id'])
def test_what_servers_are_rescued_with(site, name):
    (grade, message), = found(site, Part.COMPUTE, libvirt={name: 'of-site'})[
        'Images of rescued servers']
    assert grade is Severity.WARNING
    assert f'nova.conf: [libvirt] {name} is of-site' in message


def test_compute_hosts_need_no_policy(site):
    """There nobody knows whether snapshots are let in."""
    site.policy.unlink()
    (grade, _), = found(site, Part.COMPUTE, service_user={
        'send_service_user_token': 'false'})['Service tokens']
    assert grade is Severity.WARNING
    assert images._ROLE == 'service'
