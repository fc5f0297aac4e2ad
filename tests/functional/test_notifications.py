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

"""Verdicts go out as notifications, the same as in the journal."""

import json
import logging
import os

from oslo_config import cfg
import oslo_messaging
import pytest

from hepix_vm.deadline import within
from hepix_vm.journal import Journal
from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.functional.test_routes import put
from tests.functional.test_routes import stage_and_import
from tests.functional.test_routes import web_download
from tests.testbed.rabbit import RabbitMQ
from tests.testbed.site import ALICE
from tests.testbed.site import CA

DATA = os.urandom(100_000)
ROUTES = {put: 'upload', stage_and_import: 'glance-direct',
          web_download: 'web-download'}
KEYS = {'service', 'host', 'time', 'event', 'moment', 'image', 'project',
        'user', 'request', 'route', 'allowed', 'endorsed', 'mode',
        'reasons', 'sha512', 'size'}


@pytest.fixture(scope='module')
def notifying(tmp_path_factory):
    """A cloud whose notifications go into its log."""
    yield from start(tmp_path_factory.mktemp('notifying'), extra={
        'oslo_messaging_notifications': {'driver': 'log'}})


def events(cloud: Cloud) -> list[dict]:
    """Return what oslo.messaging's driver ``log`` wrote of ours."""
    marker = 'hepix_vm.verdict ['
    found = []
    for line in cloud.glance.log_text().splitlines():
        if marker in line:
            found.append(json.loads(line[line.index('{', line.index(
                marker)):]))
    return found


@pytest.mark.parametrize('route', ROUTES)
def test_every_verdict_is_sent_as_it_is_journalled(notifying, route):
    before = len(notifying.records()) if (
        notifying.site.journal.exists()) else 0
    good = notifying.client.create(
        hepix_endorsement=notifying.site.endorse(DATA))
    assert route(notifying, good, DATA) == ''
    bad = notifying.client.create()
    text = route(notifying, bad, DATA)
    assert '[not-endorsed]' in text
    records = notifying.records()
    sent = events(notifying)
    assert [event['payload'] for event in sent] == records
    for event in sent[before:]:
        assert event['event_type'] == 'hepix_vm.verdict'
        assert event['priority'] == 'INFO'
        assert event['publisher_id'] == (
            f'hepix-vm.{event["payload"]["host"]}')
    final = {record['image']: record for record in records[before:]}
    assert set(final) == {good, bad}
    assert set(final[good]) == KEYS | {'endorsement'}
    assert final[good]['endorsement']['endorser_dn'] == ALICE
    assert final[good]['endorsement']['endorser_ca'] == CA
    assert final[good]['route'] == ROUTES[route]
    assert (final[good]['allowed'], final[good]['reasons']) == (True, [])
    assert set(final[bad]) == KEYS
    assert not final[bad]['allowed']
    assert final[bad]['project'] == 'atlas'
    assert final[bad]['user'] == 'alice'
    for reason in final[bad]['reasons']:
        assert f'[{reason["code"]}] {reason["message"]}' in text


def test_a_journal_that_cannot_be_written_changes_no_verdict(notifying):
    journal = notifying.site.journal.parent
    kept = journal.with_name('kept')
    journal.rename(kept)
    journal.write_text('not a folder')
    try:
        good = notifying.client.create(
            hepix_endorsement=notifying.site.endorse(DATA))
        assert put(notifying, good, DATA) == ''
        bad = notifying.client.create()
        assert '[not-endorsed]' in put(notifying, bad, DATA)
    finally:
        journal.unlink()
        kept.rename(journal)
    assert notifying.client.status(good) == 'active'
    assert notifying.client.status(bad) == 'queued'
    assert f'{notifying.site.journal} cannot be written' in (
        notifying.glance.log_text())
    assert {good, bad} <= {event['payload']['image']
                           for event in events(notifying)}


@pytest.fixture
def transports(monkeypatch):
    """Whatever leads to a bus from here; its threads end with the test."""
    made = []
    make = oslo_messaging.get_notification_transport

    def kept(conf):
        made.append(make(conf))
        return made[-1]

    monkeypatch.setattr(oslo_messaging, 'get_notification_transport', kept)
    yield made
    for transport in made:
        transport.cleanup()


@pytest.mark.usefixtures('transports')
def test_nobody_waits_for_a_bus_that_is_gone(tmp_path, caplog):
    with RabbitMQ(tmp_path / 'bus') as bus:
        settings = tmp_path / 'service.conf'
        settings.write_text(
            f'[DEFAULT]\ntransport_url = {bus.url}\n'
            '[oslo_messaging_notifications]\ndriver = messagingv2\n')
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(settings)])
        journal = Journal(str(tmp_path), 'glance-api', conf)
        with caplog.at_level(logging.WARNING, 'oslo_messaging'):
            journal.record({'image': 'one'})
            assert caplog.messages == []
            bus.stop()
            within(60, lambda: journal.record({'image': 'two'}))
        assert 'Unable to connect to AMQP server' in caplog.text
    assert [json.loads(line)['image'] for line in open(journal.path)] == [
        'one', 'two']
