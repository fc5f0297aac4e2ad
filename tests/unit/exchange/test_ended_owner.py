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

"""Whoever made a server whose image is out of use is told once."""

from keystoneauth1 import exceptions
import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.owners import Owners
from hepix_vm.trust.settings import Measure
from tests.testbed.mail import mail_server
from tests.unit.exchange.outofuse import IMAGE
from tests.unit.exchange.outofuse import Images
from tests.unit.exchange.outofuse import Keystone
from tests.unit.exchange.outofuse import looker
from tests.unit.exchange.outofuse import Nova
from tests.unit.exchange.outofuse import server
from tests.unit.exchange.test_notify_email import make
from tests.unit.exchange.test_notify_email import OPERATORS
from tests.unit.exchange.test_usage import Service


@pytest.fixture
def look(tmp_path):
    return looker(tmp_path)


def test_a_user_without_an_address(look):
    done = look(Nova(server()), keystone=Keystone({'user': {'id': 'alice'}}))
    assert done.told[0].server.email == ''
    assert done.told[0].message == (
        'Who made it has no mail address in Keystone, and is not told.')


def test_an_owner_is_told_when_keystone_knows_him_again(look, caplog):
    """Once, as are the operators; a failure is said once a sweep."""
    seen = [server(str(number)) for number in range(3)]
    failing = Keystone(403)
    for known in (False, True):
        done = look(Nova(*seen), Measure.REPORT, keystone=failing)
        assert done.tally.failed == 1
        assert [event.server.email for event in done.told] == [''] * 3 * (
            not known)
    assert done.said == []
    assert caplog.text.count('Who made servers is not told') == 2
    assert caplog.text.count('Keystone answers 403') == 2
    done = look(Nova(*seen), Measure.REPORT)
    assert [(event.kind, event.server.email) for event in done.told] == [
        (Kind.SERVER_OWNER, 'alice@example.org')] * 3
    assert done.tally.failed == 0
    done = look(Nova(*seen), Measure.REPORT, keystone=failing)
    assert (done.told, done.tally.failed) == ([], 0)


@pytest.mark.parametrize('measure', [Measure.REPORT, Measure.STOP])
def test_each_gets_one_mail_though_keystone_was_away(look, site, measure):
    nova = Nova(server())
    with mail_server() as mail:
        email = make(site, mail)
        for keystone in (Keystone(403), Keystone(403), Keystone(), Keystone()):
            for event in look(nova, measure, keystone=keystone).told:
                email.tell(event)
            if nova.did:
                nova = Nova(server(state='stopped', locked=True,
                                   locked_reason=nova.reasons[0]))
    to_operators, to_owner = mail.received
    assert to_operators.recipients == OPERATORS
    assert 'he is told as soon as it does' in (
        to_operators.message.get_content())
    assert to_owner.recipients == ['alice@example.org']
    text = to_owner.message.get_content()
    assert 'A server is made from an image out of use.' in text
    assert 'Save what you need' in text


def test_what_is_so_again_is_mailed_again(site):
    """Though another controller made the image good in between."""
    look = looker(str(site.state))
    with mail_server() as mail:
        email = make(site, mail)
        for out in ((IMAGE,), (IMAGE,), (), (IMAGE,)):
            for event in look(Nova(server()), Measure.REPORT, out=out).told:
                email.tell(event)
    assert [item.recipients for item in mail.received] == [
        OPERATORS, ['alice@example.org']] * 2


def test_an_owner_without_an_address_is_not_looked_for_again(look):
    look(Nova(server()), Measure.LOCK, keystone=Keystone(403))
    nobody = Keystone({'user': {'id': 'alice'}})
    for line in (['1: Who made it has no mail address in Keystone, and is '
                  'not told.'], []):
        done = look(Nova(server(locked=True, state='stopped')),
                    keystone=nobody)
        assert (done.told, done.said) == ([], line)
    assert len(nobody.asked) == 1


def test_what_is_done_meanwhile_tells_the_owner_too(look):
    assert look(Nova(server()), Measure.REPORT, keystone=Keystone(500)
                ).told[0].server.email == ''
    event, = look(Nova(server())).told
    assert (event.kind, event.server.email) == (
        Kind.SERVER_STOPPING, 'alice@example.org')
    assert look(Nova(server(locked=True, state='stopped'))).told == []


def test_an_owner_is_told_once_whatever_is_done(look):
    def told(nova, measure, images=None):
        return [(event.kind, event.server.email) for event in look(
            nova, measure, images).told]

    address = 'alice@example.org'
    assert told(Nova(server()), Measure.REPORT) == [
        (Kind.SERVER_RUNS, address)]
    busy = Nova(server(), answers={'os-stop': 409})
    assert told(busy, Measure.STOP) == [(Kind.SERVER_LOCKED, '')]
    ran = {'locked': True, 'locked_reason': busy.reasons[0]}
    assert told(Nova(server(**ran)), Measure.STOP) == [
        (Kind.SERVER_STOPPING, '')]
    # Another state of the image is news.
    blocked = Images('blocked', Code.IMAGE_BLOCKED)
    assert told(Nova(server(state='stopped', **ran)), Measure.STOP, blocked
                ) == [(Kind.SERVER_RUNS, address)]
    assert told(Nova(server(state='stopped', **ran)), Measure.STOP, blocked
                ) == []


def test_whom_another_controller_told_is_not_told_late(look):
    nova = Nova(server())
    look(nova)
    look(Nova(), out=())
    ours = [{'action': 'lock', 'project_id': 'admin'}]
    for _ in range(2):
        keystone = Keystone()
        assert look(Nova(server(
            'x', 'stopped', locked=True, locked_reason=nova.reasons[0]),
            actions=ours), keystone=keystone).told == []
        assert keystone.asked == []


def test_one_user_that_keystone_does_not_show_hides_no_other(look):
    keystone = Service(lambda path, asked: 500 if path.endswith('alice')
                       else {'user': {'email': 'bob@example.org'}})
    done = look(Nova(*(server(user, user_id=user) for user in (
        'alice', 'bob'))), Measure.REPORT, keystone=keystone)
    assert [event.server.email for event in done.told] == [
        '', 'bob@example.org']


def test_a_keystone_that_does_not_answer_is_asked_once():
    asked = []

    def away(path, query):
        asked.append(path)
        raise exceptions.ConnectFailure('It is away.')

    owners = Owners(Service(away))
    for user in ('alice', 'bob'):
        with pytest.raises(ServiceError, match='cannot be asked'):
            owners.email(user)
    assert asked == ['/users/alice']


@pytest.mark.parametrize('answer', [{}, {'user': None}, {'user': []}])
def test_what_is_no_keystone(answer):
    with pytest.raises(ServiceError, match='not Keystone'):
        Owners(Service(lambda path, asked: answer)).email('alice')


def test_a_user_that_is_gone_and_one_whose_id_is_odd():
    keystone = Service(lambda path, asked: 404)
    assert Owners(keystone).email('alice') == ''
    assert Owners(None).email('alice') == ''
    Owners(keystone).email('a?b=c')
    assert keystone.asked == [{}, {}]
