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

import datetime

import pytest

from hepix_vm.errors import Code
from hepix_vm.trust import derived
from hepix_vm.trust.derived import Origin
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import DerivedRule
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
ID = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
BASE = Subject(at=NOW, image_id='7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0002',
               sha512='cd' * 64, moment=Moment.KEEP, created=NOW,
               projects=frozenset({'public'}), names_known=False)
RULES = (DerivedRule(Choice.INHERIT, project='atlas'),
         DerivedRule(Choice.ALLOW, role='builder'),
         DerivedRule(Choice.REFUSE))


def verdict(*codes, **more):
    return Verdict(tuple(Reason(code, code) for code in codes), **more)


OWN = verdict(Code.NOT_ENDORSED, sha512='ab' * 64)


@pytest.mark.parametrize('projects, known, roles, choice', [
    ({'atlas'}, True, (), Choice.INHERIT),
    ({'atlas'}, True, ('builder',), Choice.INHERIT),
    ({'cms'}, True, ('member', 'builder'), Choice.ALLOW),
    ({'cms'}, True, ('member',), Choice.REFUSE),
    # Whether it is atlas is not known: the strictest in question holds.
    ({'0a1b'}, False, ('builder',), Choice.INHERIT),
    ({'0a1b'}, False, ('member',), Choice.REFUSE),
    ({'0a1b'}, True, None, Choice.REFUSE),
])
def test_the_first_rule_that_matches_counts(projects, known, roles, choice):
    subject = Subject(
        at=NOW, projects=frozenset(projects), names_known=known,
        roles=None if roles is None else frozenset(roles))
    assert derived.choice_for(subject, RULES) is choice


def test_without_a_rule_it_is_refused():
    assert derived.choice_for(Subject(at=NOW), ()) is Choice.REFUSE


def test_what_was_recorded_is_known_later():
    origin = Origin(BASE)
    record = derived.record_of(ID, OWN, origin, NOW)
    known = Subject(at=NOW, image_id=ID, sha512=OWN.sha512,
                    moment=Moment.KEEP, ledger=Ledger([record]))
    assert derived.recorded(known) == origin
    allowed = derived.record_of(ID, OWN, Origin(), NOW)
    assert derived.recorded(Subject(
        at=NOW, image_id=ID, sha512=OWN.sha512, moment=Moment.RUN,
        ledger=Ledger([allowed]))) == Origin()


@pytest.mark.parametrize('change', [
    {'moment': Moment.STORE}, {'sha512': 'ef' * 64}, {'sha512': ''},
    {'image_id': BASE.image_id}])
def test_a_record_is_on_one_image_with_its_bytes(change):
    """New bytes prove anew where they come from."""
    record = derived.record_of(ID, OWN, Origin(BASE), NOW)
    known = {'image_id': ID, 'sha512': OWN.sha512, 'moment': Moment.KEEP}
    assert derived.recorded(Subject(
        at=NOW, ledger=Ledger([record]), **known | change)) is None


@pytest.mark.parametrize('own, origin, base, codes, exemption', [
    (OWN, Origin(), None, {Code.NOT_ENDORSED}, Exemption.DERIVED),
    (OWN, Origin(BASE), verdict(), {Code.NOT_ENDORSED}, Exemption.DERIVED),
    (OWN, Origin(BASE), verdict(Code.NOT_ENDORSED,
                                exemption=Exemption.ADOPTED),
     {Code.NOT_ENDORSED}, Exemption.DERIVED),
    (OWN, Origin(BASE), verdict(Code.IMAGE_REVOKED), {Code.IMAGE_REVOKED},
     None),
    (OWN, Origin(BASE), verdict(Code.LIST_EXPIRED), {Code.LIST_EXPIRED},
     None),
    (OWN, Origin(BASE), verdict(Code.NOT_ENDORSED), {Code.DERIVED_REFUSED},
     None),
    (OWN, Origin(reasons=(Reason(Code.DERIVED_REFUSED, 'no'),)), None,
     {Code.DERIVED_REFUSED}, None),
    # What speaks against the bytes themselves is stronger.
    (verdict(Code.NOT_ENDORSED, Code.IMAGE_BLOCKED), Origin(), None,
     {Code.NOT_ENDORSED, Code.IMAGE_BLOCKED}, None),
    (verdict(Code.NOT_ENDORSED, exemption=Exemption.ADOPTED), Origin(BASE),
     verdict(Code.IMAGE_REVOKED), {Code.NOT_ENDORSED}, Exemption.ADOPTED),
])
def test_what_becomes_of_it(own, origin, base, codes, exemption):
    found = derived.judge(own, origin, base)
    assert (set(found.codes), found.exemption) == (codes, exemption)
