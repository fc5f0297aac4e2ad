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

"""Sweep and adoption where the gate stands in Glance as well."""

import json
import os
import pathlib

import pytest

from hepix_vm.cmd import sync
from hepix_vm.exchange import preflight
from hepix_vm.findings import Severity
from hepix_vm import paths
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.testbed.client import ADMIN
from tests.testbed.client import replace
from tests.testbed import pki
from tests.testbed.site import entry

METADEFS = pathlib.Path(
    'etc/hepix_vm/metadefs/hepix-endorsement.json').read_text()


@pytest.fixture
def gated(cloud, monkeypatch):
    """A cloud with the gate, and an account for the commands."""
    cloud.site.write_account(cloud.glance.url)
    monkeypatch.setenv(paths.ENVIRONMENT, str(cloud.site.config))
    return cloud


def test_a_block_is_carried_out_and_taken_back(gated):
    data = os.urandom(100)
    admin = gated.client.as_(ADMIN)
    image_id = gated.client.create(
        hepix_endorsement=gated.site.endorse(data))
    assert gated.client.put(image_id, data).status_code == 204
    record = Record(Fact.BLOCKED, Blockable.SHA512, entry(data).sha512,
                    'CVE-2026-0001', 'ops@example.org', pki.utcnow())
    record_id = admin.create(
        name=record.name, owner='hepix-vm', os_hidden=True,
        hepix_ledger=ledger.serialize(record))
    assert sync.main(['--sweep']) == 0
    image = admin.image(image_id)
    assert (image['status'], image['hepix_state']) == (
        'deactivated', 'blocked')
    assert admin.patch(record_id, *replace(hepix_ledger=json.dumps({
        **json.loads(ledger.serialize(record)), 'lifted': 'ops: wrong'})
        )).status_code == 200
    assert sync.main(['--sweep']) == 0
    image = admin.image(image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'endorsed')
    assert 'hepix_reason' not in image


def test_what_was_adopted_passes_the_filter(gated):
    """The gate in Glance reads what the command wrote."""
    image_id = gated.client.create()
    # As if it had been there before the gate.
    gated.glance.query(
        "UPDATE images SET status = 'active', size = 4, "
        "os_hash_algo = 'sha512', os_hash_value = ? WHERE id = ?",
        (entry(b'data').sha512, image_id))
    assert sync.main(['adopt', '--reason', 'in use', image_id]) == 0
    assert gated.client.patch(image_id, *replace(
        visibility='community')).status_code == 200
    image = gated.client.image(image_id)
    assert (image['status'], image['hepix_state']) == ('active', 'adopted')
    assert sync.main(['--sweep']) == 0
    assert gated.client.status(image_id) == 'active'


def wrong():
    """Return what ``hepix-vm-status upgrade check sync`` finds."""
    return {finding.what: (str(finding.severity), finding.message)
            for finding in preflight.check()
            if finding.severity is not Severity.OK}


def test_what_is_said_of_a_controller(gated):
    """The real Glance is asked, and a real sweep leaves its time."""
    gated.site.config.chmod(0o640)
    swept = gated.site.state / 'swept'
    swept.unlink(missing_ok=True)
    assert sync.main(['--sweep', '--dry-run']) == 0
    assert not swept.exists()
    found = wrong()
    assert set(found) == {'Metadata definitions', 'Sweep'}, found
    answer = gated.client.as_(ADMIN).call(
        'POST', '/v2/metadefs/namespaces', json=json.loads(METADEFS))
    assert answer.status_code == 201, answer.text
    assert sync.main(['--sweep']) == 0
    assert wrong() == {}

    gated.site.write_account(gated.glance.url, 'alice:atlas:member,reader')
    gated.site.config.chmod(0o640)
    found = wrong()
    assert set(found) == {'Account of hepix-vm'}, found
    severity, message = found['Account of hepix-vm']
    assert severity == 'failure'
    assert 'Glance answers 403' in message
    assert 'the role admin' in message
