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

"""What is said of a Nova whose servers would lack their context."""

import os

import pytest

from hepix_vm import config
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx import preflight
from hepix_vm.nova_ctx.preflight import Part
from hepix_vm.sitecontext import compiler
from tests.testbed.contexts import ContextSite
from tests.unit.nova_ctx import settings
from tests.unit.nova_ctx.settings import nova
from tests.unit.nova_ctx.settings import TARGET

DRIVES = {'Images stay as they are', 'Images of rescued servers',
          'Service tokens', 'Properties of snapshots'}


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = ContextSite(tmp_path / 'site')
    (tmp_path / 'site').chmod(0o755)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    compiler.refresh(config.load())
    return site


def bad(conf):
    """Return what is found of the drives."""
    found = settings.bad(conf, Part.COMPUTE)
    return {what: message for what, (message, ) in found.items()
            if what not in DRIVES}


def test_all_is_well(site, tmp_path):
    found = preflight.check(nova(tmp_path), [Part.COMPUTE])
    assert {finding.what for finding in found
            if finding.severity is Severity.OK} - DRIVES == {
        'Program that makes drives', 'Format of drives',
        'Every server has a drive', 'Settings of hepix-vm', 'Vendordata',
        'Context of the site', 'Rights on the context'}, found


@pytest.mark.parametrize('options, what, severity, text', [
    ({'DEFAULT': {'mkisofs_cmd': 'genisoimage'}}, 'Program that makes drives',
     Severity.FAILURE, 'mkisofs_cmd = /'),
    ({'DEFAULT': {'mkisofs_cmd': '/none/hepix-vm-mkisofs'}},
     'Program that makes drives', Severity.FAILURE, 'not found in PATH'),
    ({'DEFAULT': {'config_drive_format': 'vfat'}}, 'Format of drives',
     Severity.FAILURE,
     'config_drive_format = iso9660'),
    ({'DEFAULT': {'force_config_drive': 'false'}}, 'Every server has a drive',
     Severity.FAILURE, 'force_config_drive = True'),
    ({'api': {'vendordata_providers': 'DynamicJSON'}}, 'Vendordata',
     Severity.FAILURE, 'StaticJSON,DynamicJSON'),
    ({'api': {'vendordata_providers': 'StaticJSON'}}, 'Vendordata',
     Severity.WARNING, 'never apply'),
    ({'api': {'vendordata_dynamic_targets': 'x@http://x'}}, 'Vendordata',
     Severity.WARNING, 'hepix_vm@URL'),
    ({'api': {'vendordata_dynamic_failure_fatal': 'false'}}, 'Vendordata',
     Severity.WARNING, 'failure_fatal = True')])
def test_what_leaves_servers_without_context(
        site, tmp_path, options, what, severity, text):
    (found, (grade, message)), = bad(nova(tmp_path, **options)).items()
    assert (found, grade) == (what, severity)
    assert text in message


def test_a_service_that_nova_cannot_ask(site, tmp_path):
    grade, message = bad(nova(
        tmp_path, vendordata_dynamic_auth={'auth_type': ''}))['Vendordata']
    assert grade is Severity.FAILURE
    assert '[vendordata_dynamic_auth] has no auth_type' in message


def test_a_token_that_goes_over_http(site, tmp_path):
    grade, message = bad(nova(tmp_path, api={'vendordata_dynamic_targets':
        f'{TARGET},cloud-init@http://controller.example.org/x'}))['Vendordata']
    assert grade is Severity.WARNING
    assert 'controller.example.org without TLS' in message


def test_settings_of_ours_that_nobody_reads(site, tmp_path):
    path = tmp_path / 'nova.conf'
    grade, message = bad(nova(
        tmp_path, hepix_vm={'context_failure': 'warn'}))[
        'Settings of hepix-vm']
    assert grade is Severity.FAILURE
    assert f'{path}: [hepix_vm] is not read' in message


def test_a_context_that_cannot_be_used(site, tmp_path):
    site.write('rulez: []')
    grade, message = bad(nova(tmp_path))['Context of the site']
    assert grade is Severity.FAILURE
    assert 'rulez' in message


def test_a_cache_that_is_not_there(site, tmp_path):
    site.cache.unlink()
    grade, message = bad(nova(tmp_path))['Context of the site']
    assert grade is Severity.WARNING
    assert 'hepix-vm-status context compile' in message


def test_the_cache_is_that_of_nova_compute(site, tmp_path):
    for path in (site.cache, site.cache.parent):
        # Only root gives files away.
        os.chown(path, 12345 if os.geteuid() == 0 else -1, -1)
    assert bad(nova(tmp_path)) == {}


def test_servers_that_start_without_context(site, tmp_path):
    site.write_settings(context_failure='warn')
    compiler.refresh(config.load())
    grade, message = bad(nova(tmp_path))['Context of the site']
    assert grade is Severity.WARNING
    assert 'context_failure = warn' in message


@pytest.mark.parametrize('name', ['context.yaml', 'context',
                                  'context/10-log.sh', 'hepix-vm.conf'])
def test_files_that_others_may_write(site, tmp_path, name):
    (site.folder / name).chmod(0o775)
    compiler.refresh(config.load())
    grade, message = bad(nova(tmp_path))['Rights on the context']
    assert grade is Severity.WARNING
    assert str(site.folder / name) in message
