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
"""How a plan is carried out."""

import datetime
import threading
import types

import pytest
import requests

from hepix_vm.errors import ServiceError
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Kept
from hepix_vm.exchange import execute
from hepix_vm.exchange.execute import Executor
from hepix_vm.exchange.outline import Outline
from hepix_vm.exchange.steps import Action
from hepix_vm.exchange.steps import Plan
from hepix_vm.exchange.steps import Step
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import NOW

HOUR = datetime.timedelta(hours=1)


def executor(allowance=None):
    return Executor(*[None] * 4, allowance or Allowance(60), *[None] * 4)


class Glance:
    """A catalogue of one image.

    :param status: that the image has by now
    """

    def __init__(self, status):
        self.status = status
        self.gone = []

    def find(self, image_id):
        return {'id': image_id, 'status': self.status}

    def discard(self, image_id):
        self.gone.append(image_id)

    delete = discard


def carry_out(action, status, settled=True):
    """Carry out a step on an image; return what was done, said and kept.

    :param settled: whether its verdict changes it
    """
    model = Model(image_list('a', entry('x')))
    model.run()
    lines, records, glance = [], [], Glance(status)
    progress = types.SimpleNamespace(line=lines.append)
    done = Executor(
        glance, None, types.SimpleNamespace(settle=lambda image_id: settled),
        None, Allowance(60), None, progress,
        Outline(model.lists), records.append).run(Plan(((Step(
            action, model.images[0], why='is old'),),)))
    return done, glance.gone, lines, records


@pytest.mark.parametrize('settled', [True, False])
def test_only_an_image_that_a_verdict_changed_is_changed(settled):
    done = carry_out(Action.SETTLE, 'active', settled)[0]
    assert len(done.deeds) == settled
    assert not done.failures


@pytest.mark.parametrize('action', [Action.DELETE, Action.DISCARD])
def test_what_was_done_is_said_and_journalled(action):
    done, gone, (line,), (record,) = carry_out(action, 'queued')
    assert gone == ['0001']
    assert [deed.step.action for deed in done.deeds] == [action]
    assert line.startswith(f'{action}: ')
    assert (record['event'], record['step'], record['image']) == (
        'step', action, '0001')


def test_a_record_that_has_its_bytes_by_now_stays():
    done, gone, lines, records = carry_out(Action.DISCARD, 'active')
    assert (gone, lines, records, done.deeds, done.failures) == (
        [], [], [], [], [])


def test_chains_are_not_compared(monkeypatch):
    # With thousands of new images that took minutes before the first step.
    made = Model(image_list('a', *map(entry, 'xyz'))).plan()
    done = []
    monkeypatch.setattr(
        Executor, '_chain', lambda self, chain: done.append(chain))
    monkeypatch.setattr(Step, '__eq__', None)
    executor().run(made)
    assert len(done) == 3


def test_a_slow_list_does_not_keep_out_others(monkeypatch):
    slow = image_list('slow', *(entry(f's{n}') for n in range(20)))
    quick = image_list('quick', *(entry(f'q{n}') for n in range(20)))
    made = Model(slow, quick).plan()
    ended = threading.Event()
    done = []

    def chain(self, chain):
        step = next(step for step in chain if step.wanted)
        if step.wanted.image_list is slow:
            assert ended.wait(10)
            return
        done.append(step)
        if len(done) == len(quick.images):
            ended.set()

    monkeypatch.setattr(Executor, '_chain', chain)
    executor().run(made)
    assert ended.is_set()


def begun_in_runs(monkeypatch, images, most):
    """Return which of five lists begin what in ten runs.

    :param images: of each list
    :param most: images that begin before a run is over
    """
    made = Model(*(image_list(name, *(
        entry(f'{name}{number}') for number in range(images)))
        for name in 'vwxyz')).plan()
    found = []
    for hour in range(10):
        allowance, begun, turn = Allowance(60), [], threading.Barrier(4)

        def chain(self, chain):
            step = next(step for step in chain if step.wanted)
            begun.append(step.wanted.image_list.title[-1])
            turn.wait(10)
            if len(begun) == most:
                self._allowance.stop()

        monkeypatch.setattr(Executor, '_chain', chain)
        monkeypatch.setattr(
            execute, 'utcnow', lambda: NOW + hour * HOUR)
        executor(allowance).run(made)
        found.append(begun)
    return found


def test_slow_lists_do_not_keep_out_a_fifth_one(monkeypatch):
    for begun in begun_in_runs(monkeypatch, 8, 8):
        assert set(begun) == set('vwxyz')


def test_no_list_is_last_in_each_run(monkeypatch):
    # Where only as many begin as come in at once.
    runs = [frozenset(begun) for begun in begun_in_runs(monkeypatch, 8, 4)]
    assert {len(begun) for begun in runs} == {4}
    assert frozenset().union(*(set('vwxyz') - begun for begun in runs)) == (
        set('vwxyz'))
    assert runs == [
        frozenset(begun) for begun in begun_in_runs(monkeypatch, 8, 4)]


def brought(monkeypatch, allowance, chain):
    """Carry out a plan of 20 images, each by what is given."""
    made = Model(image_list('a', *(entry(f'x{n}') for n in range(20)))).plan()
    monkeypatch.setattr(Executor, '_chain', chain)
    return executor(allowance).run(made)


def test_what_did_not_begin_in_time_is_for_the_next_run(monkeypatch):
    done = []
    brought(monkeypatch, Allowance(-1), lambda self, chain: done.append(1))
    text, = brought(
        monkeypatch, Allowance(-1), lambda self, chain: None).pending
    assert '20 images' in text.text
    assert 'bring_time' in text.text
    assert done == []


def test_who_interrupts_does_not_wait_for_what_is_to_come(monkeypatch):
    begun = []

    def chain(self, chain):
        begun.append(chain)
        if len(begun) == 1:
            raise KeyboardInterrupt
        self._allowance.wait(60)

    with pytest.raises(KeyboardInterrupt):
        brought(monkeypatch, Allowance(60), chain)
    assert 1 <= len(begun) <= 4


class Answering:
    """An adapter of keystoneauth1 whose service answers one status."""

    def __init__(self, status, words='It is in use by a volume.'):
        self.status = status
        self.words = words

    def request(self, path, method, **more):
        response = requests.Response()
        response.status_code = self.status
        response._content = self.words.encode()
        return response


@pytest.mark.parametrize(('status', 'kept'), [
    (403, True), (409, True), (500, False), (503, False)])
def test_what_glance_does_not_delete_is_no_failure(status, kept):
    model = Model(image_list('L', entry('a', 1)))
    model.run()
    model.accept(image_list('L', entry('a', 2), version=2), keep=0)
    model.run()
    catalogue = Catalogue(Answering(status))
    with pytest.raises(ServiceError) as caught:
        catalogue.delete('x')
    assert isinstance(caught.value, Kept) is kept
    done = Executor(catalogue, None, None, None, Allowance(60), None, None,
                    Outline({}), None).run(model.plan())
    trouble, = done.notes if kept else done.failures
    assert (f'{status} to DELETE /v2/images/0001: It is in use by'
            in trouble.text)
    assert not (done.failures if kept else done.notes)
    assert done.deeds == []


@pytest.mark.parametrize(('status', 'words', 'remedy'), [
    (409, 'It is in use.', 'The next run tries again.'),
    (403, 'Image x is protected and cannot be deleted.',
     'The next run tries again.'),
    (403, 'You are not authorized to complete delete_image action.',
     'Give the account ')])
def test_why_glance_does_not_delete_it(status, words, remedy):
    with pytest.raises(Kept) as caught:
        Catalogue(Answering(status, words)).delete('x')
    assert caught.value.remedy.startswith(remedy)


@pytest.mark.parametrize('status', [204, 404])
def test_what_glance_deleted_is_gone(status):
    Catalogue(Answering(status)).delete('x')
