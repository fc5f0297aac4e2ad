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

"""Lists that change at random, and runs that end anywhere."""

import dataclasses

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from tests.unit.exchange.models import actions
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model

NAMES = st.sampled_from('abc')
CONTENTS = st.integers(0, 3)
ENTRIES = st.dictionaries(NAMES, CONTENTS, max_size=3)
EVENTS = st.lists(st.tuples(
    st.sampled_from('LM'), ENTRIES,
    st.sampled_from([('atlas',), ('cms',)]), st.integers(0, 6)),
    min_size=1, max_size=5)


def happened(events, whole):
    """Let a site follow two lists as they change.

    :param whole: whether runs are never interrupted
    """
    model = Model()
    versions = dict.fromkeys('LM', 0)
    for name, images, projects, steps in events:
        versions[name] += 1
        # Identifiers are unique over lists.
        model.accept(image_list(name, *(
            entry(f'{name}{each}', content)
            for each, content in images.items()), version=versions[name]),
            projects={'vo.example.org': projects})
        model.run(steps=None if whole else steps)
        if whole:
            model.run()
    for _ in range(4):
        if not model.run():
            break
    return model


@settings(max_examples=400, deadline=None)
@given(EVENTS)
def test_any_history_comes_to_an_end(events):
    """Whatever happened and wherever runs ended, nothing is left to do."""
    model = happened(events, whole=False)
    assert actions(model.plan()) == []
    # All that is wanted is there once, and shown to whom it is for.
    found, _ = model.wanted()
    active = [image for image in model.images if image.status == 'active']
    assert sorted(image.sha512 for image in active) == sorted(found)
    assert all(image.shared and not image.parked for image in active)
    for image in active:
        assert image.shared == found[image.sha512].access.word
    assert all(image.parked for image in model.images
               if image not in active)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_interrupted_or_not_the_end_is_the_same(events):
    def seen(model):
        found, _ = model.wanted()
        return sorted((image.sha512, image.shared) for image in model.images
                      if image.sha512 in found)

    assert seen(happened(events, whole=False)) == seen(
        happened(events, whole=True))


def test_a_copy_of_what_waits_does_not_end_the_wait():
    old = entry('a', 1)
    model = Model(image_list('L', old))
    model.run()
    copy = dataclasses.replace(
        model.of(old), image_id='copy', subscription='', shared='')
    model.images.append(copy)
    model.accept(image_list('L', entry('a', 2), version=2))
    assert actions(model.plan()) == [
        'bring', 'replace', 'record', 'judge', 'judge', 'park']
    model.run()
    model.run()
    assert {image.state for image in model.images
            if image.sha512 == old.sha512} == {'superseded'}
    assert len(model.records) == 1
    assert model.plan().chains == ()


EVICTIONS = st.lists(st.tuples(
    st.sampled_from('LM'), ENTRIES, st.sampled_from([None, 0]),
    st.booleans(), st.integers(0, 3), st.integers(0, 6)),
    min_size=1, max_size=6)


@settings(max_examples=400, deadline=None)
@given(EVICTIONS)
def test_what_is_evicted_stays_and_comes_back_whatever_happens(events):
    model = Model()
    versions = dict.fromkeys('LM', 0)
    for name, images, evict_after, deletable, fetched, steps in events:
        versions[name] += 1
        model.accept(image_list(name, *(
            entry(f'{name}{each}', content)
            for each, content in images.items()), version=versions[name]),
            evict_after=evict_after)
        model.deletable = deletable
        model.known['fetched'] = {entry('x', fetched).sha512}
        model.run(steps=steps)
    model.deletable, model.known['fetched'] = True, ()
    for _ in range(6):
        if not model.run():
            break
    assert actions(model.plan()) == []
    # Each is there once, with its bytes or without.
    found, _ = model.wanted()
    there = [image for image in model.images if image.sha512 in found]
    assert sorted(image.sha512 for image in there) == sorted(found)
    assert all(image.evicted or image.shared for image in there)
    assert all(image.status == 'deactivated' and image.parked
               for image in model.images if image not in there)
    # Who asks for all has them.
    model.known['fetched'] = set(found)
    for _ in range(3):
        model.run()
    assert sorted(image.sha512 for image in model.images
                  if image.status == 'active' and not image.parked) == (
        sorted(found))
