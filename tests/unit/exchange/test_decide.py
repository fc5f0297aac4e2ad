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

"""What operators decide about, and what the ledger alone says."""

import datetime
import types

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange import decide
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.event import nobody
from hepix_vm.held import Outcome
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
ID = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
DIGEST, OTHER = 'a' * 128, 'b' * 128


def image(**more):
    return {'id': ID, 'status': 'active', 'owner': 'atlas', 'name': 'x',
            'created_at': '2026-10-01T00:00:00Z', 'visibility': 'shared',
            'disk_format': 'raw', 'container_format': 'bare', 'size': 10,
            'os_hash_algo': 'sha512', 'os_hash_value': DIGEST, **more}


def record(fact, kind, value, **more):
    return Record(fact, kind, value, 'why', 'ops', NOW, **more)


class Ledger:
    """Some records."""

    def __init__(self, *found):
        self.found = found

    def search_now(self, names):
        return [each for each in self.found if each.name in names]


RECEIVED = record(Fact.RECEIVED, Blockable.GLANCE_IMAGE, ID, sha512=OTHER)
CONVERTED = {'hepix_sha512': OTHER, 'hepix_altered': 'true'}
HASHED = {'hepix_sha512': OTHER, 'os_hash_algo': 'sha256'}


@pytest.mark.parametrize(('bears', 'records', 'digest'), [
    ({}, (), DIGEST), (CONVERTED, (RECEIVED,), OTHER),
    (HASHED, (RECEIVED,), OTHER),
    # What a property says by itself is not believed.
    (CONVERTED, (), DIGEST), (HASHED, (), '')])
def test_by_which_digest_the_gate_knows_an_image(bears, records, digest):
    ledger = Ledger(*records)
    assert decide.by_ledger(
        ledger, held_of(image(**bears)), NOW).sha512 == digest
    target = decide.Target.of_image(ledger, image(**bears))
    assert target.bytes == ((Blockable.SHA512, digest) if digest else
                            (Blockable.GLANCE_IMAGE, ID))


@pytest.mark.parametrize(('records', 'codes'), [
    ((), ()), ((RECEIVED,), ()),
    ((record(Fact.BLOCKED, Blockable.SHA512, OTHER), RECEIVED),
     (Code.IMAGE_BLOCKED,)),
    ((record(Fact.REVOKED, Blockable.GLANCE_IMAGE, ID),),
     (Code.IMAGE_REVOKED,)),
    ((record(Fact.BLOCKED, Blockable.GLANCE_IMAGE, ID, lifted='x'),), ()),
    ((record(Fact.BLOCKED, Blockable.GLANCE_IMAGE, UUID),), ())])
def test_what_the_ledger_says(records, codes):
    verdict = decide.by_ledger(
        Ledger(*records), held_of(image(**CONVERTED)), NOW)
    assert verdict.codes == codes


@pytest.mark.parametrize(('choice', 'said', 'names'), [
    ('block', True, [Blockable.SHA512]), ('approve', True, [
        Blockable.SHA512]), ('share', True, [Blockable.IMAGE]),
    # Whatever they were said of, they are taken back.
    ('block', False, [Blockable.SHA512, Blockable.IMAGE,
                      Blockable.GLANCE_IMAGE])])
def test_what_a_record_names(choice, said, names):
    target = decide.Target(ID, DIGEST, UUID)
    assert [kind for kind, _ in target.named(choice, said)] == names


@pytest.mark.parametrize('choice', ['approve', 'share'])
def test_what_cannot_be_named(choice):
    with pytest.raises(HepixVmError) as caught:
        decide.Target(ID).named(choice, True)
    assert caught.value.remedy


class Glance:
    """An image, and what was done with it.

    :param fails: the status with which Glance refuses to deactivate it
    """

    def __init__(self, fails=0, becomes='active', **more):
        self.image = image(**more)
        self.done = []
        self.fails, self.becomes = fails, becomes

    def find(self, image_id):
        return self.image

    def deactivate(self, image_id):
        if self.fails:
            self.image = {**self.image, 'status': self.becomes}
            raise ServiceError('No.', self.fails, 'Ask again.')
        self.image = {**self.image, 'status': 'deactivated'}
        self.done.append('deactivate')

    def update(self, image_id, values):
        self.done.append(values)
        self.image = {**self.image, **values}


BLOCKED = record(Fact.BLOCKED, Blockable.SHA512, DIGEST)


def carry_out(glance, *records, news=False):
    done, = decide.Hand(
        glance, Ledger(*records), None, nobody, news).carry_out([ID])
    return done


def test_what_is_refused_is_taken_out_of_use_and_marked():
    glance = Glance(hepix_state='endorsed', hepix_vo='atlas')
    assert carry_out(glance, BLOCKED).done == 'deactivated'
    said, marked = glance.done
    assert said == 'deactivate'
    assert marked == {
        'hepix_state': 'blocked', 'hepix_withdrawn': 'true',
        'hepix_untold': 'true', 'hepix_reason':
        f'image-blocked: ops blocked data with the SHA-512 {"a" * 16}...'
        f'{"a" * 8}: why.'}
    assert carry_out(glance, BLOCKED).done == decide.UNCHANGED
    assert len(glance.done) == 2


def test_where_the_gate_was_quicker_nobody_was_told_yet():
    glance = Glance(hepix_state='endorsed')
    carry_out(glance, BLOCKED)
    del glance.image['hepix_untold']
    carry_out(glance, BLOCKED)
    assert 'hepix_untold' not in glance.image
    carry_out(glance, BLOCKED, news=True)
    assert glance.image['hepix_untold'] == 'true'


class Quiet:
    """Settles an image that somebody else settled meanwhile."""

    def __init__(self, *unused):
        self.look = lambda held: Outcome(Verdict((Reason(
            Code.IMAGE_BLOCKED, 'why'),)), '', {})

    def settle(self, image_id):
        return False


@pytest.mark.parametrize(('news', 'kinds'), [
    (True, [Kind.RUN_BEGINS, Kind.IMAGE_BLOCKED, Kind.RUN_ENDS]),
    (False, [Kind.RUN_BEGINS, Kind.RUN_ENDS])])
def test_on_a_controller_it_is_told_once(monkeypatch, news, kinds):
    monkeypatch.setattr(decide, 'Settler', Quiet)
    site = types.SimpleNamespace(
        accepted=types.SimpleNamespace(by_uuid={}))
    told = []
    done, = decide.Hand(
        Glance(status='deactivated', hepix_state='blocked'), Ledger(), site,
        told.append, news).carry_out([ID])
    assert done.done == decide.UNCHANGED
    assert [event.kind for event in told] == kinds


def test_what_somebody_else_took_out_of_use_stays_his():
    glance = Glance(status='deactivated')
    carry_out(glance, BLOCKED)
    assert 'hepix_withdrawn' not in glance.image


def test_what_the_ledger_does_not_refuse_is_left():
    glance = Glance(status='deactivated', hepix_state='blocked')
    assert carry_out(glance).done == decide.LATER
    assert glance.done == []


def test_what_fails_is_said():
    done = carry_out(Glance(500), BLOCKED)
    assert (done.done, done.error) == (decide.FAILED, 'No. Ask again.')
    # Somebody was quicker.
    assert carry_out(Glance(409, 'deactivated'),
                     BLOCKED).done == 'deactivated'
