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

"""Who is told, and what happens if he cannot be."""

import json
import logging
import threading

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import PluginError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify.log import Log
from hepix_vm.exchange.notify import Notifier
from hepix_vm.exchange.notify import Notifiers
from hepix_vm.exchange.notify import words
from hepix_vm import loading
from tests.unit.exchange.events import event
from tests.unit.exchange.events import GLANCE_ID
from tests.unit.exchange.events import image_list
from tests.unit.exchange.events import settings


class Kept(Notifier):
    """Keeps what it is told."""

    told: list[Kind] = []

    def tell(self, event):
        self.told.append(event.kind)


class Broken(Notifier):
    """Never succeeds."""

    def tell(self, event):
        raise KeyError('what')


class Refused(Notifier):
    """Says what is wrong."""

    def tell(self, event):
        raise ConfigError('It is wrong.')


class Hanging(Notifier):
    """Waits for what never comes."""

    limit = 0.2
    called = 0

    def tell(self, event):
        Hanging.called += 1
        threading.Event().wait()


@pytest.fixture
def plugins(monkeypatch):
    """Offer the notifiers of this module by name."""
    offered = {'kept': Kept, 'broken': Broken, 'refused': Refused,
               'hanging': Hanging}
    monkeypatch.setattr(loading, 'offered', lambda group: list(offered))
    monkeypatch.setattr(loading, 'load', lambda group, names: [
        offered[name] for name in names])
    Kept.told = []
    Hanging.called = 0


def journal(site):
    path = site.state / 'journal' / 'hepix-vm-sync.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_that_fails_holds_up_nobody(site, plugins, caplog):
    notifiers = Notifiers(settings(
        site, notifiers='broken,refused,hanging,kept'))
    for _ in range(2):
        notifiers.tell(event(Kind.IMAGE_REVOKED))
    assert Kept.told == [Kind.IMAGE_REVOKED] * 2
    assert Hanging.called == 1
    assert [(record['event'], record['notifier'], record['cause'])
            for record in journal(site)] == [
        ('notifier-failed', 'broken', 'KeyError'),
        ('notifier-failed', 'refused', 'ConfigError'),
        ('notifier-failed', 'hanging', 'TimeoutError'),
        ('notifier-failed', 'broken', 'KeyError'),
        ('notifier-failed', 'refused', 'ConfigError')]
    assert journal(site)[0]['about'] == 'image-revoked'
    assert journal(site)[0]['time'] == '2026-11-21T19:00:05Z'
    assert 'It is wrong.' in caplog.text
    assert 'is not asked again' in caplog.text


def test_one_that_is_not_installed_is_an_error_at_the_start(site, caplog):
    with pytest.raises(ConfigError) as caught:
        Notifiers(settings(site, notifiers='log,nonsense'))
    assert caught.value.message == (
        '[hepix_vm] notifiers: there is no nonsense, but email, log, '
        'vmcatcher.')
    # stevedore is not to say it in its own words before.
    assert caplog.text == ''


def test_one_that_does_not_load_is_an_error_at_the_start(site, monkeypatch):
    def broken(group, names):
        raise PluginError('The plugin log cannot be loaded: no.')

    monkeypatch.setattr(loading, 'load', broken)
    with pytest.raises(ConfigError, match='notifiers: The plugin log'):
        Notifiers(settings(site))


def test_one_that_is_not_configured_is_an_error_at_the_start(site):
    with pytest.raises(ConfigError, match='mail_from'):
        Notifiers(settings(site, notifiers='email'))


def test_without_any(site):
    Notifiers(settings(site, notifiers='')).tell(event(Kind.RUN_BEGINS))
    assert not (site.state / 'journal').exists()


def test_the_log_is_the_default(site, caplog):
    Notifiers(settings(site)).tell(event(Kind.LIST_REFUSED, Code.UNSIGNED))
    assert 'An image list was refused' in caplog.text


def test_an_event_is_one_line(site, caplog):
    of = image_list(title='Two\nlines')
    Log(settings(site)).tell(event(
        Kind.IMAGE_REVOKED, Code.IMAGE_REVOKED, Code.IMAGE_EXPIRED, of=of,
        glance_image=GLANCE_ID, name='x\x1b[2J'))
    record, = caplog.records
    entry, = of.images
    assert record.getMessage() == (
        f'An image was revoked: list {of.identifier} version 1 (Two lines). '
        f'image {entry.identifier} version 1.0 (Testbed image), in Glance '
        f'{GLANCE_ID} (x [2J). [image-revoked] This is image-revoked. Look '
        f'which servers run it; hepix-vm-sync lift takes it back. '
        f'[image-expired] This is '
        f'image-expired. Ask the endorser to renew the endorsement.')


@pytest.mark.parametrize('kind', list(Kind))
def test_the_level_of_an_event(site, caplog, kind):
    caplog.set_level(logging.INFO)
    Log(settings(site)).tell(event(kind))
    record, = caplog.records
    assert record.levelname == (
        'WARNING' if kind in {
            Kind.LIST_REFUSED, Kind.LIST_STALE, Kind.LIST_CLASHES,
            Kind.IMAGE_REFUSED, Kind.IMAGE_EXPIRED, Kind.IMAGE_REVOKED,
            Kind.IMAGE_BLOCKED, Kind.IMAGE_WAITS, Kind.SERVER_RUNS,
            Kind.SERVER_LOCKED, Kind.SERVER_STOPPING,
            Kind.SERVER_UNSTOPPED}
        else 'INFO')
    assert record.getMessage().startswith(words.happened(event(kind)))


def test_a_message_is_told_where_there_is_no_reason():
    assert words.why(event(Kind.LIST_STALE, message='It\nis late.')) == [
        'It is late.']
    assert words.why(event(Kind.RUN_BEGINS)) == []
