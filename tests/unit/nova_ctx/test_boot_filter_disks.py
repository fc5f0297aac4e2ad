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


"""Servers whose disks are all said by the request."""

import json

import pytest

from hepix_vm.errors import Code
from tests.unit.nova_ctx.test_boot_filter import Api


@pytest.fixture
def api(monkeypatch):
    return Api(monkeypatch)


@pytest.mark.parametrize('devices', [
    {'block_device_mapping_v2': [
        {'source_type': 'blank', 'destination_type': 'local',
         'boot_index': 0},
        {'source_type': 'volume', 'uuid': 'x', 'boot_index': -1}]},
    {'block_device_mapping': [{'virtual_name': 'ephemeral0'}]}])
def test_a_server_whose_disks_are_blank_boots_nothing(api, devices):
    status, _, said = api.ask(json.dumps({'server': devices}).encode())
    assert status == 403 and api.passed == []
    assert 'whose boot_index is 0' in said['forbidden']['message']
    [(code, _, who)] = api.boots.asked
    assert code is Code.NOT_ENDORSED and who['action'] == 'create'


def test_a_server_without_an_image_is_for_nova_to_refuse(api):
    status, _, _ = api.ask(b'{"server": {}}')
    assert status == 202 and len(api.passed) == 1
