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

"""Images made from servers before the gate: from upload to revocation."""

import dataclasses
import datetime
import hashlib

import pytest

from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.trust.derived import Origin
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Reason
from tests.testbed import pki
from tests.testbed.site import entry
from tests.unit.judging import codes
from tests.unit.judging import DATA
from tests.unit.judging import DIGEST
from tests.unit.judging import IMAGE
from tests.unit.judging import journal

SNAPSHOT = b'what a server left'
HIS = hashlib.sha512(SNAPSHOT).hexdigest()
BASE = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0002'


class Cloud:
    """A gate on a ledger that is a list."""

    def __init__(self):
        self.records = []
        self.looks = 0
        self.late = datetime.timedelta()
        self.gate = Gate('glance-api', search=self.search, now=self.now,
                         write=self.records.append)

    def search(self, names):
        self.looks += 1
        return [each for each in self.records if each.name in names]

    def now(self):
        return pki.utcnow() + self.late

    def revoke(self, sha512):
        self.records.append(Record(
            Fact.REVOKED, Blockable.SHA512, sha512, 'CVE-2026-0001', 'sync',
            self.now()))

    def case(self, moment, endorsement='', **known):
        return Case(self.gate, Subject(
            at=self.now(), image_id=IMAGE, projects=frozenset({'atlas'}),
            moment=moment, endorsement=endorsement, **known))

    def store(self, base=None, data=SNAPSHOT, **known):
        """Bring the bytes as the filter does, and return the verdict."""
        case = self.case(Moment.STORE, **known)
        case.origin = Origin(base)
        return case.early() or case.judge(
            hashlib.sha512(data).hexdigest(), len(data))

    def keep(self, endorsement='', image_id=IMAGE, sha512=HIS):
        case = self.case(Moment.KEEP, endorsement, sha512=sha512)
        case._subject = dataclasses.replace(
            case._subject, image_id=image_id)
        return case.look()

    def base(self, endorsement='', **known):
        return Subject(**{
            'at': self.now(), 'image_id': BASE, 'sha512': DIGEST,
            'projects': frozenset({'public'}), 'names_known': False,
            'endorsement': endorsement, 'moment': Moment.KEEP, **known})


@pytest.fixture
def cloud(site):
    return Cloud()


def test_the_base_is_revoked_later(site, cloud):
    endorsement = site.endorse(DATA)
    verdict = cloud.store(cloud.base(endorsement))
    assert verdict.exemption is Exemption.DERIVED
    assert verdict.endorsement.message == endorsement
    assert cloud.keep(endorsement).exemption is Exemption.DERIVED
    # Nobody may depend on what is written on the image after the upload.
    assert cloud.keep().exemption is Exemption.DERIVED
    assert journal(site)[-1]['base'] == BASE
    cloud.revoke(DIGEST)
    verdict = cloud.keep(endorsement)
    assert codes(verdict) == {Code.IMAGE_REVOKED}
    assert not verdict.allowed


def test_the_list_of_the_base_is_not_on_this_controller(site, cloud):
    image_list = site.image_list(entry(DATA))
    site.accept(image_list)
    assert cloud.store(cloud.base()).exemption is Exemption.DERIVED
    for path in site.state.glob('lists/*'):
        path.unlink()
    kept = cloud.case(Moment.KEEP, sha512=HIS,
                      listed_by=image_list.identifier)
    # What the image bears is what its base was endorsed by.
    assert codes(kept.look()) == {Code.LIST_ROLLBACK}
    site.write_subscriptions([])
    assert codes(kept.look()) == {Code.DERIVED_REFUSED}


def test_the_base_expires(site, cloud):
    endorsement = site.endorse(DATA)
    assert cloud.store(cloud.base(endorsement)).allowed
    cloud.late = datetime.timedelta(days=31)
    assert Code.LIST_EXPIRED in codes(cloud.keep(endorsement))


@pytest.mark.parametrize('late', [False, True])
def test_a_base_that_is_not_good(site, cloud, late):
    """It is judged before the body, and with its last byte again."""
    case = cloud.case(Moment.STORE)
    case.origin = Origin(cloud.base(site.endorse(DATA)))
    if late:
        assert case.early() is None
    cloud.revoke(DIGEST)
    verdict = case.judge(HIS, 9) if late else case.early()
    assert codes(verdict) == {Code.IMAGE_REVOKED}
    assert [each.fact for each in cloud.records] == [Fact.REVOKED]


def test_a_base_that_nobody_endorsed(cloud):
    verdict = cloud.store(cloud.base())
    assert codes(verdict) == {Code.DERIVED_REFUSED}
    assert BASE in verdict.explain()
    assert not cloud.records


def test_new_bytes_under_the_same_id_are_not_derived(site, cloud):
    endorsement = site.endorse(DATA)
    assert cloud.store(cloud.base(endorsement)).allowed
    assert not cloud.case(Moment.STORE, endorsement).judge(HIS, 9).allowed
    assert not cloud.keep(endorsement, sha512='ef' * 64).allowed
    assert not cloud.keep(endorsement, image_id=BASE).allowed


def test_no_base_is_asked_for(cloud):
    assert cloud.store().exemption is Exemption.DERIVED
    assert cloud.keep().exemption is Exemption.DERIVED
    cloud.revoke(HIS)
    assert codes(cloud.keep()) == {Code.NOT_ENDORSED, Code.IMAGE_REVOKED}


def test_a_snapshot_of_a_snapshot(site, cloud):
    endorsement = site.endorse(DATA)
    assert cloud.store(cloud.base(endorsement)).allowed
    second = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0003'
    his = hashlib.sha512(b'second').hexdigest()
    assert cloud.store(
        cloud.base(endorsement, image_id=IMAGE, sha512=HIS),
        b'second', ).allowed
    cloud.records[-1] = dataclasses.replace(
        cloud.records[-1], value=second)
    look = {'image_id': second, 'sha512': his}
    assert cloud.keep(endorsement, **look).allowed
    cloud.revoke(DIGEST)
    assert codes(cloud.keep(endorsement, **look)) == {Code.IMAGE_REVOKED}


def test_images_that_were_made_from_one_another_in_a_circle(site, cloud):
    assert cloud.store(cloud.base(site.endorse(DATA))).allowed
    cloud.records[-1] = dataclasses.replace(
        cloud.records[-1], base=IMAGE, base_sha512=HIS)
    assert codes(cloud.keep()) == {Code.INTERNAL_ERROR}
    assert cloud.looks < 110


def test_a_legacy_base_hands_its_end_on(site, cloud):
    now = cloud.now().replace(microsecond=0)
    until = now.date() + datetime.timedelta(days=2)
    site.write_policy(legacy=f'allow-until {until}')
    cloud.records.append(Record(
        Fact.INSTALLED, None, '', 'began', 'glance-api', now))
    old = cloud.base(created=now - datetime.timedelta(days=9))
    assert cloud.store(old).exemption is Exemption.DERIVED
    assert cloud.keep().allowed
    cloud.late = datetime.timedelta(days=3, minutes=1)
    assert codes(cloud.keep()) == {Code.DERIVED_REFUSED}


def test_an_endorsed_one_passes_as_usual(site, cloud):
    case = cloud.case(Moment.STORE, site.endorse(SNAPSHOT))
    case.origin = Origin(reasons=(Reason(Code.DERIVED_REFUSED, 'no'),))
    assert case.early() is None
    verdict = case.judge(HIS, len(SNAPSHOT))
    assert (verdict.endorsed, verdict.exemption) == (True, None)
    assert not cloud.records


def test_a_ledger_that_cannot_be_written_refuses(site):
    case = Case(Gate('glance-api'), Subject(at=pki.utcnow(), image_id=IMAGE))
    case.origin = Origin()
    verdict = case.judge(HIS, 9)
    assert codes(verdict) == {Code.INTERNAL_ERROR}
    assert not verdict.allowed
    assert journal(site)[-1]['cause'].startswith('PluginError: ')


def test_the_cause_is_in_the_journal(site, cloud):
    case = cloud.case(Moment.STORE)
    case.origin = Origin(reasons=(Reason(Code.INTERNAL_ERROR, 'Sorry.'),),
                         cause='ConnectFailure: no route')
    assert codes(case.early()) == {Code.INTERNAL_ERROR}
    assert journal(site)[-1]['cause'] == 'ConnectFailure: no route'
