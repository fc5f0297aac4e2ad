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

"""What is written for Nova, and whose it is, on settings of its own."""

import pytest

from tests.functional.devstack.files import parsed
from tests.functional.devstack.files import values
from tests.functional.devstack.files import words
from tests.functional.devstack.functions import Functions

CONF = 'nova/nova.conf'
ALL = 'nova.scheduler.filters.all_filters'
OURS = 'hepix_vm.nova_ctx.scheduler_filter.EndorsedImageFilter'


@pytest.fixture(autouse=True)
def files(functions: Functions) -> None:
    """The least of what DevStack has written by then."""
    functions.write(CONF, '[DEFAULT]\n')
    functions.write('nova/nova-api-uwsgi.ini', '[uwsgi]\n')
    functions.write('nova/api-paste.ini', (
        '[composite:openstack_compute_api_v21]\n'
        'noauth2 = a osapi_compute_app_v21\n'
        'keystone = a b osapi_compute_app_v21\n'
        '[composite:openstack_compute_api_v21_legacy_v2_compatible]\n'
        'keystone = a legacy osapi_compute_app_v21\n'))


def test_the_filter_is_in_each_pipeline(functions: Functions) -> None:
    functions.run('_configure_hepix_vm_nova_api')
    paste = parsed(functions.etc / 'nova/api-paste.ini')
    name = 'composite:openstack_compute_api_v21'
    assert paste[name] == [
        ('keystone', 'a b hepix_boot osapi_compute_app_v21'),
        ('noauth2', 'a hepix_boot osapi_compute_app_v21')]
    assert paste[f'{name}_legacy_v2_compatible'] == [
        ('keystone', 'a legacy hepix_boot osapi_compute_app_v21')]
    assert paste['filter:hepix_boot'] == [('use', 'egg:hepix-vm#hepix_boot')]
    uwsgi = functions.etc / 'nova/nova-api-uwsgi.ini'
    assert values(uwsgi, 'uwsgi', 'need-app') == ['true']
    assert values(uwsgi, 'uwsgi', 'env') == [
        f'HEPIX_VM_CONFIG={functions.machine.conf}/hepix-vm.conf']
    assert values(functions.etc / CONF, 'keystone_authtoken',
                  'service_token_roles_required') == ['True']


@pytest.mark.parametrize('available, enabled, known, asked', [
    ([], '', [ALL, OURS], None),
    (['site.Filter'], 'A,EndorsedImageFilter, B', ['site.Filter', OURS],
     ['A', 'B', 'EndorsedImageFilter']),
    ([ALL, OURS], 'A', [ALL, OURS], ['A', 'EndorsedImageFilter'])])
def test_the_scheduler_asks_ours_last(
        functions: Functions, available: list[str], enabled: str,
        known: list[str], asked: list[str] | None) -> None:
    lines = [f'available_filters = {name}\n' for name in available]
    if enabled:
        lines.append(f'enabled_filters = {enabled}\n')
    conf = functions.write(CONF, ''.join(['[filter_scheduler]\n', *lines]))
    functions.run('_configure_hepix_vm_nova_scheduler')
    assert values(conf, 'filter_scheduler', 'available_filters') == known
    found = words(conf, 'filter_scheduler', 'enabled_filters')
    assert found[-1] == 'EndorsedImageFilter'
    if asked is None:  # Nova's defaults
        assert 'ComputeFilter' in found
        assert len(found) > 3
    else:
        assert found == asked


@pytest.mark.parametrize('settings, isolates', [
    ('', ['True']), ('HEPIX_VM_REQUIRE_TRAIT=False\n', []),
    ('HEPIX_VM_ENFORCEMENT=permissive\n', []),
    ('ENABLED_SERVICES=hepix-vm,n-sch\n', [])])
def test_hosts_are_kept_where_images_ask_for_it(
        functions: Functions, settings: str, isolates: list[str]) -> None:
    functions.run(f'{settings}_configure_hepix_vm_nova_scheduler\n'
                  'sudo install -d "$HEPIX_VM_CONF_DIR"\n'
                  'configure_hepix_vm_conf')
    assert values(functions.etc / CONF, 'scheduler',
                  'enable_isolated_aggregate_filtering') == isolates
    assert values(functions.machine.conf / 'hepix-vm.conf', 'hepix_vm',
                  'require_trait') == ['true' if isolates else 'false']


def test_each_server_has_our_drive(functions: Functions) -> None:
    conf = functions.write(CONF, (
        '[DEFAULT]\nconfig_drive_format = vfat\nforce_config_drive = False\n'
        'mkisofs_cmd = genisoimage\n[libvirt]\ninject_partition = -1\n'
        'inject_key = true\ninject_password = true\n'))
    said = functions.run('_configure_hepix_vm_nova_compute')
    assert values(conf, 'DEFAULT', 'mkisofs_cmd') == [
        f'{functions.machine.venv}/bin/hepix-vm-mkisofs']
    assert values(conf, 'DEFAULT', 'force_config_drive') == ['True']
    assert values(conf, 'DEFAULT', 'config_drive_format') == ['iso9660']
    assert parsed(conf)['libvirt'] == [
        ('inject_key', 'false'), ('inject_partition', '-2'),
        ('inject_password', 'false')]
    assert said.count('the gate would not hold') == 4


def test_defaults_that_hold_are_not_written(functions: Functions) -> None:
    conf = functions.write(CONF, '[libvirt]\ninject_key = False\n')
    functions.run('_configure_hepix_vm_nova_compute')
    assert parsed(conf)['libvirt'] == [('inject_key', 'False')]
    assert values(conf, 'DEFAULT', 'config_drive_format') == []


@pytest.mark.parametrize('service, step', [
    ('n-sch', 'scheduler'), ('n-cpu', 'compute')])
def test_units_find_the_settings(
        functions: Functions, service: str, step: str) -> None:
    functions.run(f'_configure_hepix_vm_nova_{step}')
    unit = (functions.etc / 'systemd/system' / f'devstack@{service}.service.d'
            / 'hepix-vm.conf')
    written = values(unit, 'Service', 'Environment')
    assert (f'HEPIX_VM_CONFIG={functions.machine.conf}/hepix-vm.conf'
            in written)
    assert any(each.startswith('HEPIX_VM_CONTEXT_CACHE=') for each in written)
    # Nova's unit has the group of libvirt alone.
    assert values(unit, 'Service', 'SupplementaryGroups')
    functions.run('cleanup_hepix_vm_nova')
    assert not unit.parent.exists()


@pytest.mark.parametrize('mine', ['True', 'False'])
def test_images_of_servers_inherit_no_endorsement(
        functions: Functions, mine: str) -> None:
    conf = functions.write(
        CONF, '[DEFAULT]\nnon_inheritable_image_properties = site,cache_in\n')
    functions.run(f'NOVA_USE_SERVICE_TOKEN={mine}\n'
                  '_configure_hepix_vm_nova_images')
    found = words(conf, 'DEFAULT', 'non_inheritable_image_properties')
    assert found[:2] == ['site', 'cache_in']
    assert {'hepix_state', 'hepix_endorsement', 'img_config_drive'} < {*found}
    # Where DevStack does so itself, it has done so before.
    assert values(conf, 'service_user', 'send_service_user_token') == (
        [] if mine == 'True' else ['True'])


def test_nova_asks_the_vendordata_service(functions: Functions) -> None:
    conf = functions.write(CONF, (
        '[api]\nvendordata_providers = StaticJSON\n'
        'vendordata_dynamic_targets = other@http://10.0.0.1/,'
        'hepix_vm@http://127.0.0.1:1/hepix_vm\n'))
    functions.run('HEPIX_VM_VENDORDATA_PORT=8000\n'
                  'HEPIX_VM_VENDORDATA_FATAL=False\n'
                  '_configure_hepix_vm_vendordata_nova')
    assert words(conf, 'api', 'vendordata_providers') == [
        'StaticJSON', 'DynamicJSON']
    assert words(conf, 'api', 'vendordata_dynamic_targets') == [
        'other@http://10.0.0.1/', 'hepix_vm@http://127.0.0.1:8000/hepix_vm',
        'cloud-init@http://127.0.0.1:8000/cloud-init']
    assert values(conf, 'api', 'vendordata_dynamic_failure_fatal') == [
        'False']
    functions.run('_configure_hepix_vm_vendordata_nova')
    assert values(conf, 'api', 'vendordata_dynamic_failure_fatal') == ['True']
    auth = dict(parsed(conf)['vendordata_dynamic_auth'])
    assert auth['username'] == 'nova'
    assert 'interface' not in auth


_SECRET = 'SERVICE_PASSWORD=not-for-the-log\n'


@pytest.mark.parametrize('step, name, user', [
    ('configure_hepix_vm_conf', 'hepix-vm.conf', 'hepix-vm'),
    ('_configure_hepix_vm_vendordata_conf', 'vendordata.conf',
     'hepix-vendordata')])
@pytest.mark.parametrize('tls', [False, True])
def test_accounts_are_written_for_the_services_alone(
        functions: Functions, step: str, name: str, user: str,
        tls: bool) -> None:
    bundle = functions.machine.data / 'ca-bundle.pem'
    if tls:
        bundle.write_text('')
    try:
        said = functions.run(
            f'{_SECRET}sudo install -d "$HEPIX_VM_CONF_DIR"\n{step}')
    finally:
        bundle.unlink(missing_ok=True)
    path = functions.machine.conf / name
    assert path.stat().st_mode & 0o777 == 0o640
    assert functions.owner(path).startswith('root:')
    account = dict(parsed(path)['service_credentials'])
    assert account['username'] == user
    assert account['password'] == 'not-for-the-log'
    assert account['valid_interfaces'] == 'public'
    assert account.get('cafile') == (str(bundle) if tls else None)
    # Of the setting itself, above, there is one line.
    assert functions.traced().count('not-for-the-log') == 1
    assert 'not-for-the-log' not in said
    assert list((functions.machine.folder / 'tmp').iterdir()) == []


def test_the_vendordata_service_is_closed(functions: Functions) -> None:
    functions.run('sudo install -d "$HEPIX_VM_CONF_DIR"\n'
                  '_configure_hepix_vm_vendordata_conf\n'
                  '_configure_hepix_vm_vendordata_uwsgi')
    folder = functions.machine.conf
    token = dict(parsed(folder / 'vendordata.conf')['keystone_authtoken'])
    assert token['service_token_roles_required'] == 'true'
    # DevStack's Keystone has no other.
    assert token['interface'] == 'public'
    uwsgi = dict(parsed(folder / 'vendordata-uwsgi.ini')['uwsgi'])
    assert uwsgi['http'] == f'127.0.0.1:{functions.machine.vendordata_port}'
    assert uwsgi['need-app'] == 'true'
    for name in ('vendordata-uwsgi.ini', 'vendordata-paste.ini'):
        assert (folder / name).stat().st_mode & 0o777 == 0o640
        assert functions.owner(folder / name).startswith('root:')
