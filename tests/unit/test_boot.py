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

"""The gate before servers: what an image bears, and what changed since."""

import dataclasses
import datetime
import json

import pytest

from hepix_vm.boot import Booter
from hepix_vm.boot import BootGate
from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.held import Held
from hepix_vm.trust.imagelist import format_time
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from tests.testbed import pki
from tests.testbed.site import ALICE
from tests.testbed.site import CA
from tests.unit.judging import DIGEST
from tests.unit.judging import HOUR
from tests.unit.judging import IMAGE
from tests.unit.judging import LIST

ENTRY = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
BASE = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0002'
OTHER = 'a' * 128
MARKS = {
    'hepix_state': 'endorsed', 'hepix_list_id': LIST,
    'hepix_list_version': '3', 'hepix_image_id': ENTRY,
    'hepix_image_version': '1', 'hepix_endorser_dn': ALICE,
    'hepix_endorser_ca': CA, 'hepix_sha512': DIGEST, 'hepix_size': '1900',
    'hepix_hypervisor': 'kvm', 'hepix_approved': 'true',
    'hepix_altered': 'false'}
USER = Booter('u1', 'p1', frozenset({'atlas'}), frozenset({'default'}),
              frozenset({'member'}))


class Cloud:
    """A gate on a ledger that is a list."""

    def __init__(self, site):
        self.site = site
        self.records = []
        self.late = datetime.timedelta()
        self.ledger_now = lambda: self.search
        self.gate = BootGate('nova-api', now=self.now)

    def search(self, names):
        return [each for each in self.records if each.name in names
                or each.kind is Blockable.ENDORSER]

    def now(self):
        return pki.utcnow() + self.late

    def record(self, fact, kind, value, **more):
        self.records.append(Record(
            fact, kind, value, 'CVE-2026-0001', 'ops', self.now(), **more))

    def image(self, **changes):
        known = Held(
            image_id=IMAGE, status='active', owner='p1',
            created=self.now(), disk_format='raw', container_format='bare',
            size=1900, sha512=DIGEST, extra={
                **MARKS, 'hepix_endorsed_at': format_time(self.now() - HOUR),
                'hepix_expires': format_time(pki.utcnow() + HOUR)})
        extra = {**known.extra, **changes.pop('extra', {})}
        return dataclasses.replace(known, **changes, extra={
            name: value for name, value in extra.items()
            if value is not None})

    def judge(self, booter=USER, **changes):
        return self.gate.judge(
            self.image(**changes), booter, self.ledger_now,
            action='create')

    def journal(self):
        path = self.site.state / 'journal' / 'nova-api.jsonl'
        return [json.loads(line) for line in
                path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def cloud(site):
    return Cloud(site)


def test_an_endorsed_image_boots_and_nothing_is_journalled(cloud):
    verdict = cloud.judge()
    assert verdict.endorsed and verdict.mode is Mode.ENFORCING
    assert verdict.endorsement.approved
    assert cloud.journal() == []


@pytest.mark.parametrize('changes, code', [
    ({'extra': {'hepix_list_id': None}}, Code.NOT_ENDORSED),
    ({'extra': {'hepix_expires': 'soon'}}, Code.NOT_ENDORSED),
    ({'extra': {'hepix_size': 'much'}}, Code.NOT_ENDORSED),
    ({'sha512': OTHER}, Code.CHECKSUM_MISMATCH),
    ({'sha512': ''}, Code.NOT_ENDORSED),
    ({'size': 1901}, Code.SIZE_MISMATCH),
    ({'extra': {'hepix_hypervisor': 'xen'}}, Code.HYPERVISOR_UNSUPPORTED),
    ({'extra': {'hepix_approved': 'false'}}, Code.NOT_APPROVED),
    ({'extra': {'hepix_approved': None}}, Code.NOT_APPROVED)])
def test_what_does_not_boot(cloud, changes, code):
    verdict = cloud.judge(**changes)
    assert code in verdict.codes and not verdict.allowed
    [record] = cloud.journal()
    assert record['moment'] == 'run' and record['action'] == 'create'
    assert (record['user'], record['project']) == ('u1', 'p1')
    assert code in [each['code'] for each in record['reasons']]


def test_one_that_was_converted_needs_the_record_of_what_came(cloud):
    cloud.site.write_policy(altered_images='allow')
    converted = {'sha512': OTHER, 'size': 7,
                 'extra': {'hepix_altered': 'true'}}
    assert Code.CHECKSUM_MISMATCH in cloud.judge(**converted).codes
    cloud.record(Fact.RECEIVED, Blockable.GLANCE_IMAGE, IMAGE, sha512=DIGEST)
    assert cloud.judge(**converted).endorsed
    cloud.site.write_policy()
    assert cloud.judge(**converted).codes == (Code.CHECKSUM_MISMATCH,)


@pytest.mark.parametrize('state, code', [
    ('revoked', Code.IMAGE_REVOKED), ('blocked', Code.IMAGE_BLOCKED),
    ('superseded', Code.IMAGE_SUPERSEDED), ('refused', Code.NOT_ENDORSED)])
def test_what_was_taken_out_of_use_does_not_boot(cloud, state, code):
    assert cloud.judge(extra={'hepix_state': state}).codes == (code,)
    said = cloud.judge(extra={
        'hepix_state': state, 'hepix_reason':
            'signer-revoked: Her key is known. Everywhere.'})
    [reason] = said.reasons
    assert reason.code is Code.SIGNER_REVOKED
    assert reason.message == 'Her key is known. Everywhere.'


@pytest.mark.parametrize('kind, value, more', [
    (Blockable.SHA512, DIGEST, {}), (Blockable.IMAGE, ENTRY, {}),
    (Blockable.GLANCE_IMAGE, IMAGE, {}), (Blockable.LIST, LIST, {}),
    (Blockable.ENDORSER, ALICE, {})])
def test_what_was_blocked_or_revoked_since_does_not_boot(
        cloud, kind, value, more):
    assert cloud.judge().allowed
    cloud.record(Fact.BLOCKED, kind, value, **more)
    assert cloud.judge().codes == (Code.IMAGE_BLOCKED,)
    cloud.records.clear()
    cloud.record(Fact.REVOKED, kind, value, **more)
    assert cloud.judge().codes == (Code.IMAGE_REVOKED,)


def test_a_blocked_endorser_is_met_in_every_spelling(cloud):
    cloud.record(Fact.BLOCKED, Blockable.ENDORSER,
                 '/C=EU/CN=host/a.example.org/Email=a@example.org')
    assert cloud.judge().allowed
    assert cloud.judge(extra={'hepix_endorser_dn': (
        '/C=EU/CN=host\\/a.example.org/emailAddress=a@example.org')},
        ).codes == (Code.IMAGE_BLOCKED,)


def test_an_older_revocation_of_the_list_does_not_count(cloud):
    cloud.record(Fact.REVOKED, Blockable.SHA512, DIGEST,
                 image_list=LIST, version='2')
    assert cloud.judge().allowed
    cloud.record(Fact.REVOKED, Blockable.SHA512, DIGEST,
                 image_list=LIST, version='3')
    assert cloud.judge().codes == (Code.IMAGE_REVOKED,)


def test_a_newer_version_of_the_list_says_nothing_by_itself(cloud):
    cloud.record(Fact.ACCEPTED, Blockable.LIST, LIST, version='9')
    assert cloud.judge().endorsed


def test_what_this_site_blocks_does_not_boot(cloud):
    cloud.site.write_policy(blocked=[{'image': ENTRY, 'reason': 'CVE-1'}])
    assert cloud.judge().codes == (Code.IMAGE_BLOCKED,)


def test_an_endorsement_ends_without_a_sweep(cloud):
    cloud.late = 2 * HOUR
    assert cloud.judge().codes == (Code.IMAGE_EXPIRED,)


def test_an_override_lets_an_expired_image_boot_and_is_journalled(cloud):
    until = pki.utcnow() + 3 * HOUR
    cloud.site.write_policy(overrides=[{
        'image': ENTRY, 'until': format_time(until),
        'reason': 'replacement under test', 'author': 'ops@example.org'}])
    assert cloud.judge().override is None
    assert cloud.journal() == []
    cloud.late = 2 * HOUR
    verdict = cloud.judge(extra={'hepix_state': 'expired'})
    assert verdict.endorsed
    [record] = cloud.journal()
    assert record['override'] == {
        'until': format_time(until), 'reason': 'replacement under test',
        'author': 'ops@example.org'}
    cloud.record(Fact.REVOKED, Blockable.SHA512, DIGEST)
    assert cloud.judge().codes == (Code.IMAGE_REVOKED,)
    cloud.records.clear()
    cloud.late = 4 * HOUR
    assert cloud.judge().codes == (Code.IMAGE_EXPIRED,)


def test_an_operator_approves_an_image(cloud):
    cloud.record(Fact.APPROVED, Blockable.IMAGE, ENTRY)
    assert cloud.judge(extra={'hepix_approved': 'false'}).endorsed


class TestDerived:
    """Images that were made from servers."""

    def judge(self, cloud, **changes):
        extra = {'hepix_state': 'derived', 'hepix_sha512': OTHER,
                 'hepix_size': '5', **changes.pop('extra', {})}
        return cloud.judge(sha512=OTHER, size=5, extra=extra, **changes)

    def recorded(self, cloud, **more):
        cloud.record(Fact.DERIVED, Blockable.GLANCE_IMAGE, IMAGE,
                     sha512=OTHER, **more)

    def test_it_boots_as_long_as_its_base(self, cloud):
        self.recorded(cloud, base=BASE, base_sha512=DIGEST, base_owner='p2')
        assert self.judge(cloud).exemption is Exemption.DERIVED
        assert cloud.journal() == []
        cloud.record(Fact.REVOKED, Blockable.SHA512, DIGEST)
        assert self.judge(cloud).codes == (Code.IMAGE_REVOKED,)
        cloud.records.pop()
        cloud.late = 2 * HOUR
        assert self.judge(cloud).codes == (Code.IMAGE_EXPIRED,)

    def test_it_is_blocked_itself(self, cloud):
        self.recorded(cloud, base=BASE, base_sha512=DIGEST, base_owner='p2')
        cloud.record(Fact.BLOCKED, Blockable.SHA512, OTHER)
        assert Code.IMAGE_BLOCKED in self.judge(cloud).codes

    def test_one_of_a_derived_one_needs_all_of_them(self, cloud):
        middle = 'b' * 128
        self.recorded(cloud, base=BASE, base_sha512=middle, base_owner='p2')
        cloud.record(Fact.DERIVED, Blockable.GLANCE_IMAGE, BASE,
                     sha512=middle, base=ENTRY, base_sha512=DIGEST)
        assert self.judge(cloud).exemption is Exemption.DERIVED
        cloud.record(Fact.REVOKED, Blockable.SHA512, DIGEST)
        assert self.judge(cloud).codes == (Code.IMAGE_REVOKED,)
        cloud.records.pop()
        cloud.record(Fact.BLOCKED, Blockable.SHA512, middle)
        assert Code.IMAGE_BLOCKED in self.judge(cloud).codes

    def test_one_without_a_record_does_not_boot(self, cloud):
        assert self.judge(cloud).codes == (Code.NOT_ENDORSED,)

    def test_a_mark_does_not_make_it_endorsed(self, cloud):
        self.recorded(cloud)
        verdict = self.judge(cloud, extra={
            'hepix_state': 'endorsed'})
        assert verdict.exemption is Exemption.DERIVED


def test_an_adopted_image_boots_until_the_adoption_ends(cloud):
    plain = dict.fromkeys(cloud.image().extra)
    cloud.record(Fact.ADOPTED, Blockable.GLANCE_IMAGE, IMAGE,
                 until=pki.utcnow() + HOUR)
    assert cloud.judge(extra=plain).exemption is Exemption.ADOPTED
    cloud.late = 2 * HOUR
    assert cloud.judge(extra=plain).codes == (Code.NOT_ENDORSED,)


def test_a_mode_by_project_or_role(cloud):
    plain = dict.fromkeys(cloud.image().extra)
    cloud.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'},
        {'role': 'tester', 'mode': 'disabled'}])
    verdict = cloud.judge(extra=plain)
    assert verdict.allowed and verdict.mode is Mode.PERMISSIVE
    assert len(cloud.journal()) == 1
    # The image of another project, which may be one of that name.
    assert not cloud.judge(extra=plain, owner='p2').allowed
    other = Booter('u2', 'p2', frozenset({'cms'}))
    assert not cloud.judge(other, extra=plain, owner='p2').allowed
    tester = dataclasses.replace(other, roles=frozenset({'tester'}))
    journalled = len(cloud.journal())
    assert cloud.judge(tester, extra=plain, owner='p2').allowed
    assert len(cloud.journal()) == journalled


def test_the_mode_of_one_project_opens_no_other(cloud):
    plain = dict.fromkeys(cloud.image().extra)
    tester = Booter('u2', 'p2')
    for mode in ('permissive', 'disabled'):
        cloud.site.write_policy(enforcement=[{'project': 'p2',
                                              'mode': mode}])
        refused = cloud.judge(extra=plain, owner='p2')
        assert refused.mode is Mode.ENFORCING and not refused.allowed
        assert not cloud.judge(tester, extra=plain, owner='p1').allowed
        assert cloud.judge(tester, extra=plain, owner='p2').allowed
    assert len(cloud.journal()) == 5


def test_policy_that_cannot_be_read_refuses(cloud):
    assert cloud.judge().allowed
    (cloud.site.folder / 'policy.yaml').write_text('blocked: [')
    verdict = cloud.judge()
    assert verdict.codes == (Code.INTERNAL_ERROR,)
    [entry] = cloud.journal()
    assert entry['cause'].startswith('ConfigError: ')
    assert 'policy.yaml' in entry['cause']
    # That is not for users.
    assert 'policy.yaml' not in verdict.explain()


def test_why_nothing_can_be_judged_is_journalled(cloud):
    verdict = cloud.gate.refuse(
        Reason(Code.INTERNAL_ERROR, 'It went wrong.'), USER, request='req-1',
        cause='KeyError: x')
    [entry] = cloud.journal()
    assert (entry['cause'], entry['request']) == ('KeyError: x', 'req-1')
    assert 'KeyError' not in verdict.explain()
    cloud.gate.refuse(Reason(Code.VOLUME_REFUSED, 'None.'), USER)
    assert 'cause' not in cloud.journal()[-1]


@pytest.mark.parametrize('changes', [
    {'extra': {'hepix_list_id': None}}, {'sha512': OTHER},
    {'extra': {'hepix_state': 'revoked'}},
    {'extra': {'hepix_state': 'refused',
               'hepix_reason': 'signer-revoked: Her key is known.'}},
    {'extra': {'hepix_expires': '2026-01-01T00:00:00Z'}}])
def test_what_is_certain_without_the_ledger(cloud, changes):
    cloud.ledger_now = silent
    verdict = cloud.judge(**changes)
    assert verdict.reasons and not verdict.allowed
    assert len(cloud.journal()) == 1
    cloud.site.write_policy(enforcement=[
        {'project': 'atlas', 'mode': 'permissive'}])
    with pytest.raises(ServiceError):
        cloud.judge(**changes)


@pytest.mark.parametrize('changes', [
    {}, {'extra': {'hepix_approved': 'false'}},
    # It is on record what they may be.
    {'extra': {'hepix_state': 'derived'}, 'sha512': OTHER},
    {'extra': {'hepix_state': 'adopted', 'hepix_list_id': None}},
    {'extra': {'hepix_altered': 'true'}, 'sha512': OTHER}, {'sha512': ''}])
def test_what_the_ledger_has_to_say(cloud, changes):
    cloud.ledger_now = silent
    with pytest.raises(ServiceError):
        cloud.judge(**changes)
    assert cloud.journal() == []


def test_what_passes_though_it_could_not_be_judged(cloud):
    cloud.gate.let_pass(Reason(Code.UNAVAILABLE, 'Glance does not say.'),
                        USER, image=IMAGE, request='req-1')
    [entry] = cloud.journal()
    assert (entry['allowed'], entry['endorsed'], entry['event'],
            entry['moment'], entry['user'], entry['project'],
            entry['request'], entry['image']) == (
                True, False, 'verdict', 'run', 'u1', 'p1', 'req-1', IMAGE)
    assert [each['code'] for each in entry['reasons']] == ['unavailable']


def silent():
    raise ServiceError('Glance does not answer.', 0, 'Look for it.')
