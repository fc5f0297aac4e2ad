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
import types

import pytest

from hepix_vm import config
from hepix_vm.findings import Severity
from hepix_vm.nova_ctx import preflight
from hepix_vm.sitecontext import compiler
from tests.testbed.contexts import ContextSite
from tests.testbed.glance import program

TARGET = 'hepix_vm@http://127.0.0.1:9755/hepix_vm'


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = ContextSite(tmp_path / 'site')
    (tmp_path / 'site').chmod(0o755)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    compiler.refresh(config.load())
    return site


def nova(api=(), **options):
    """Nova's options as they should be, but for these."""
    return types.SimpleNamespace(**{
        'mkisofs_cmd': program('hepix-vm-mkisofs'),
        'vendordata_dynamic_auth': types.SimpleNamespace(
            auth_type='password'),
        'config_file': [], 'config_dir': [],
        'config_drive_format': 'iso9660', 'force_config_drive': True,
        'api': types.SimpleNamespace(**{
            'vendordata_providers': ['StaticJSON', 'DynamicJSON'],
            'vendordata_dynamic_targets': [TARGET],
            'vendordata_dynamic_failure_fatal': True, **dict(api)}),
        **options})


def bad(checked):
    return {finding.what: (finding.severity, finding.message)
            for finding in preflight.check(checked)
            if finding.severity is not Severity.OK}


def test_all_is_well(site):
    found = preflight.check(nova())
    assert [(finding.what, finding.severity) for finding in found] == [
        (what, Severity.OK) for what in (
            'Program that makes drives', 'Format of drives',
            'Every server has a drive', 'Settings of hepix-vm', 'Vendordata',
            'Context of the site', 'Rights on files')], found


@pytest.mark.parametrize('options, what, severity, text', [
    ({'mkisofs_cmd': 'genisoimage'}, 'Program that makes drives',
     Severity.FAILURE, 'mkisofs_cmd = /'),
    ({'mkisofs_cmd': '/none/hepix-vm-mkisofs'}, 'Program that makes drives',
     Severity.FAILURE, 'not found in PATH'),
    ({'config_drive_format': 'vfat'}, 'Format of drives', Severity.FAILURE,
     'config_drive_format = iso9660'),
    ({'force_config_drive': False}, 'Every server has a drive',
     Severity.FAILURE, 'force_config_drive = True'),
    ({'api': {'vendordata_providers': ['DynamicJSON']}}, 'Vendordata',
     Severity.FAILURE, 'StaticJSON,DynamicJSON'),
    ({'api': {'vendordata_providers': ['StaticJSON']}}, 'Vendordata',
     Severity.WARNING, 'never apply'),
    ({'api': {'vendordata_dynamic_targets': ['x@http://x']}}, 'Vendordata',
     Severity.WARNING, 'hepix_vm@URL'),
    ({'api': {'vendordata_dynamic_failure_fatal': False}}, 'Vendordata',
     Severity.WARNING, 'failure_fatal = True')])
def test_what_leaves_servers_without_context(site, options, what, severity,
                                             text):
    (found, (grade, message)), = bad(nova(**options)).items()
    assert (found, grade) == (what, severity)
    assert text in message


def test_a_service_that_nova_cannot_ask(site):
    grade, message = bad(nova(vendordata_dynamic_auth=types.SimpleNamespace(
        auth_type=None)))['Vendordata']
    assert grade is Severity.FAILURE
    assert '[vendordata_dynamic_auth] has no auth_type' in message


def test_a_token_that_goes_over_http(site):
    grade, message = bad(nova(api={'vendordata_dynamic_targets': [
        TARGET, 'cloud-init@http://controller.example.org/x']}))['Vendordata']
    assert grade is Severity.WARNING
    assert 'controller.example.org without TLS' in message


def test_settings_of_ours_that_nobody_reads(site, tmp_path):
    path = tmp_path / 'nova.conf'
    path.write_text('[DEFAULT]\n[hepix_vm]\ncontext_failure = warn\n')
    grade, message = bad(nova(config_file=[str(path)]))[
        'Settings of hepix-vm']
    assert grade is Severity.FAILURE
    assert f'{path}: [hepix_vm] is not read' in message


def test_a_context_that_cannot_be_used(site):
    site.write('rulez: []')
    grade, message = bad(nova())['Context of the site']
    assert grade is Severity.FAILURE
    assert 'rulez' in message


def test_a_cache_that_is_not_there(site):
    site.cache.unlink()
    grade, message = bad(nova())['Context of the site']
    assert grade is Severity.WARNING
    assert 'hepix-vm-status context compile' in message


def test_the_cache_is_that_of_nova_compute(site):
    for path in (site.cache, site.cache.parent):
        # Only root gives files away.
        os.chown(path, 12345 if os.geteuid() == 0 else -1, -1)
    assert bad(nova()) == {}


def test_servers_that_start_without_context(site):
    site.write_settings(context_failure='warn')
    compiler.refresh(config.load())
    grade, message = bad(nova())['Context of the site']
    assert grade is Severity.WARNING
    assert 'context_failure = warn' in message


@pytest.mark.parametrize('name', ['context.yaml', 'context',
                                  'context/10-log.sh', 'hepix-vm.conf'])
def test_files_that_others_may_write(site, name):
    (site.folder / name).chmod(0o775)
    compiler.refresh(config.load())
    grade, message = bad(nova())['Rights on files']
    assert grade is Severity.WARNING
    assert str(site.folder / name) in message
