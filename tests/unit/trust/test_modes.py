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

import pytest

from hepix_vm.errors import Code
from hepix_vm.trust.modes import mode_for
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import ModeRule
from hepix_vm.trust.verdict import Mode

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
ATLAS = frozenset({'atlas', '0a1b'})


def mode(*rules, default=Mode.ENFORCING, **known):
    return mode_for(Subject(at=NOW, **known), rules, default)


def test_the_first_rule_that_matches_counts():
    rules = (ModeRule(Mode.DISABLED, project='atlas'),
             ModeRule(Mode.PERMISSIVE, project='0a1b'),
             ModeRule(Mode.PERMISSIVE, project='cms'))
    assert mode(*rules, projects=ATLAS) is Mode.DISABLED
    assert mode(*rules, projects=frozenset({'cms'})) is Mode.PERMISSIVE
    assert mode(*rules, projects=frozenset({'lhcb'})) is Mode.ENFORCING
    assert mode(default=Mode.PERMISSIVE) is Mode.PERMISSIVE


@pytest.mark.parametrize('rule, known, fits', [
    (ModeRule(Mode.DISABLED, domain='grid'),
     {'domains': frozenset({'grid', '77'})}, True),
    (ModeRule(Mode.DISABLED, domain='grid'),
     {'domains': frozenset({'default'})}, False),
    (ModeRule(Mode.DISABLED, role='builder'),
     {'roles': frozenset({'member', 'builder'})}, True),
    (ModeRule(Mode.DISABLED, role='builder'),
     {'roles': frozenset({'member'})}, False),
    (ModeRule(Mode.DISABLED, visibility='private'),
     {'visibility': 'private'}, True),
    (ModeRule(Mode.DISABLED, visibility='private'),
     {'visibility': 'public'}, False),
    # All that a rule says must be true.
    (ModeRule(Mode.DISABLED, project='atlas', visibility='private'),
     {'projects': ATLAS, 'visibility': 'public'}, False),
    (ModeRule(Mode.DISABLED, project='cms', visibility='private'),
     {'projects': ATLAS, 'visibility': 'private'}, False),
    (ModeRule(Mode.DISABLED, project='atlas', role='builder'),
     {'projects': ATLAS, 'roles': frozenset({'builder'})}, True),
])
def test_what_a_rule_may_speak_of(rule, known, fits):
    assert (mode(rule, **known) is Mode.DISABLED) is fits


@pytest.mark.parametrize('rule, known', [
    (ModeRule(Mode.PERMISSIVE, project='atlas'),
     {'projects': frozenset({'0a1b'}), 'names_known': False}),
    (ModeRule(Mode.PERMISSIVE, domain='grid'), {'domains': None}),
    (ModeRule(Mode.PERMISSIVE, role='builder'), {'roles': None}),
])
def test_what_is_not_known_lets_nothing_in_and_throws_nothing_out(
        rule, known):
    assert mode(rule, moment=Moment.STORE, **known) is Mode.ENFORCING
    assert mode(rule, moment=Moment.KEEP, **known) is Mode.PERMISSIVE
    assert mode(rule, moment=Moment.RUN, **known) is Mode.ENFORCING


@pytest.mark.parametrize('code, expected', [
    (Code.IMAGE_BLOCKED, Mode.ENFORCING),
    (Code.IMAGE_REVOKED, Mode.ENFORCING),
    (Code.IMAGE_SUPERSEDED, Mode.ENFORCING),
    (Code.IMAGE_EXPIRED, Mode.PERMISSIVE),
    (Code.NOT_ENDORSED, Mode.PERMISSIVE)])
def test_what_was_decided_does_not_wait_for_what_is_not_known(
        code, expected):
    rule = ModeRule(Mode.PERMISSIVE, role='builder')
    image = Subject(at=NOW, roles=None, moment=Moment.KEEP)
    assert mode_for(image, (rule,), Mode.ENFORCING, (code,)) is expected
    # A rule that is known to fit counts.
    known = dataclasses.replace(image, roles=frozenset({'builder'}))
    assert mode_for(known, (rule,), Mode.ENFORCING, (code,)) is (
        Mode.PERMISSIVE)


def test_a_rule_that_cannot_fit_is_not_meant_though_much_is_unknown():
    rule = ModeRule(Mode.PERMISSIVE, role='builder', visibility='private')
    assert mode(rule, moment=Moment.KEEP, roles=None,
                visibility='public') is Mode.ENFORCING


def test_rules_behind_one_that_matches_do_not_count():
    rules = (ModeRule(Mode.PERMISSIVE, role='builder'),
             ModeRule(Mode.ENFORCING, visibility='private'),
             ModeRule(Mode.DISABLED, visibility='private'))
    known = {'visibility': 'private', 'roles': None}
    assert mode(*rules, moment=Moment.KEEP, default=Mode.DISABLED,
                **known) is Mode.PERMISSIVE
    assert mode(*rules, moment=Moment.STORE, default=Mode.DISABLED,
                **known) is Mode.ENFORCING
