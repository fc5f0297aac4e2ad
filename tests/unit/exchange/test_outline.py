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
"""What a run says of its steps, in lines, a summary and the journal."""

import dataclasses
import json

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.deeds import Deed
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.deeds import Trouble
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.outline import record_of
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Step
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named
from tests.unit.exchange.models import NOW

LIST = f'list "List a" ({named("a")}): '


def deeds(model):
    """Carry out a plan; return its steps as they were done."""
    found = []
    for step in model.plan().steps:
        brought = model.step(step, model.images[-1] if model.images else None)
        found.append(Deed(step, step.present.image_id if step.present
                          else brought.image_id))
    return found


def of(model):
    return Outline(model.lists)


def lines(model):
    return [of(model).done(deed) for deed in deeds(model)]


def summary(model, done=None, refusals=(), approvals=()):
    return of(model).summary(
        done or Done(), refusals, approvals, model.lists)


def test_a_line_a_step():
    model = Model(image_list('a', entry('x')))
    assert lines(model) == [
        'bring: "Image x" of "List a", in Glance "Image x" (0001): is '
        'listed; 10 B',
        'share: "Image x" of "List a", in Glance "Image x" (0001): for '
        'members']
    model.accept(image_list('a', entry('x', 'new'), version=2))
    where = '"Image x" of "List a", in Glance "Image x" (0001)'
    assert lines(model)[1:] == [
        'replace: "Image x" of "List a", in Glance "Image x" (0002): is the '
        'new version; it takes the place of 0001',
        f'record: {where}: superseded', f'judge: {where}: is superseded',
        f'park: {where}: is superseded']


def test_what_no_list_is_known_of():
    model = Model(image_list('a', entry('x')))
    deeds(model)
    model.lists.clear()
    model.blocks.clear()
    assert lines(model)[-1] == (
        f'park: image {named("x")} of {named("a")}, in Glance "Image x" '
        '(0001): is not wanted')


def test_an_image_of_no_list():
    model = Model(image_list('a', entry('x')))
    shared = deeds(model)[1]
    step = dataclasses.replace(
        shared.step, wanted=None, present=dataclasses.replace(
            model.images[0], identifier='', subscription='', list_id=''))
    assert of(model).subject(step) == 'in Glance "Image x" (0001)'
    assert of(model).subject(shared.step) == (
        f'image "Image x" ({named("x")}) of the list "List a" '
        f'({named("a")})')
    assert of(model).subject(dataclasses.replace(
        step, present=model.images[0])) == (
        '"Image x" of "List a", in Glance "Image x" (0001)')
    assert of(model).done(Deed(step, '0001')) == (
        'share: in Glance "Image x" (0001): for members')


def test_titles_give_no_orders_to_a_terminal():
    title = 'x" (0000): is fine\nshare: \x1b[2J\u202e'
    made = image_list('a', entry('x', title=title))
    line = lines(Model(dataclasses.replace(made, title=title)))[1]
    assert line.isprintable()
    assert line.startswith('share: "x\' (0000): is fine share: [2J" of "x\'')
    refused = str(Refusal.of(dataclasses.replace(made, title=title),
                             made.images[0], Reason(Code.TOO_LARGE, 'No.')))
    assert refused.isprintable() and refused.count('"') == 4


def test_properties_give_no_orders_to_a_terminal():
    bad = 'x\nfailed: \x1b[2J\u202e'
    held = Held('0001', 'active', 'atlas', NOW, name=bad, extra={
        'hepix_image_id': bad, 'hepix_list_id': bad})
    line = Outline({}).judged(held, Outcome(Verdict(()), '', {}))
    assert line.isprintable()
    assert line == ('judge: image x failed: [2J of x failed: [2J, in Glance '
                    '"x failed: [2J" (0001): marked')


def test_a_summary_line_a_list():
    model = Model(image_list('a', *map(entry, 'xy')), image_list('b'))
    assert summary(model) == [
        f'{LIST}nothing to do',
        f'list "List b" ({named("b")}): nothing to do',
        'total: nothing to do']
    assert summary(model, Done(deeds(model))) == [
        f'{LIST}2 images came in (20 B)',
        f'list "List b" ({named("b")}): nothing to do',
        'total: 2 images came in (20 B)']
    model.accept(image_list('a', entry('x', 'new'), version=2))
    assert summary(model, Done(deeds(model)))[0] == (
        f'{LIST}1 image came in (10 B), 1 image revoked, 1 image superseded')


@pytest.mark.parametrize(('outcome', 'said'), [
    ('deactivated', '1 image taken out of use'),
    ('reactivated', '1 image put to use again'),
    ('marked', '1 image changed')])
def test_what_verdicts_come_to(outcome, said):
    model = Model(image_list('a', entry('x')))
    deeds(model)
    step = Step(Action.SETTLE, model.images[0], why=outcome)
    assert summary(model, Done([Deed(step, '0001')]))[-1] == f'total: {said}'


@pytest.mark.parametrize(('number', 'said'), [
    (1, '1 image refused, 1 image waits for approval, 1 import pending, '
        '1 failure'),
    (2, '2 images refused, 2 images wait for approval, 2 imports pending, '
        '2 failures')])
def test_what_is_open(number, said):
    made = image_list('a', *map(entry, 'xy'[:number]))
    done = Done(pending=[Trouble(made.identifier, 'x')] * number,
                failures=[Trouble('', 'y')] * number)
    found = summary(
        Model(made), done, [Refusal.of(
            made, each, Reason(code, 'No.')) for each in made.images
            for code in (Code.TOO_LARGE, Code.IMAGE_BLOCKED)],
        [Approval(made, each) for each in made.images])
    assert found == [LIST + said.rpartition(', ')[0], f'total: {said}']


def test_what_left():
    model = Model(image_list('a', entry('x')))
    deeds(model)
    model.accept(model.lists[named('a')], evict_after=0)
    step, = model.plan().steps
    deed = Deed(step, '0001', '0009')
    assert of(model).done(deed).endswith(
        'was not used for 0 days; 0009 stands for it; 10 B')
    discarded = Deed(dataclasses.replace(step, action=Action.DISCARD), '3')
    assert summary(model, Done([deed, discarded, discarded]))[0] == (
        f'{LIST}1 image left (10 B), 2 empty records removed')


def test_what_the_journal_has():
    model = Model(image_list('a', entry('x')))
    brought, shared = deeds(model)
    assert record_of(brought, NOW) == {
        'time': '2026-11-01T00:00:00Z', 'event': 'step', 'step': 'bring',
        'why': 'is listed', 'image': '0001', 'name': 'Image x',
        'list': named('a'), 'identifier': named('x'), 'bytes_in': 10}
    assert json.loads(json.dumps(record_of(shared, NOW)))['why'] == (
        'for members')
    model.accept(image_list('a', entry('x', 'new'), version=2))
    assert record_of(deeds(model)[1], NOW)['former'] == '0001'
