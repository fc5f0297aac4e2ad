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

"""Which rules apply to which server."""

import pytest

from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.context import rules
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context.rules import Rule

SERVER = Facts(project='p', zone='z', host='h', image=Image(
    'glance', 'dc', '/CN=Alice', 'vo'))


def a(*words):
    return frozenset(words)


@pytest.mark.parametrize('match', [
    Match(), Match(project=a('p')), Match(project=a('x', 'p')),
    Match(vo=a('vo')), Match(image=a('glance')), Match(image=a('dc')),
    Match(availability_zone=a('z')), Match(host=a('h')),
    Match(a('p'), a('vo'), a('dc'), a('z'), a('h'))])
def test_applies(match):
    assert match.applies(SERVER)


@pytest.mark.parametrize('match', [
    Match(project=a('x')), Match(vo=a('x')), Match(image=a('x')),
    Match(availability_zone=a('x')), Match(host=a('x')), Match(vo=a('p')),
    Match(a('p'), a('x')), Match(project=a('p'), host=a('x'))])
def test_does_not_apply(match):
    assert not match.applies(SERVER)


@pytest.mark.parametrize('key', Match._fields)
def test_what_is_not_known_matches_nothing(key):
    assert not Match(**{key: a('')}).applies(Facts())
    assert not Match(**{key: a('x')}).applies(Facts())


def test_all_that_apply_in_order_each_part_once():
    given = [
        Rule(Match(), Parts(('b', 'a'), ('e',))),
        Rule(Match(vo=a('other')), Parts(('never',))),
        Rule(Match(vo=a('vo')), Parts(('c', 'a'), ('d', 'e'), ('f',)))]
    assert rules.parts_for(given, SERVER) == Parts(
        ('b', 'a', 'c'), ('e', 'd'), ('f',))


def test_no_rule_gives_nothing():
    assert rules.parts_for([], SERVER) == Parts()
