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
"""A plan as a table that fits, and as JSON."""

import dataclasses
import io
import json
import pty
import termios

import pytest

from hepix_vm.cmd import plantable
from hepix_vm.errors import Code
from hepix_vm.exchange.deeds import Trouble
from hepix_vm.exchange.outline import Outline
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named

GIB = 1024 ** 3


@pytest.fixture
def model():
    """A site whose list has a new version of one image, and one more."""
    model = Model(image_list('a', entry('x')))
    model.run()
    model.accept(image_list(
        'a', entry('x', 'new', size=2 * GIB), entry('y', size=5 * GIB),
        version=2), max_bytes=3 * GIB)
    return model


def outline(model):
    return Outline(model.lists)


def rows(text):
    return [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('|')]


def test_a_table(model):
    text = plantable.table(model.plan(), outline(model))
    first, *found = rows(text)
    assert first == ['Action', 'List', 'Image', 'In', 'Out', 'Why']
    assert found[0] == [
        'bring', 'List a', 'Image x', '2.0 GiB', '', 'is listed']
    # The former version has no title here, but a name.
    assert found[-1] == [
        'park', 'List a', 'Image x', '', '', 'is superseded']
    assert text.splitlines()[-1] == '5 steps, 2.0 GiB in, 0 B out'


def test_nothing_to_do():
    model = Model(image_list('a', entry('x')))
    model.run()
    assert plantable.table(model.plan(), outline(model)) == 'Nothing to do.'
    assert json.loads(plantable.as_json(model.plan(), outline(model))) == {
        'steps': [], 'refusals': [], 'failures': [], 'waiting': [],
        'notes': [], 'totals': {'steps': 0, 'bytes_in': 0, 'bytes_out': 0}}


def test_columns_that_are_chosen(model):
    text = plantable.table(model.plan(), outline(model), ['In', 'Image ID'])
    assert rows(text)[:2] == [['In', 'Image ID'], ['2.0 GiB', named('x')]]


def test_why_says_the_codes():
    model = Model(image_list('a', entry('x')))
    model.run()
    judged = dataclasses.replace(
        model.images[0], outcome='deactivated', codes=(
            Code.IMAGE_EXPIRED, Code.IMAGE_BLOCKED))
    model.judged = lambda image, listed: judged
    made = model.plan()
    assert rows(plantable.table(made, outline(model)))[1][-1] == (
        'deactivated (image-expired, image-blocked)')
    step, = json.loads(plantable.as_json(made, outline(model)))['steps']
    assert (step['why'], step['codes']) == (
        'deactivated', ['image-expired', 'image-blocked'])


@pytest.mark.parametrize('width', [60, 80, 120])
def test_it_fits(model, width):
    model.lists[named('a')] = dataclasses.replace(
        model.lists[named('a')], title='Images of many words ' * 5)
    for columns in ((), plantable.COLUMNS):
        text = plantable.table(model.plan(), outline(model), columns, width)
        assert max(map(len, text.splitlines())) <= width
    text = plantable.table(model.plan(), outline(model), width=width)
    # Words are wrapped, and nothing else is.
    assert {cells[0] for cells in rows(text)} == {
        'Action', 'bring', 'replace', 'record', 'judge', 'park', ''}
    assert 'Images of many words ' * 4 in plantable.table(
        model.plan(), outline(model))


def test_how_wide_a_terminal_is():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 93))
    with open(theirs, 'w') as stream, open(ours):
        assert plantable.terminal_width(stream) == 93
    assert plantable.terminal_width(io.StringIO()) == 0


def test_titles_stay_in_their_cells(model):
    model.lists[named('a')] = dataclasses.replace(
        model.lists[named('a')], title='a\n\x1b[2J')
    text = plantable.table(model.plan(), outline(model))
    assert text.replace('\n', '').isprintable()
    assert rows(text)[1][1] == 'a [2J'


def test_json(model):
    model.accept(image_list('b', entry('z')), approved=False)
    found = json.loads(plantable.as_json(
        model.plan(), outline(model), [Trouble('', 'It broke.')]))
    bring, *_, last = found['steps']
    assert bring == {
        'action': 'bring', 'list': named('a'), 'list_title': 'List a',
        'image': named('x'), 'title': 'Image x', 'name': 'Image x',
        'glance_id': '', 'bytes_in': 2 * GIB, 'bytes_out': 0,
        'why': 'is listed', 'codes': []}
    assert last['image'] == named('z')
    refusal, = found['refusals']
    assert refusal.pop('message').startswith('The images of this list may')
    assert refusal == {
        'list': named('a'), 'list_title': 'List a', 'image': named('y'),
        'title': 'Image y', 'code': 'too-large',
        'remedy': 'Raise max_bytes in subscriptions.yaml.'}
    assert found['waiting'] == [{
        'list': named('b'), 'list_title': 'List b', 'image': named('z'),
        'title': 'Image z'}]
    assert found['failures'] == ['It broke.']
    assert found['totals'] == {
        'steps': 6, 'bytes_in': 2 * GIB + 10, 'bytes_out': 0}
