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

import json
import os
import pathlib
import subprocess

import pytest

from tests.testbed.contexts import ContextSite
from tests.testbed.glance import program
from tests.testbed import service

_GOOD = {
    'DEFAULT': {'force_config_drive': 'true',
                'mkisofs_cmd': program('hepix-vm-mkisofs')},
    'api': {'vendordata_providers': 'StaticJSON,DynamicJSON',
            'vendordata_dynamic_targets': 'hepix_vm@http://127.0.0.1:1/x',
            'vendordata_dynamic_failure_fatal': 'true'},
    'vendordata_dynamic_auth': {'auth_type': 'password'}}


@pytest.mark.parametrize('options, status, bad', [
    (_GOOD, 0, set()),
    ({'DEFAULT': {'config_drive_format': 'vfat'}}, 2, {
        'Program that makes drives', 'Format of drives',
        'Every server has a drive', 'Vendordata'})])
def test_upgrade_check(
        tmp_path: pathlib.Path, options: dict[str, dict[str, str]],
        status: int, bad: set[str]) -> None:
    site = ContextSite(tmp_path)
    conf = tmp_path / 'nova.conf'
    conf.write_text(service.ini(options))
    environment = {**os.environ, **site.environment}
    subprocess.run([program('hepix-vm-status'), 'context', 'compile'],
                   check=True, env=environment, capture_output=True)
    finished = subprocess.run(
        [program('hepix-vm-status'), 'upgrade', 'check', 'nova',
         '--nova-config', str(conf), '-f', 'json'], capture_output=True,
        text=True, env=environment, timeout=120)
    assert finished.returncode == status, finished.stderr
    assert {row['Check'] for row in json.loads(finished.stdout)
            if row['Result'] != 'ok'} == bad
