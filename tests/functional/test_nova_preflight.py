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

"""``hepix-vm-status upgrade check nova`` reads Nova's own configuration."""

from collections.abc import Iterator
from collections.abc import Mapping
import json
import os
import pathlib
import subprocess
import sys

import pytest

from hepix_vm import protections
from tests.testbed.contexts import ContextSite
from tests.testbed.glance import program
from tests.testbed.keystone import Keystone
from tests.testbed import service
from tests.testbed import site as testbed_site

_FILTER = 'hepix_vm.nova_ctx.scheduler_filter.EndorsedImageFilter'
_GOOD = {
    'DEFAULT': {
        'force_config_drive': 'true',
        'mkisofs_cmd': program('hepix-vm-mkisofs'),
        'non_inheritable_image_properties': ','.join(protections.UNCOPIED)},
    'api': {'vendordata_providers': 'StaticJSON,DynamicJSON',
            'vendordata_dynamic_targets': 'hepix_vm@http://127.0.0.1:1/x',
            'vendordata_dynamic_failure_fatal': 'true'},
    'filter_scheduler': {
        'available_filters': 'nova.scheduler.filters.all_filters\n'
                             f'available_filters = {_FILTER}',
        'enabled_filters': 'EndorsedImageFilter'}}
# Neither Glance nor the vendordata service run here.
_UNTOLD = {'Vendordata answers'}
_SILENT = {'Account of hepix-vm', *_UNTOLD}


@pytest.fixture(scope='module')
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    with Keystone(tmp_path_factory.mktemp('identity') / 'k') as keystone:
        yield keystone


def _account(keystone: Keystone, project: str) -> dict[str, str]:
    return {'send_service_user_token': 'true',
            **keystone.account('nova', project)}


def _check(folder: pathlib.Path, part: str, keystone: Keystone,
           options: Mapping[str, Mapping[str, str]],
           ) -> tuple[int, set[str]]:
    """Return the status, and what is not ok."""
    site = ContextSite(folder)
    policy = folder / 'policy.yaml'
    policy.write_text('{}')
    site.write_settings(policy_file=str(policy))
    with site.config.open('a') as config:
        config.write(service.ini({'service_credentials': {
            **keystone.account('nova', 'service'),
            'image_endpoint': 'http://127.0.0.1:1'}}))
    conf = folder / 'nova.conf'
    conf.write_text(service.ini(options))
    environment = {**os.environ, **site.environment,
                   'OS_NOVA_CONFIG_DIR': str(folder)}
    subprocess.run([program('hepix-vm-status'), 'context', 'compile'],
                   check=True, env=environment, capture_output=True)
    finished = subprocess.run(
        [program('hepix-vm-status'), 'upgrade', 'check', part,
         '--nova-config', str(conf), '-f', 'json'], capture_output=True,
        text=True, env=environment, timeout=120)
    assert finished.stdout, finished.stderr
    return finished.returncode, {
        row['Check'] for row in json.loads(finished.stdout)
        if row['Result'] != 'ok'}


@pytest.mark.parametrize('part, status, bad', [
    ('nova-compute', 2, _UNTOLD), ('nova-api-metadata', 2, _UNTOLD),
    ('nova', 2, _SILENT)])
def test_all_is_well(tmp_path: pathlib.Path, keystone: Keystone, part: str,
                     status: int, bad: set[str]) -> None:
    shipped = pathlib.Path(sys.prefix, 'etc/nova/api-paste.ini').read_text()
    (tmp_path / 'api-paste.ini').write_text(shipped.replace(
        ' osapi_compute_app_v21\n', ' hepix_boot osapi_compute_app_v21\n',
        ) + testbed_site.NOVA_PASTE.read_text())
    assert _check(tmp_path, part, keystone, {
        **_GOOD, 'service_user': _account(keystone, 'service'),
        'vendordata_dynamic_auth': keystone.account('nova', 'service'),
        }) == (status, bad)


def test_what_is_wrong_is_said(
        tmp_path: pathlib.Path, keystone: Keystone) -> None:
    assert _check(tmp_path, 'nova', keystone, {
        'DEFAULT': {'config_drive_format': 'vfat'},
        'keystone_authtoken': {'service_token_roles_required': 'false'},
        'libvirt': {'inject_partition': '-1'}}) == (2, {
            'Filter in the pipeline', 'Scheduler filter',
            'Account of hepix-vm', 'Service tokens',
            'Tokens that Nova takes', 'Properties of snapshots',
            'Images stay as they are', 'Program that makes drives',
            'Format of drives', 'Every server has a drive', 'Vendordata'})


def test_an_account_that_is_no_service(
        tmp_path: pathlib.Path, keystone: Keystone) -> None:
    keystone.add_user('other', 'admin', 'member')
    assert _check(tmp_path, 'nova-compute', keystone, {
        **_GOOD, 'service_user': {
            **_account(keystone, 'admin'), 'username': 'other'},
        'vendordata_dynamic_auth': keystone.account('nova', 'service'),
        }) == (2, {'Service tokens', *_UNTOLD})


@pytest.mark.parametrize('options, said', [
    ({}, ''),
    ({'interface': 'none'}, 'Set interface = public'),
    ({'password': 'wrong'}, 'requires authentication'),
    # Keystone tells it nothing of others' tokens.
    ({'username': 'member'}, 'not authorized')])
def test_tokens_the_vendordata_service_can_check(
        tmp_path: pathlib.Path, keystone: Keystone,
        options: Mapping[str, str], said: str) -> None:
    keystone.add_user('member', 'service', 'member')
    site = ContextSite(tmp_path)
    with site.config.open('a') as config:
        config.write(service.ini({
            'keystone_authtoken': {
                **keystone.middleware('nova'), **options},
            'service_credentials': {
                **keystone.account('admin', 'admin'),
                'image_endpoint': 'http://127.0.0.1:1'}}))
    finished = subprocess.run(
        [program('hepix-vm-status'), 'upgrade', 'check', 'vendordata',
         '-f', 'json'], capture_output=True, text=True, timeout=120,
        env={**os.environ, **site.environment})
    assert finished.stdout, finished.stderr
    found, = (row for row in json.loads(finished.stdout)
              if row['Check'] == 'Tokens are checked')
    assert found['Result'] == ('failure' if said else 'ok')
    assert said in found['Details']
    assert 'secret' not in found['Details']
