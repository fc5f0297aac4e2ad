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

"""Mail to those who made servers whose image is out of use."""

import dataclasses
import json

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.event import Affected
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify.told import ToldFile
from tests.testbed.mail import mail_server
from tests.unit.exchange.events import event
from tests.unit.exchange.events import GLANCE_ID
from tests.unit.exchange.test_notify_email import make
from tests.unit.exchange.test_notify_email import OPERATORS
from tests.unit.exchange.test_notify_email import sent


@pytest.fixture
def server():
    with mail_server() as server:
        yield server


def affected(email, number='1'):
    return Affected(number, 'my\nserver', 'p1', 'u1', 'ACTIVE', email)


def test_the_owner_of_a_server_is_told_what_concerns_him(site, server):
    email = make(site, server)
    ran = event(Kind.SERVER_RUNS, Code.IMAGE_REVOKED, message='For you.',
                glance_image=GLANCE_ID, server=affected('bob@example.org'))
    email.tell(ran)
    email.tell(ran)
    assert sent(server) == [
        (to, '[hepix-vm] Example Site: A server runs an image out of use')
        for to in (OPERATORS, ['bob@example.org'])]
    to_operators, to_owner = (
        item.message.get_content() for item in server.received)
    for text in (to_operators, to_owner):
        assert 'server: 1 (my server) of user u1 in project p1, ACTIVE' in (
            text)
        assert GLANCE_ID in text
        assert '[image-revoked]' in text
    assert 'For you.' in to_operators
    assert 'For you.' not in to_owner
    assert 'Save what you need' in to_owner
    assert 'Save what you need' not in to_operators
    # Another server, or another thing that was done, is news.
    for more in ({'server': affected('bob@example.org', '2')},
                 {'kind': Kind.SERVER_STOPPING}):
        email.tell(dataclasses.replace(ran, **more))
    assert len(sent(server)) == 6


def test_who_is_known_late_is_told_alone(site, server):
    email = make(site, server)
    late = event(Kind.SERVER_OWNER, Code.IMAGE_REVOKED,
                 server=affected('bob@example.org'))
    for _ in range(2):
        email.tell(late)
    assert sent(server) == [
        (['bob@example.org'],
         '[hepix-vm] Example Site: A server is made from an image out of use')]


def test_an_owner_is_told_when_the_mail_server_is_back(site, server):
    """By the next sweep, which has no news of him."""
    down = make(site, server, smtp_port='1')
    down.tell(event(Kind.RUN_BEGINS))
    down.tell(event(Kind.SERVER_LOCKED, Code.IMAGE_REVOKED,
                    server=affected('bob@example.org')))
    with pytest.raises(ServiceError, match='it is sent later'):
        down.tell(event(Kind.RUN_ENDS))
    email = make(site, server)
    for _ in range(2):
        email.tell(event(Kind.RUN_BEGINS))
        email.tell(event(Kind.RUN_ENDS))
    assert [item.recipients for item in server.received] == [
        OPERATORS, ['bob@example.org']]


@pytest.mark.parametrize('address', ['', 'x', 'a@b\nBcc: c@d', 'a@b,c@d'])
def test_an_owner_without_a_plain_address(site, server, address, caplog):
    make(site, server).tell(event(
        Kind.SERVER_RUNS, Code.IMAGE_REVOKED, server=affected(address)))
    assert [item.recipients for item in server.received] == [OPERATORS]
    assert ('u1 has no mail address in Keystone' in caplog.text) is bool(
        address)


def test_more_owners_than_events_may_wait(site, server):
    """Operators read the rest in the journal, and owners nowhere."""
    email = make(site, server)
    email.tell(event(Kind.RUN_BEGINS))
    for number in range(510):
        email.tell(event(
            Kind.SERVER_LOCKED, Code.IMAGE_REVOKED, server=affected(
                f'user{number}@example.org', str(number))))
    with ToldFile(str(site.state), 'email').open() as told:
        waiting = [json.loads(item) for item in told.waiting().values()]
    assert len([to for to, *_ in waiting if to]) == 510
