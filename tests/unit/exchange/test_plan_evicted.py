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
"""Plans of images that no server used."""

import dataclasses

from tests.unit.exchange.models import actions
from tests.unit.exchange.models import DAY
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import NOW
from tests.unit.exchange.models import refused
from tests.unit.exchange.models import shown


def test_unused_images_are_evicted_and_stay_so():
    model = Model()
    used, unused = entry('a'), entry('b')
    model.accept(image_list('L', used, unused), evict_after=30)
    image, _ = shown(model, used, unused)
    model.used = {image.image_id}
    assert actions(model.plan()) == ['evict']
    assert model.asked == [30, 30]
    model.run()
    assert model.of(unused).evicted
    assert model.plan().chains == ()
    # Asked for, it comes back as it was, with an age of its own.
    model.known['fetched'] = {unused.sha512}
    assert actions(model.plan()) == ['bring', 'replace', 'discard']
    model.images = [dataclasses.replace(image, name='Ours')
                    for image in model.images]
    model.run()
    model.known['fetched'] = ()
    assert model.plan().chains == ()
    assert model.of(unused).name == 'Ours'


def test_capitals_in_an_id_do_not_make_it_unused():
    model = Model()
    model.accept(image_list('L', entry('a')), evict_after=30)
    shown(model)
    model.images = [dataclasses.replace(image, image_id='ABC')
                    for image in model.images]
    model.used = {'abc'}
    assert model.plan().chains == ()
    model.used = {'other'}
    assert actions(model.plan()) == ['evict']


def test_what_came_lately_is_not_evicted():
    model = Model()
    model.accept(image_list('L', entry('a')), evict_after=1)
    model.run()
    assert model.plan().chains == ()
    assert model.asked == []


def test_evicted_and_then_wanted_no_longer():
    model = Model()
    model.accept(image_list('L', entry('a')), evict_after=30)
    shown(model)
    model.run()
    model.accept(image_list('L', version=2))
    model.run()
    assert model.images == []


def evicted(model, **block):
    """Let the image of a list be evicted; return its record."""
    model.accept(image_list('L', entry('a', 1)), evict_after=30, **block)
    shown(model)
    model.run()
    record, = model.images
    assert record.evicted
    return record


def test_what_is_fetched_in_several_runs():
    for steps in range(1, 4):
        model = Model()
        record = evicted(model)
        model.images = [dataclasses.replace(record, name='Ours')]
        model.known['fetched'] = {record.sha512}
        model.run(steps=steps)
        model.known['fetched'] = ()
        model.run()
        image = model.of(entry('a', 1))
        assert (image.status, image.name, bool(image.shared)) == (
            'active', 'Ours', True)
        assert model.plan().chains == ()


def test_what_is_fetched_and_does_not_come():
    model = Model()
    record = evicted(model)
    model.known['fetched'] = {record.sha512}
    model.images.append(refused(
        sha512=record.sha512, created=NOW - 200 * DAY))
    # What an earlier attempt left is not what is asked for.
    assert actions(model.plan()) == ['discard', 'bring', 'replace', 'discard']
    model.known['fetched'] = ()
    assert actions(model.plan()) == ['discard']
    model.run()
    assert model.images == [record]


def test_the_new_version_of_what_was_evicted_is_not_fetched():
    model = Model()
    record = evicted(model)
    new = entry('a', 2)
    model.accept(image_list('L', new, version=2))
    assert actions(model.plan()) == ['renew']
    model.run()
    assert model.images == [dataclasses.replace(
        record, sha512=new.sha512, list_version='2')]
    assert model.plan().chains == ()
    model.known['fetched'] = {new.sha512}
    assert actions(model.plan()) == ['bring', 'replace', 'discard']
    # Asked for at once it comes at once.
    model.images = [record]
    assert actions(model.plan()) == ['bring', 'replace', 'discard']
    model.run()
    assert model.of(new).shared == record.shared
    assert len(model.images) == 1


def test_a_record_waits_for_a_version_that_cannot_be_brought_in():
    model = Model()
    record = evicted(model)
    model.accept(image_list('L', entry('a', 2, format='cpio'), version=2))
    assert actions(model.plan()) == []
    assert model.images == [record]
    model.accept(image_list('L', version=3))
    assert actions(model.plan()) == ['discard']


def test_what_glance_does_not_remove_is_tried_again_and_again():
    model = Model()
    model.deletable = False
    model.accept(image_list('L', entry('a', 1)), evict_after=30)
    shown(model)
    model.run()
    image, record = model.images
    for _ in range(3):
        step, = model.plan().steps
        assert (str(step.action), step.present.image_id, step.former) == (
            'evict', image.image_id, record)
        model.run()
        assert [each.image_id for each in model.images] == [
            image.image_id, record.image_id]
    other = dataclasses.replace(record, image_id='other', created=NOW)
    model.images.append(other)
    assert [(str(step.action), step.present) for step in model.plan().steps
            ][:1] == [('discard', other)]
    assert len(model.plan().steps) == 2
    model.images.remove(other)
    # Used again, it needs no record.
    model.used = {image.image_id}
    assert actions(model.plan()) == ['discard']
    # Nor if somebody wants it.
    model.used, model.known['fetched'] = set(), {image.sha512}
    assert actions(model.plan()) == ['discard']
    # What its bytes became is not what it stood for.
    model.known['fetched'] = ()
    model.accept(image_list('L', entry('a', 2), version=2), evict_after=30)
    assert actions(model.plan()) == [
        'discard', 'bring', 'replace', 'record', 'judge', 'park']


def test_of_several_records_one_is_enough():
    model = Model()
    record = evicted(model)
    other = dataclasses.replace(record, image_id='other', created=NOW)
    model.images = [other, record]
    assert actions(model.plan()) == ['discard']
    model.run()
    assert model.images == [record]


def test_a_record_of_what_another_list_has_still():
    model = Model()
    record = evicted(model)
    model.accept(image_list('L', entry('a', 2), version=2))
    model.accept(image_list('M', entry('b', 1)))
    # It stands for those bytes as before.
    assert actions(model.plan()) == ['bring', 'share']
    model.run()
    assert record in model.images
    assert model.plan().chains == ()
