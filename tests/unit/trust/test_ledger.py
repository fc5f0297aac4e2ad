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

import dataclasses
import datetime
import itertools
import json

import pytest

from hepix_vm.errors import MalformedError
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
ID = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
DIGEST = 'ab' * 64
BLOCKED = Record(Fact.BLOCKED, Blockable.SHA512, DIGEST, 'CVE-2026-0001',
                 'ops@example.org', NOW)
ADOPTED = Record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, ID, 'Octavia',
                 'ops@example.org', NOW, sha512=DIGEST,
                 until=NOW + datetime.timedelta(days=1))
RECORDS = [
    BLOCKED, ADOPTED, dataclasses.replace(BLOCKED, lifted='bob: no'),
    Record(Fact.REVOKED, Blockable.IMAGE, ID, 'gone', 'sync', NOW,
           image_list=LIST, version='3'),
    Record(Fact.ACCEPTED, Blockable.LIST, LIST, 'fetched', 'sync', NOW,
           version='20'),
    Record(Fact.DERIVED, Blockable.GLANCE_IMAGE, ID, 'made', 'glance-api',
           NOW, sha512=DIGEST, base=LIST, base_sha512=DIGEST,
           base_owner='0a1b', base_created=NOW,
           base_endorsement='TUlNRQ==\n'),
    Record(Fact.DERIVED, Blockable.GLANCE_IMAGE, ID, 'made', 'glance-api',
           NOW, sha512=DIGEST),
    Record(Fact.RECEIVED, Blockable.GLANCE_IMAGE, ID, 'converted',
           'glance-api', NOW, sha512=DIGEST),
    Record(Fact.SUPERSEDED, Blockable.SHA512, DIGEST, 'newer', 'sync', NOW,
           image_list=LIST, version='3'),
    Record(Fact.APPROVED, Blockable.IMAGE, ID, 'good', 'ops', NOW),
    Record(Fact.SHAREABLE, Blockable.SHA512, DIGEST, 'good', 'ops', NOW),
    Record(Fact.HELD, Blockable.IMAGE, ID, 'first', 'sync', NOW,
           image_list=LIST),
    Record(Fact.INSTALLED, None, '', 'began', 'glance-api', NOW),
]


@pytest.mark.parametrize('record', RECORDS)
def test_what_is_written_reads_back(record):
    assert ledger.parse(ledger.serialize(record)) == record


@pytest.mark.parametrize('change', [
    {'fact': 'pardoned'}, {'kind': 'person'}, {'value': ''}, {'at': 'now'},
    {'until': 'never'}, {'lifted': ''}, {'lifted': True}, {'sha512': 'abc'},
    {'image_list': 'x'}, {'author': ''}, {'reason': None}, {'more': 1},
    {'kind': None}, {'fact': 'installed'}, {'kind': 'image'},
    {'reason': ''}, {'fact': 'derived'},
    {'fact': 'derived', 'sha512': DIGEST, 'base': ID},
    {'fact': 'received'}, {'fact': 'superseded'},
    {'fact': 'superseded', 'image_list': LIST}, {'fact': 'held'},
])
def test_what_cannot_be_read_is_an_error(change):
    """It may be a revocation, which must not be passed over."""
    written = json.loads(ledger.serialize(BLOCKED)) | change
    with pytest.raises(MalformedError):
        ledger.parse(json.dumps(written))


def test_what_is_named_is_found_however_it_was_written():
    written = ledger.serialize(BLOCKED).replace(DIGEST, DIGEST.upper())
    assert ledger.parse(written) == BLOCKED


@pytest.mark.parametrize('text', [
    '', 'x', '[]', '{}', 'null', '{"fact": "blocked"}',
    '{"fact": "blocked", "fact": "adopted"}', '"' + 'x' * 40000 + '"'])
def test_what_is_no_record_is_an_error(text):
    with pytest.raises(MalformedError):
        ledger.parse(text)


def test_names_say_what_is_named_and_nothing_else():
    assert BLOCKED.name == ledger.name_of(Blockable.SHA512, DIGEST)
    assert BLOCKED.name in ledger.names_for('', DIGEST, ())
    assert ADOPTED.name in ledger.names_for(ID, '', ())
    assert len({record.name for record in RECORDS}) == 5
    assert BLOCKED.name not in ledger.names_for(ID, 'cd' * 64, ())


def test_what_the_gate_itself_is_known_by_is_always_asked_for():
    installed = RECORDS[-1]
    assert ledger.names_for('', '', ()) == {installed.name}
    found = Ledger([installed, dataclasses.replace(
        installed, at=NOW - datetime.timedelta(days=3))])
    assert found.installed() == NOW - datetime.timedelta(days=3)
    assert Ledger().installed() is None


def test_what_was_lifted_does_not_count():
    assert list(Ledger([BLOCKED]).refusals()) == [BLOCKED]
    assert list(Ledger([dataclasses.replace(
        BLOCKED, lifted='bob: no')]).refusals()) == []


def test_refusals_have_one_order_however_they_were_found():
    found = [dataclasses.replace(BLOCKED, reason=reason)
             for reason in ('b', 'c', 'a')]
    found += [RECORDS[3], RECORDS[8]]
    orders = {tuple(Ledger(records).refusals())
              for records in itertools.permutations(found)}
    assert len(orders) == 1
    # Two records of the same words are one.
    assert len(list(Ledger([BLOCKED, BLOCKED]).refusals())) == 1


@pytest.mark.parametrize('record', [
    record for record in RECORDS if not record.lifted])
def test_what_is_said_already(record):
    later = dataclasses.replace(
        record, at=NOW + datetime.timedelta(hours=1), author='bob',
        reason='as I say')
    taken_back = dataclasses.replace(record, lifted='bob: no')
    # Since when it is held is what that says.
    said = record.fact is not Fact.HELD
    assert ledger.is_said(later, [record]) is said
    assert not ledger.is_said(record, [taken_back])
    others = [each for each in RECORDS if each != record
              and each.name == record.name]
    assert not ledger.is_said(record, others)
    assert ledger.outdone(record, RECORDS) == []


def test_an_older_mark_says_nothing():
    marks = [dataclasses.replace(RECORDS[4], version=version)
             for version in ('3', '20', '100')]
    assert ledger.is_said(marks[0], [marks[1]])
    assert not ledger.is_said(marks[2], marks[:2])
    # Two who wrote at once: each takes back only what is lower.
    assert ledger.outdone(marks[1], marks) == [marks[0]]
    lifted = dataclasses.replace(marks[0], lifted='sync: a newer one')
    assert ledger.outdone(marks[2], [lifted, marks[1], BLOCKED]) == [marks[1]]
    # Of other lists, or something else that is said of this one.
    blocked = dataclasses.replace(marks[0], fact=Fact.BLOCKED, version='')
    assert ledger.outdone(marks[2], [
        blocked, dataclasses.replace(marks[0], value=ID)]) == []


def test_the_oldest_holder_is_the_first():
    held = RECORDS[-2]
    older = dataclasses.replace(held, image_list=ID,
                                at=NOW - datetime.timedelta(days=1))
    assert list(Ledger([held, older]).held(ID)) == [older, held]
    assert list(Ledger([held, older]).held(LIST)) == []


def test_the_highest_version_counts():
    accepted = RECORDS[4]
    found = Ledger([accepted, dataclasses.replace(accepted, version='9')])
    assert found.newest(LIST) == '20'
    assert found.newest(ID) == ''


def test_adoption():
    found = Ledger([ADOPTED])
    assert found.adopted(ID, DIGEST, NOW)
    assert not found.adopted(ID, 'cd' * 64, NOW)
    assert not found.adopted(LIST, DIGEST, NOW)
    assert ADOPTED.until
    assert not found.adopted(ID, DIGEST, ADOPTED.until)
    without_end = dataclasses.replace(ADOPTED, until=None, sha512='')
    assert Ledger([without_end]).adopted(ID, '', NOW)


def test_what_came():
    came = next(record for record in RECORDS
                if record.fact is Fact.RECEIVED)
    found = Ledger([came])
    assert found.received(ID, DIGEST)
    assert not found.received(ID, 'cd' * 64)
    assert not found.received(LIST, DIGEST)
    assert not Ledger([dataclasses.replace(
        came, lifted='bob: no')]).received(ID, DIGEST)


def test_an_id_in_capitals():
    """Glance keeps an id as its maker spelled it."""
    upper = ID.upper()
    assert ADOPTED.name in ledger.names_for(upper, '', ())
    found = Ledger(RECORDS)
    assert found.adopted(upper, DIGEST, NOW)
    assert found.derived(upper, DIGEST)
    assert found.received(upper, DIGEST)
