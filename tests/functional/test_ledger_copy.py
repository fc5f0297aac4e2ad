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

"""What the boot gate knows of the ledger of a real Glance."""

import datetime

import pytest

from hepix_vm import config
from hepix_vm.deadline import Deadline
from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.ledger import LedgerCopy
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.nova_ctx.lookup import Lookup
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from tests.functional.test_catalogue import connect
from tests.functional.test_catalogue import OWNER
from tests.functional.test_catalogue import record
from tests.testbed.client import ADMIN
from tests.testbed.client import replace
from tests.testbed import pki

HOUR = 3600
LONG = Deadline(10 ** 6)
INSTALLED = Record(Fact.INSTALLED, None, '', 'The gate stands.', 'glance-api',
                   pki.utcnow())


class Asked:
    """A catalogue that keeps how often and for what it was asked."""

    def __init__(self, asked):
        self._catalogue = asked
        self.found = []

    def check_administrator(self):
        self._catalogue.check_administrator()

    def images(self, **filters):
        found = list(self._catalogue.images(**filters))
        self.found.append(len(found))
        return found


@pytest.fixture
def catalogue(bare, monkeypatch):
    return connect(bare, monkeypatch)


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def asked(catalogue):
    return Asked(catalogue)


@pytest.fixture
def copy(catalogue, asked, clock):
    # As a glance-api with the gate does when it starts.
    RestLedger(catalogue, OWNER).write(INSTALLED)
    return LedgerCopy(asked, OWNER, lambda: clock[0],
                      aside=lambda call: call())


def age(bare):
    """Let all records be an hour old."""
    bare.glance.query("UPDATE images SET updated_at = "
                      "datetime(updated_at, '-1 hour')")


def test_only_what_changed_is_read_again(bare, catalogue, asked, copy):
    ledger = RestLedger(catalogue, OWNER)
    old = [record() for _ in range(3)]
    for each in old:
        ledger.write(each)
    age(bare)
    new = record()
    ledger.write(new)
    copy.refresh()
    assert copy.search([old[0].name, new.name]) in (
        [old[0], new], [new, old[0]])
    ledger.lift(old[1], 'ops: wrong')
    newest = record()
    ledger.write(newest)
    copy.refresh()
    assert [each.lifted for each in copy.search([old[1].name])] == [
        'ops: wrong']
    assert copy.search([newest.name]) == [newest]
    assert copy.search([old[2].name]) == [old[2]]
    # All of them, and then those that are not older than the margin.
    assert asked.found == [5, 3]


def test_what_was_removed_by_hand_counts_an_hour_later(
        bare, catalogue, copy, clock):
    one = record()
    RestLedger(catalogue, OWNER).write(one)
    copy.refresh()
    bare.glance.query('DELETE FROM images WHERE name = ?', (one.name,))
    copy.refresh()
    assert copy.search([one.name]) == [one]
    clock[0] += HOUR
    copy.refresh()
    copy.refresh()
    assert copy.search([one.name]) == []


def test_an_empty_ledger_is_not_believed(bare, copy, asked):
    one = LedgerCopy(asked, 'somebody')
    with pytest.raises(ServiceError, match='no ledger of the owner somebody'):
        one.refresh()
    copy.refresh()
    bare.glance.query('DELETE FROM images')
    copy.refresh()
    assert copy.search([INSTALLED.name])[0].fact is Fact.INSTALLED


def test_records_of_others_do_not_count(bare, copy):
    one = record()
    bare.client.as_(ADMIN).create(
        name=one.name, owner='somebody', visibility='private',
        os_hidden=True, disk_format=None, container_format=None)
    copy.refresh()
    assert copy.search([one.name]) == []


def test_those_on_endorsers_are_always_found(catalogue, copy):
    one = record('/CN=Alice', kind=Blockable.ENDORSER)
    RestLedger(catalogue, OWNER).write(one)
    copy.refresh()
    assert copy.search([]) == [one]


def test_one_that_cannot_be_read_is_not_passed_over(bare, copy):
    one = record()
    bare.client.as_(ADMIN).create(
        name=one.name, owner=OWNER, visibility='private', os_hidden=True,
        disk_format=None, container_format=None, hepix_ledger='{}')
    copy.refresh()
    assert copy.search([record().name]) == []
    with pytest.raises(MalformedError):
        copy.search([one.name])


def test_who_is_no_administrator_does_not_find_it_empty(bare, monkeypatch):
    member = connect(bare, monkeypatch, who='bob:service:member')
    with pytest.raises(ServiceError) as caught:
        LedgerCopy(member, OWNER).refresh()
    assert caught.value.status == 403
    # Before anything is listed: by the rules of other Glances he may list,
    # and finds what he may see.
    assert '/v2/info/stores/detail' in caught.value.message
    with pytest.raises(Unknown) as unknown:
        Lookup(config.load()).ledger(LONG)
    assert unknown.value.code is Code.UNAVAILABLE
    assert 'role' not in unknown.value.message


def test_a_failure_changes_nothing_that_was_read(
        catalogue, asked, copy, monkeypatch):
    one, two = record(), record()
    RestLedger(catalogue, OWNER).write(one)
    copy.refresh()

    def fail(**filters):
        raise ServiceError('Glance is down.', 0, '')

    with monkeypatch.context() as patched:
        patched.setattr(asked, 'images', fail)
        with pytest.raises(ServiceError):
            copy.refresh()
    assert copy.search([one.name]) == [one]
    RestLedger(catalogue, OWNER).write(two)
    copy.refresh()
    assert copy.search([two.name]) == [two]


def test_what_glance_says_is_kept_for_a_while(bare, monkeypatch):
    bare.site.write_config(boot_cache='3600')
    connect(bare, monkeypatch)
    lookup = Lookup(config.load())
    image_id = bare.client.create(name='one')
    bare.client.put(image_id, b'data')
    assert lookup.image(image_id, LONG).name == 'one'
    bare.client.patch(image_id, *replace(name='two'))
    assert lookup.image(image_id, LONG).name == 'one'
    # Nova would ask for another image.
    other = image_id.upper()
    assert lookup.image(other, LONG) is None
    bare.client.create(name='other', id=other)
    assert lookup.image(other, LONG).name == 'other'
    assert lookup.image(image_id, LONG).name == 'one'
    assert lookup.image('00000000-0000-0000-0000-000000000000', LONG) is None
    waited = bare.client.create(name='three')
    assert lookup.image(waited, LONG).status == 'queued'
    bare.client.put(waited, b'data')
    assert lookup.image(waited, LONG).status == 'active'
    bare.site.write_config(boot_cache='0')
    connect(bare, monkeypatch)
    lookup = Lookup(config.load())
    assert lookup.image(image_id, LONG).name == 'two'
    bare.client.patch(image_id, *replace(name='three'))
    assert lookup.image(image_id, LONG).name == 'three'
    assert lookup.image(image_id, LONG).created <= datetime.datetime.now(
        datetime.UTC)
