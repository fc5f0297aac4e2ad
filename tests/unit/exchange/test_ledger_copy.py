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

"""What is known of the ledger by who asks often."""

import datetime

import pytest

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.ledger import LedgerCopy
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.testbed import pki
from tests.testbed.site import ALICE

OWNER = 'hepix-vm'
HOUR = 3600
NOW = pki.utcnow()
DAYS = datetime.timedelta(days=1)


class Glance:
    """Images that are records, and what was asked of them."""

    def __init__(self):
        self.images_there = {}
        self.read = []
        self.error = None
        self.add(ledger.name_of(None, ''), 90 * DAYS)

    def add(self, name, ago, text='No record.'):
        self.images_there[name] = {
            'id': name, 'name': name, 'owner': OWNER,
            'updated_at': format_time(NOW - ago), ledger.PROPERTY: text}

    def check_administrator(self):
        if self.error:
            raise self.error

    def images(self, hidden, owner, updated_at):
        assert hidden == (True,)
        since = updated_at.removeprefix('gte:')
        found = [image for image in self.images_there.values()
                 if image['owner'] == owner and image['updated_at'] >= since]
        self.read.append(len(found))
        return found


class World:
    def __init__(self):
        self.glance = Glance()
        self.seconds = 0.0
        self.aside = []
        self.copy = LedgerCopy(
            self.glance, OWNER, lambda: self.seconds,
            lambda: NOW + datetime.timedelta(seconds=self.seconds),
            self.aside.append)

    def refresh(self, after=10):
        self.seconds += after
        self.copy.refresh()

    def knows(self, name):
        """Return whether it has a record, which says nothing here."""
        return name in self.copy._by_name


@pytest.fixture
def world():
    return World()


def test_many_records_of_one_day_are_read_once(world):
    for number in range(1000):
        world.glance.add(f'old-{number}', 30 * DAYS)
    for _ in range(4):
        world.refresh()
    assert world.glance.read == [1001, 0, 0, 0]


def test_a_record_of_the_future_hides_none(world):
    world.refresh()
    world.glance.add('future', -DAYS)
    world.refresh()
    world.glance.add('now', datetime.timedelta())
    world.refresh()
    assert world.knows('future') and world.knows('now')


def test_what_came_while_it_was_asked_is_found_next_time(world):
    world.refresh()
    world.refresh(after=30)
    # Its time is that of a moment before that.
    world.glance.add('late', -datetime.timedelta(seconds=world.seconds - 20))
    world.refresh(after=1)
    assert world.knows('late')


def test_all_is_read_again_while_others_are_answered(world):
    world.glance.add('removed', 30 * DAYS)
    world.refresh()
    del world.glance.images_there['removed']
    world.refresh(after=HOUR)
    assert world.glance.read == [2, 0]
    again, = world.aside
    # It takes long, and something is written meanwhile.
    world.glance.add('before', -datetime.timedelta(seconds=HOUR + 10))
    again()
    world.glance.add('behind', -datetime.timedelta(seconds=HOUR + 20))
    world.refresh(after=30)
    assert not world.knows('removed')
    assert world.knows('before') and world.knows('behind')
    assert world.glance.read == [2, 0, 2, 2]
    # Once an hour, and not twice at the same time.
    world.refresh(after=HOUR)
    world.refresh(after=HOUR)
    assert len(world.aside) == 2


def test_what_slow_clocks_wrote_counts_an_hour_later(world):
    world.glance.add('removed', 30 * DAYS)
    world.refresh()
    del world.glance.images_there['removed']
    blocked = Record(Fact.BLOCKED, Blockable.ENDORSER, ALICE, 'Her key is '
                     'known.', 'ops', NOW)
    world.glance.add(blocked.name, DAYS, ledger.serialize(blocked))
    world.refresh(after=HOUR)
    assert world.copy.search([]) == []
    world.aside.pop()()
    world.refresh()
    assert world.copy.search([]) == [blocked]
    assert not world.knows('removed')
    del world.glance.images_there[blocked.name]
    world.refresh(after=HOUR)
    world.aside.pop()()
    world.refresh()
    assert world.copy.search([]) == []


def test_who_may_not_see_it_any_more_does_not_go_on(world):
    world.refresh()
    world.glance.error = ServiceError('You are no administrator.', 403, 'x')
    world.refresh(after=HOUR)
    world.aside.pop()()
    for _ in range(2):
        with pytest.raises(ServiceError, match='no administrator'):
            world.refresh()
    world.glance.error = None
    world.glance.add('new', -datetime.timedelta(seconds=HOUR))
    world.refresh()
    assert world.knows('new')


def test_it_is_read_aside_in_a_thread_of_its_own(world):
    copy = LedgerCopy(world.glance, OWNER, lambda: world.seconds)
    copy.refresh()
    world.glance.add('removed', 30 * DAYS)
    world.seconds = HOUR
    copy.refresh()
    copy._coming.result(timeout=60)
    copy.refresh()
    assert 'removed' in copy._by_name
