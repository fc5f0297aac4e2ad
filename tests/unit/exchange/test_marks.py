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

"""What images bear, and what Glance is asked for."""

import datetime

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange import marks
from hepix_vm.osc.endorsement.list import STATES
from hepix_vm import properties
from hepix_vm.trust.standing import State
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.unit.exchange.test_usage import Service

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def image(state='endorsed', **more):
    return {'id': 'a', 'hepix_state': state, **more}


def test_the_states_of_the_command_are_those_of_the_gate():
    assert set(STATES) == set(State)


@pytest.mark.parametrize('expires, said', [
    ('2026-10-31T23:59:59Z', 'expired'), ('2026-11-01T00:00:00Z', 'expired'),
    ('2026-11-01T00:00:01Z', 'endorsed'), ('', 'endorsed'),
    ('some day', 'endorsed')])
def test_an_endorsement_ends_without_a_sweep(expires, said):
    assert marks.state(image(hepix_expires=expires), NOW) == said


def test_what_was_revoked_does_not_expire():
    assert marks.state(image(
        'revoked', hepix_expires='2026-10-01T00:00:00Z'), NOW) == 'revoked'


@pytest.mark.parametrize('sought, asked', [
    (marks.Sought(), [{}]),
    (marks.Sought(['revoked']), [{'hepix_state': 'revoked'}]),
    (marks.Sought(['expired'], vo='atlas'), [
        {'hepix_state': 'endorsed', 'hepix_vo': 'atlas'},
        {'hepix_state': 'expired', 'hepix_vo': 'atlas'}]),
    (marks.Sought(endorser='/CN=a'), [{'hepix_endorser_dn': '/CN=a'}]),
    (marks.Sought(until=NOW + DAY), [{'hepix_state': 'endorsed'}])])
def test_what_glance_is_asked_for(sought, asked):
    assert sought.filters() == asked


@pytest.mark.parametrize('sought, found', [
    (marks.Sought(), True),
    (marks.Sought(['endorsed']), True),
    (marks.Sought(['expired']), False),
    (marks.Sought(vo='atlas', endorser='/CN=a'), True),
    (marks.Sought(vo='ATLAS'), False),
    (marks.Sought(endorser='/CN=b'), False),
    (marks.Sought(until=NOW + DAY), True),
    (marks.Sought(until=NOW + DAY / 2), False)])
def test_what_is_sought(sought, found):
    assert sought.met(image(
        hepix_vo='atlas', hepix_endorser_dn='/CN=a',
        hepix_expires='2026-11-02T00:00:00Z'), NOW) is found


def test_what_ended_does_not_expire_soon():
    sought = marks.Sought(until=NOW + DAY)
    assert not sought.met(image(hepix_expires='2026-10-31T00:00:00Z'), NOW)
    assert not sought.met(image(), NOW)
    assert not sought.met(
        image('blocked', hepix_expires='2026-11-01T12:00:00Z'), NOW)


def test_what_bears_no_endorsement():
    assert not marks.Sought().met({'id': 'a', 'hepix_subscription': 'b'}, NOW)
    assert marks.Sought().met({'id': 'a', 'hepix_list_id': 'b'}, NOW)


@pytest.mark.parametrize('value, said', [
    ('true', True), ('false', False), ('', None), ('yes', None)])
def test_what_says_yes_or_no(value, said):
    assert marks.flag({'hepix_approved': value}, 'hepix_approved') is said


def test_reasons_are_those_that_were_written():
    given = Verdict(tuple(Reason(code, message) for code, message in (
        (Code.IMAGE_REVOKED, 'ops revoked it: a; not-a-code: b.'),
        (Code.SIZE_MISMATCH, 'It is longer: 1 byte.'))))
    written = image('revoked', **properties.of_refusal(given, 'revoked'))
    assert marks.reasons(written, NOW) == [
        each.as_dict() for each in given.reasons]
    assert marks.reasons(image(), NOW) == []
    other, = marks.reasons(image('refused', hepix_reason='new: x'), NOW)
    assert (other['code'], other['message']) == ('internal-error', 'new: x')


def test_what_ended_before_a_sweep_has_a_reason():
    reason, = marks.reasons(image(hepix_expires='2026-10-31T00:00:00Z'), NOW)
    assert reason['code'] == 'image-expired'
    assert '2026-10-31T00:00:00Z' in reason['message']
    assert reason['remedy']


class Glance(Service):
    """Some images, one of which changes its state meanwhile."""

    def request(self, path, method, **more):
        self.headers = more['headers']
        return super().request(path, method, **more)


def test_an_image_is_listed_once_and_without_its_message(monkeypatch):
    changing = image(hepix_expires='2026-10-01T00:00:00Z')
    glance = Glance(lambda path, asked: {'images': [changing]})
    monkeypatch.setattr(
        'hepix_vm.exchange.rest.Rest.bounded',
        lambda rest, path, longest, headers: rest.document(
            'GET', path, headers=headers))
    found = list(marks.find(
        Catalogue(glance), marks.Sought(['expired']), NOW))
    assert found == [changing]
    assert [asked['hepix_state'] for asked in glance.asked] == [
        'endorsed', 'expired']
    assert all('visibility' not in asked for asked in glance.asked)
    assert glance.headers == {}
