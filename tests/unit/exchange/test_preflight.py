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

"""What is said of a controller whose lists or sweeps stand still."""

import datetime
import os
import types

import pytest

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.ledger import LedgerCopy
from hepix_vm.exchange import preflight
from hepix_vm.exchange.rest import Rest
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange.store import Note
from hepix_vm.findings import Severity
from hepix_vm.trust.imagelist import format_time
from tests.testbed.site import ALICE
from tests.testbed.site import CA

UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
ENDORSERS = [{'dn': ALICE, 'ca': CA}]
BY_HAND = {'uuid': UUID, 'endorsers': ENDORSERS}
FOLLOWED = {**BY_HAND, 'url': 'https://lists.example.org/image.list',
            'projects': {'vo.example.org': 'atlas'}}


@pytest.fixture
def controller(site, monkeypatch):
    """A controller where all is well, and what is found of it."""
    for name in ('previous', 'fetched', 'journal'):
        (site.state / name).mkdir()
    (site.state / 'swept').touch()
    site.write_account('http://127.0.0.1:1')
    site.config.chmod(0o640)
    glance = types.SimpleNamespace(
        error=None, ledger=None, metadefs=200, unreachable=None)

    def check_administrator(self):
        if glance.error:
            raise glance.error

    def refresh(self):
        if glance.ledger:
            raise glance.ledger

    def request(self, method, path, accepted):
        if glance.unreachable:
            raise glance.unreachable
        assert (method, path) == (
            'GET', '/v2/metadefs/namespaces/OS::HEPiX::Endorsement')
        assert glance.metadefs in accepted
        return types.SimpleNamespace(status_code=glance.metadefs)
    monkeypatch.setattr(
        Catalogue, 'check_administrator', check_administrator)
    monkeypatch.setattr(LedgerCopy, 'refresh', refresh)
    monkeypatch.setattr(Rest, 'request', request)

    def only(what, severity=Severity.WARNING):
        """Return what is said of the one thing that is wrong."""
        (finding,) = [each for each in preflight.check()
                      if each.severity is not Severity.OK]
        assert (finding.what, finding.severity) == (what, severity)
        return finding.message
    return types.SimpleNamespace(site=site, glance=glance, only=only)


def all_is_well():
    return {finding.severity for finding in preflight.check()} == {
        Severity.OK}


def test_all_is_well(controller):
    found = preflight.check()
    assert {finding.what for finding in found} == {
        'Account of hepix-vm', 'Metadata definitions', 'Files of the site',
        'Endorsers', 'Lists', 'Sweep', 'Rights on files'}
    assert all_is_well(), found


@pytest.mark.parametrize('status, severity', [
    (403, Severity.FAILURE), (0, Severity.WARNING)])
def test_an_account_that_sees_not_all(controller, status, severity):
    controller.glance.error = ServiceError('It says no.', status, 'Give it.')
    assert controller.only(
        'Account of hepix-vm', severity) == 'It says no. Give it.'


def test_a_ledger_that_is_not_believed(controller):
    controller.glance.ledger = ServiceError('It is empty.', 0, 'Start it.')
    message = controller.only('Account of hepix-vm', Severity.FAILURE)
    assert message == ('No image is brought in, or taken out of use until '
                       'this is mended: It is empty. Start it.')


def test_no_account(controller):
    controller.site.write_config()
    controller.site.config.chmod(0o640)
    message = controller.only('Account of hepix-vm', Severity.FAILURE)
    assert 'no auth_type' in message


def test_properties_that_nobody_explains(controller):
    controller.glance.metadefs = 404
    assert 'glance-manage db load_metadefs' in controller.only(
        'Metadata definitions')
    controller.glance.unreachable = ServiceError('It is out.', 0, 'Look.')
    assert controller.only('Metadata definitions') == 'It is out. Look.'


def test_files_that_cannot_be_read(controller):
    (controller.site.folder / 'policy.yaml').write_text('nothing: 1')
    message = controller.only('Files of the site', Severity.FAILURE)
    assert 'policy.yaml' in message


def test_nobody_may_endorse(controller):
    controller.site.write_policy(endorsers=[])
    message = controller.only('Endorsers')
    assert 'nobody may endorse' in message
    assert str(controller.site.folder / 'subscriptions.yaml') in message


@pytest.mark.parametrize('lists', [True, False])
def test_endorsers_who_are_not_believed(controller, lists):
    entry = {'dn': ALICE, 'ca': '/C=EU/O=Other/CN=Other CA'}
    if lists:
        controller.site.write_subscriptions(
            [{**BY_HAND, 'endorsers': [entry]}])
        store(controller)
    else:
        controller.site.write_policy(endorsers=[entry])
    message = controller.only('Endorsers')
    assert ALICE in message
    assert (f'of the list {UUID}' in message) is lists
    assert 'is refused with untrusted-ca. ' in message
    assert 'trust_anchors' in message


def test_a_crl_that_is_late(controller):
    now = datetime.datetime.now(datetime.UTC)
    controller.site.write_anchors(
        this_update=now - datetime.timedelta(days=9),
        next_update=now - datetime.timedelta(days=1))
    message = controller.only('Endorsers')
    assert 'crl-expired. Look at fetch-crl' in message


def store(controller, age=None):
    """Have a list, fetched so long ago."""
    (controller.site.state / 'lists' / f'{UUID}.smime').touch()
    if age is not None:
        then = datetime.datetime.now(datetime.UTC) - age
        lists = ListStore(str(controller.site.state))
        lists.write_note(UUID, Note(success=format_time(then)))


@pytest.mark.parametrize('block, remedy', [
    (FOLLOWED, 'Run hepix-vm-sync'), (BY_HAND, 'It has no url')])
def test_a_list_that_is_not_here(controller, block, remedy):
    controller.site.write_subscriptions([block])
    message = controller.only('Lists')
    assert f'The list {UUID} was never accepted here. {remedy}' in message
    assert str(controller.site.state) in message


def test_a_list_by_hand(controller):
    controller.site.write_subscriptions([BY_HAND])
    store(controller)
    assert all_is_well()


@pytest.mark.parametrize('age, late', [
    (datetime.timedelta(hours=2), False), (datetime.timedelta(hours=4), True),
    (None, True)])
def test_a_list_that_nobody_fetches(controller, age, late):
    controller.site.write_subscriptions([FOLLOWED])
    store(controller, age)
    if late:
        message = controller.only('Lists')
        assert f'{UUID} was not fetched for 3 hours' in message
        assert 'hepix-vm-sync.timer' in message
    else:
        assert all_is_well()


def test_nothing_was_swept(controller):
    (controller.site.state / 'swept').unlink()
    assert 'Start hepix-vm-sweep.timer' in controller.only('Sweep')


def test_sweeps_that_ended(controller):
    path = controller.site.state / 'swept'
    now = path.stat().st_mtime
    os.utime(path, (now - 600, now - 600))
    assert all_is_well()
    os.utime(path, (now - 1200, now - 1200))
    message = controller.only('Sweep')
    assert 'See that hepix-vm-sweep.timer runs' in message


@pytest.mark.parametrize('mode, text', [
    (0o644, 'everybody on this host may read it'),
    (0o660, 'can be written by others than the owner')])
def test_a_password_that_others_read(controller, mode, text):
    controller.site.config.chmod(mode)
    assert text in controller.only('Rights on files')


@pytest.mark.parametrize('name', [
    'policy.yaml', 'subscriptions.yaml', 'certificates', 'state/lists'])
def test_files_that_others_write(controller, name):
    path = controller.site.folder / name
    path.chmod(path.stat().st_mode | 0o022)
    assert str(path) in controller.only('Rights on files')


@pytest.mark.parametrize('name', ['', 'lists', 'previous', 'fetched',
                                  'journal'])
def test_a_user_who_cannot_write(controller, name, monkeypatch):
    """Root may write everything, so that the answer is that of a user."""
    path = os.path.join(str(controller.site.state), name)
    path = path.rstrip('/') if not name else path
    monkeypatch.setattr(os, 'access',
                        lambda asked, mode: asked.rstrip('/') != path)
    message = controller.only('Rights on files', Severity.FAILURE)
    assert f'cannot write {path} as this user' in message
    assert 'sudo -u hepix-vm' in message
