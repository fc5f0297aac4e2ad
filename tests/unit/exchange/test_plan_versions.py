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
"""Plans of images that have several versions."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import HepixVmError
from hepix_vm.subscriptions import Selection
from hepix_vm.trust.verdict import Reason
from tests.unit.exchange.models import actions
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named
from tests.unit.exchange.models import NOW
from tests.unit.exchange.models import refused
from tests.unit.exchange.models import shown


def of_unknown_format(model, new):
    model.accept(image_list('L', dataclasses.replace(new, format='cpio'),
                            version=2))
    return Code.FORMAT_MISMATCH


def of_no_address(model, new):
    model.accept(image_list('L', dataclasses.replace(
        new, format='', uri='https://[x/'), version=2))
    return Code.MALFORMED


def blocked(model, new):
    model.accept(image_list('L', new, version=2))
    model.refused[new.sha512] = (Reason(Code.IMAGE_BLOCKED, 'why'),)
    return Code.IMAGE_BLOCKED


def too_large(model, new):
    model.accept(image_list('L', new, version=2), max_bytes=5)
    return Code.TOO_LARGE


def of_other_bytes(model, new):
    image = dataclasses.replace(new, uri='https://x/')
    model.accept(image_list('L', image, version=2))
    model.images.append(refused(
        sha512=new.sha512, list_version='2', uri=image.uri))
    return Code.CHECKSUM_MISMATCH


@pytest.mark.parametrize('comes', [
    of_unknown_format, of_no_address, blocked, too_large, of_other_bytes])
def test_the_old_version_waits_for_one_that_does_not_come(comes):
    old, new = entry('a', 1), entry('a', 2)
    model = Model(image_list('L', old))
    before, = shown(model, old)
    code = comes(model, new)
    made = model.plan()
    assert actions(made) == []
    assert [refusal.code for refusal in made.refusals] == [code]
    assert model.of(old) == before
    # What comes at last takes its place, and what is dropped goes.
    model.refused.clear()
    model.accept(image_list('L', entry('a', 3), version=3), max_bytes=None)
    model.run()
    assert model.of(old).state == 'superseded'
    model.run()
    assert model.plan().chains == ()


def test_an_image_whose_format_is_unknown_all_at_once_stays():
    image = entry('a')
    model = Model(image_list('L', image))
    before, = shown(model, image)
    of_unknown_format(model, image)
    # That of the next version of its list.
    assert actions(model.plan()) == ['judge']
    model.run()
    assert model.plan().chains == ()
    assert dataclasses.replace(
        model.of(image), list_version='1') == before


def test_what_another_list_brought_in_is_waited_for_no_longer():
    old, new = entry('a', 1), entry('a', 2)
    model = Model(image_list('L', old))
    model.run()
    of_unknown_format(model, new)
    model.accept(image_list('M', entry('b', 2)))
    # Though the run ends before the old one is out of use.
    model.run(steps=1 + actions(model.plan()).index('replace'))
    model.run()
    model.run()
    assert model.plan().chains == ()
    assert model.of(old).state == 'superseded'


@pytest.mark.parametrize('names', ['AB', 'BA', 'CD', 'DC'])
def test_who_lists_an_image_first_says_which_it_goes_on_as(names):
    first, second = names
    one, other = entry('a', 1), entry('b', 2)
    model = Model(image_list(first, one), image_list(second, other))
    shown(model, one, other)
    both = entry('a', 3), entry('b', 3)
    model.accept(image_list(first, both[0], version=2),
                 image_list(second, both[1], version=2))
    model.run()
    assert model.of(both[0]).name == 'Image a'
    assert {model.of(each).state for each in (one, other)} == {'superseded'}


def test_who_lists_it_first_and_cannot_have_it_says_nothing():
    one, other = entry('a', 1), entry('b', 2)
    for first, second in 'AB', 'BA':
        model = Model(image_list(first, one), image_list(second, other))
        shown(model, one, other)
        model.accept(
            image_list(first, entry('a', 3, format='cpio'), version=2),
            image_list(second, entry('b', 3), version=2))
        model.run()
        assert model.of(entry('b', 3)).name == 'Image b'


def versions(model, keep, number=4):
    """Let an image have several versions, each of which was shown."""
    for version in range(number):
        model.accept(image_list('L', entry('a', version),
                                version=version + 1), keep=keep)
        model.run()
        model.images = [
            dataclasses.replace(image, parked=image.parked and (
                f'2026-01-{version + 1:02}' if image.parked == str(NOW)
                else image.parked)) for image in model.images]


def test_all_superseded_versions_are_kept():
    model = Model()
    versions(model, None)
    model.run()
    assert len(model.images) == 4
    assert model.asked == []


@pytest.mark.parametrize(('keep', 'left'), [
    (1, {2, 3}), (2, {1, 2, 3}), (3, {0, 1, 2, 3}), (4, {0, 1, 2, 3}),
    (9, {0, 1, 2, 3})])
def test_superseded_versions_beyond_those_kept_are_deleted(keep, left):
    model = Model()
    versions(model, keep)
    # By the run that replaced the last of those kept.
    assert {image.sha512 for image in model.images} == {
        entry('a', number).sha512 for number in left}
    assert model.plan().chains == ()


def test_what_users_saw_until_now_is_deleted_by_the_next_run():
    """Servers may have begun to use it meanwhile."""
    model = Model(image_list('L', entry('a', 1)))
    model.run()
    model.accept(image_list('L', entry('a', 2), version=2), keep=0)
    assert actions(model.plan()) == [
        'bring', 'replace', 'record', 'judge', 'park']
    model.run()
    assert actions(model.plan()) == ['delete']
    # Nor is what nothing replaces, as it is not brought in any more.
    model = Model(image_list('L', entry('a', 1)))
    model.run()
    model.accept(image_list('L', entry('a', 2), version=2), keep=0,
                 images=Selection(frozenset()))
    assert actions(model.plan()) == ['record', 'judge', 'park']
    model.run()
    assert actions(model.plan()) == ['delete']


def test_fewer_are_kept_from_now_on():
    model = Model()
    versions(model, None, 3)
    model.accept(image_list('L', entry('a', 3), version=4), keep=1)
    # One that is superseded already goes first, the other behind the new.
    assert actions(model.plan()) == [
        'delete', 'bring', 'replace', 'record', 'judge', 'park', 'delete']
    # Nothing replaces it: it is not brought in any more.
    model.accept(image_list('L', entry('a', 3), version=4), keep=1,
                 images=Selection(frozenset()))
    assert actions(model.plan()) == [
        'record', 'judge', 'park', 'delete', 'delete']


def test_each_of_several_new_versions_has_its_room():
    model = Model()
    for number in (1, 2):
        model.accept(image_list('L', entry('a', f'a{number}'),
                                entry('b', f'b{number}'), version=number),
                     keep=0, max_bytes=25)
        model.run()
    assert model.of(entry('b', 'b2')).shared


@pytest.mark.parametrize(('limit', 'where'), [
    ({'max_bytes': 15}, {}), ({}, {'max_bytes': 15})])
def test_versions_that_go_do_not_keep_out_the_next_one(limit, where):
    model = Model(**where)
    for number in range(4):
        model.accept(image_list('L', entry('a', number), version=number + 1),
                     keep=0, **limit)
        assert model.plan().refusals == ()
        model.run()
        assert model.of(entry('a', number)).shared
    # But what a server uses stays, and takes its room.
    model.used = {image.image_id for image in model.images}
    model.accept(image_list('L', entry('a', 4), version=5), keep=0, **limit)
    refusal, = model.plan().refusals
    assert refusal.code is Code.TOO_LARGE


def test_versions_that_glance_does_not_delete_take_their_room():
    model = Model()
    model.deletable = False
    for number in range(12):
        model.accept(image_list('L', entry('a', number), version=number + 1),
                     keep=0, max_bytes=20)
        model.run()
        model.run()
    refusal, = model.plan().refusals
    assert refusal.code is Code.TOO_LARGE
    # But for the one that was let go last, and the one it made way for.
    assert sum(image.size for image in model.images) <= 20 + 2 * 10


def test_what_is_new_does_not_keep_out_the_next_version():
    """It may say any size, and never come."""
    old, new = entry('a', 1), entry('a', 2)
    model = Model(image_list('M', entry('b')), image_list('L', old),
                  max_bytes=100)
    shown(model, old)
    model.accept(image_list('L', entry('c'), new, version=2))
    # Nor does one that takes the place of a small one.
    for large in entry('d', size=75), entry('b', 'large', size=75):
        model.accept(image_list('M', large, version=2))
        made = model.plan()
        assert [step.wanted.entry for step in made.steps
                if step.action == 'bring'] == [new, entry('c')]
        assert [refusal.entry for refusal in made.refusals] == [large]


def test_what_leaves_one_list_is_no_room_for_another():
    model = Model(image_list('M'), image_list('L', entry('a', 1)))
    model.run()
    model.accept(image_list('M', entry('b', 2), version=2), max_bytes=5)
    model.accept(image_list('L', entry('a', 2), version=2), keep=0)
    assert [refusal.image_list.identifier for refusal
            in model.plan().refusals] == [named('M')]
    model.run()
    assert model.of(entry('a', 2)).subscription == named('L')


def test_it_is_said_what_hidden_versions_take():
    model = Model()
    for number in range(2):
        model.accept(image_list('L', entry('a', number), version=number + 1),
                     max_bytes=20)
        model.run()
    model.accept(image_list('L', entry('a', 3), version=3), max_bytes=20)
    refusal, = model.plan().refusals
    assert refusal.message == (
        'The images of this list may take 20 bytes; with the 10 of this one '
        'they would take 30. Superseded versions and other hidden images '
        'take 10 of them.')
    assert 'max_bytes' in refusal.remedy
    assert 'superseded: delete' in refusal.remedy
    # Which is true.
    model.accept(image_list('L', entry('a', 3), version=3), max_bytes=20,
                 keep=0)
    model.run()
    model.run()
    assert [image.sha512 for image in model.images] == [
        entry('a', 3).sha512]


def test_versions_of_a_list_that_is_not_followed_now_are_not_deleted():
    model = Model(image_list('M', entry('x')))
    versions(model, None, 3)
    model.accept(image_list('L', entry('a', 2), version=4), keep=0)
    model.known['only'] = {named('M')}
    assert 'delete' not in actions(model.plan())
    model.known['only'] = {named('L')}
    assert actions(model.plan()).count('delete') == 2


def test_what_a_server_uses_is_not_deleted():
    model = Model()
    versions(model, None)
    used, *_ = sorted(model.images, key=lambda image: image.parked or '9')
    model.used = {used.image_id}
    model.accept(image_list('L', entry('a', 3), version=4), keep=0)
    model.run()
    assert {image.image_id for image in model.images} == {
        used.image_id, model.of(entry('a', 3)).image_id}


def test_nothing_is_deleted_where_nova_does_not_say():
    model = Model()
    versions(model, None)
    model.used = HepixVmError('Nova is silent.', remedy='Wake it.')
    model.accept(image_list('L', entry('a', 3), version=4), keep=0)
    made = model.plan()
    assert actions(made) == []
    assert made.notes == (
        'No image is deleted or evicted now. Nova is silent. Wake it.',)


def test_what_is_protected_is_not_deleted():
    model = Model()
    versions(model, None)
    model.images = [dataclasses.replace(image, protected=True)
                    for image in model.images]
    model.accept(image_list('L', entry('a', 3), version=4), keep=0,
                 evict_after=0)
    assert actions(model.plan()) == []
