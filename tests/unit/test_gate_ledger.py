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

"""The gate and what the ledger says of listed images."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.gate import Gate
from hepix_vm import held
from hepix_vm.held import Held
from hepix_vm import properties
from hepix_vm.trust import ledger
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.settings import Blockable
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import BOB
from tests.testbed.site import CA
from tests.testbed.site import entry
from tests.unit.judging import codes
from tests.unit.judging import DATA
from tests.unit.judging import DIGEST
from tests.unit.judging import HOUR
from tests.unit.judging import IMAGE
from tests.unit.judging import inline
from tests.unit.judging import judge
from tests.unit.judging import LIST

OTHER = 'cd' * 64


def gate_with(*records):
    """Return a gate whose ledger finds records by their names."""
    return Gate('glance-api', search=lambda names: [
        record for record in records if record.name in names])


def record(fact, kind=Blockable.SHA512, value=DIGEST, **more):
    return Record(fact, kind, value, 'because', 'ops@example.org',
                  pki.utcnow(), **more)


def superseded(version, image_list=LIST):
    return record(Fact.SUPERSEDED, image_list=image_list, version=version)


def listed(site, version='1', uuid=LIST, **changes):
    return dataclasses.replace(
        site.image_list(entry(DATA, **changes)), identifier=uuid,
        version=version)


def test_superseded_bytes_that_nobody_endorses(site):
    verdict = judge(site, gate=gate_with(superseded('2')), sha512=DIGEST)
    assert codes(verdict) == {Code.NOT_ENDORSED, Code.IMAGE_SUPERSEDED}
    assert 'Use the newer version' in verdict.explain()


@pytest.mark.parametrize('version, refused', [
    ('1', True), ('2', True), ('3', False)])
def test_a_higher_version_of_the_list_takes_it_back(site, version, refused):
    message = inline(site, listed(site, version))
    verdict = judge(site, message, gate=gate_with(superseded('2')))
    assert codes(verdict) == (
        {Code.IMAGE_SUPERSEDED} if refused else set())


@pytest.mark.parametrize('fact, refused', [
    (Fact.SUPERSEDED, set()), (Fact.REVOKED, {Code.IMAGE_REVOKED})])
def test_what_another_list_endorses_may_be_superseded(site, fact, refused):
    other = '1f0e7a44-2a7c-4be4-b2f7-6a5c4a3b2c11'
    message = inline(site, listed(site, uuid=other))
    verdict = judge(site, message, gate=gate_with(
        dataclasses.replace(superseded('2'), fact=fact)))
    assert codes(verdict) == refused


def test_superseded_counts_more_than_an_adoption(site):
    adopted = record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, IMAGE,
                     sha512=DIGEST)
    stored = {'moment': Moment.KEEP, 'sha512': DIGEST}
    assert judge(site, gate=gate_with(adopted), **stored).allowed
    assert not judge(site, gate=gate_with(adopted, superseded('2')),
                     **stored).allowed


@pytest.mark.parametrize('fact, code', [
    (Fact.REVOKED, Code.IMAGE_REVOKED), (Fact.BLOCKED, Code.IMAGE_BLOCKED),
    (Fact.SUPERSEDED, Code.IMAGE_SUPERSEDED)])
def test_an_override_is_for_what_expired_alone(site, fact, code):
    expired = listed(site, expires=(pki.utcnow() - HOUR).replace(
        microsecond=0))
    message = inline(site, expired)
    site.write_policy(overrides=[{
        'image': expired.images[0].identifier, 'until': '2999-01-01',
        'reason': 'r', 'author': 'a'}])
    assert judge(site, message, gate=gate_with()).allowed
    for moment in Moment:
        verdict = judge(site, message, gate=gate_with(record(
            fact, image_list=LIST if fact is not Fact.BLOCKED else '',
            version='2' if fact is not Fact.BLOCKED else '')), moment=moment,
            sha512=DIGEST)
        assert codes(verdict) == {code}
        assert not verdict.allowed


def by_operator(site, image_list):
    site.accept(image_list)
    site.write_subscriptions([{
        'uuid': image_list.identifier, 'approve': 'by-operator',
        'endorsers': [{'dn': ALICE, 'ca': CA}]}])


@pytest.mark.parametrize('kind', [Blockable.SHA512, Blockable.IMAGE])
def test_an_operator_approves(site, kind):
    image_list = listed(site)
    by_operator(site, image_list)
    image, = image_list.images
    value = image.sha512 if kind is Blockable.SHA512 else image.identifier
    verdict = judge(site, gate=gate_with(
        record(Fact.APPROVED, kind, value)), moment=Moment.RUN)
    assert verdict.endorsed, verdict.explain()
    assert properties.of_verdict(verdict, False, False)[
        'hepix_approved'] == 'true'


@pytest.mark.parametrize('wrong', [
    {'value': OTHER}, {'lifted': 'bob: no'}, {'fact': Fact.SHAREABLE},
    {'kind': Blockable.LIST, 'value': LIST}])
def test_what_is_no_approval(site, wrong):
    by_operator(site, listed(site))
    said = dataclasses.replace(record(Fact.APPROVED), **wrong)
    verdict = judge(site, moment=Moment.RUN, gate=Gate(
        'glance-api', search=lambda names: [said]))
    assert codes(verdict) == {Code.NOT_APPROVED}
    assert not verdict.endorsement.approved


def test_an_operator_lets_others_have_it(site):
    message = inline(site, listed(site))
    for records, shareable in (((), 'false'),
                               ((record(Fact.APPROVED),), 'false'),
                               ((record(Fact.SHAREABLE),), 'true')):
        verdict = judge(site, message, gate=gate_with(*records))
        assert verdict.endorsed
        assert properties.of_verdict(verdict, False, False)[
            'hepix_shareable'] == shareable


def accepted(version):
    return record(Fact.ACCEPTED, Blockable.LIST, LIST, version=version)


def subscribe(site, dn=ALICE):
    site.write_subscriptions([
        {'uuid': LIST, 'endorsers': [{'dn': dn, 'ca': CA}]}])


def outcome(*records, **extra):
    """Judge an image that came by the list, and is in use."""
    return held.judge(gate_with(*records), Held(
        IMAGE, 'active', 'atlas', pki.utcnow(), size=len(DATA),
        sha512=DIGEST, extra={
            'hepix_state': 'endorsed', 'hepix_list_id': LIST,
            'hepix_sha512': DIGEST, **extra}))


def missing(site):
    subscribe(site)


def unreadable(site):
    site.accept(listed(site))
    (site.state / 'lists' / f'{LIST}.smime').write_bytes(b'half of i')


def behind(site):
    """Version 1 is here, which does not have the image yet."""
    site.accept(dataclasses.replace(listed(site), images=()))


@pytest.mark.parametrize('make, records', [
    (missing, ()), (missing, (accepted('2'),)), (unreadable, ()),
    (behind, (accepted('2'),))])
def test_a_list_that_is_not_here_decides_nothing(site, make, records):
    make(site)
    found = outcome(*records)
    assert found.nothing
    assert set(found.verdict.codes) == {Code.LIST_ROLLBACK}
    # Nor is it let in, or put to use again.
    assert not found.verdict.allowed
    assert Code.NOT_ENDORSED in codes(judge(site, gate=gate_with(*records)))
    # What is out of use stays so, for the reason that is known.
    gone = outcome(*records, hepix_state='expired', hepix_reason='before')
    assert (gone.status, gone.values) == (
        'deactivated', {properties.WITHDRAWN: 'true'})


def unsubscribed(site):
    site.accept(listed(site))
    site.write_subscriptions([])


def unpinned(site):
    """The file is there, but its endorser is no longer accepted."""
    site.accept(listed(site))
    subscribe(site, BOB)


def newest(site):
    """The list is here in the version that counts, without the image."""
    site.accept(dataclasses.replace(listed(site, '2'), images=()))


@pytest.mark.parametrize('make, records', [
    (unsubscribed, ()), (unsubscribed, (accepted('2'),)), (unpinned, ()),
    (newest, ()), (newest, (accepted('2'),))])
def test_what_a_site_no_longer_follows_goes(site, make, records):
    make(site)
    found = outcome(*records)
    assert found.status == 'deactivated'
    assert set(found.verdict.codes) == {Code.NOT_ENDORSED}


def test_a_missing_list_excuses_nothing_else(site):
    missing(site)
    found = outcome(record(Fact.BLOCKED))
    assert (found.status, found.values['hepix_state']) == (
        'deactivated', 'blocked')
    # An image with an endorsement of its own is judged by that.
    refused = outcome(hepix_endorsement=site.endorse(DATA, signer=site.bob))
    assert refused.status == 'deactivated'


def test_of_two_lists_the_one_that_is_here_is_enough(site):
    """It endorses the image as well, whatever the missing one says."""
    second = '1f0e7a44-2a7c-4be4-b2f7-6a5c4a3b2c11'
    site.accept(listed(site, uuid=second))
    pins = [{'dn': ALICE, 'ca': CA}]
    site.write_subscriptions([{'uuid': uuid, 'endorsers': pins}
                              for uuid in (LIST, second)])
    found = outcome()
    assert found.verdict.endorsed
    assert found.values['hepix_list_id'] == second


def test_the_ledger_is_asked_of_the_list_by_which_it_came():
    name = ledger.name_of(Blockable.LIST, LIST)
    assert name in ledger.names_for(IMAGE, DIGEST, (), LIST)
    assert name not in ledger.names_for(IMAGE, DIGEST, ())


@pytest.mark.parametrize('refused', [False, True])
def test_what_the_sync_wrote_survives_every_verdict(site, refused):
    site.accept(listed(site))
    kept = dict.fromkeys(properties.KEPT, 'x')
    found = outcome(*[record(Fact.BLOCKED)] * refused,
                    hepix_unheard_of='x', **kept)
    assert not kept.keys() & found.values.keys()
    assert refused or found.values['hepix_unheard_of'] is None
