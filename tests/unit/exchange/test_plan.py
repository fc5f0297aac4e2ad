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

"""Plans, carried out on a Glance that is a value."""

import dataclasses

from hepix_vm.errors import Code
from hepix_vm.exchange.present import Present
from hepix_vm.subscriptions import Selection
from hepix_vm.trust.ledger import Fact
from tests.unit.exchange.models import actions
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named
from tests.unit.exchange.models import NOW
from tests.unit.exchange.models import refused
from tests.unit.exchange.models import shown


def test_what_is_new_is_brought_in_and_shown():
    model = Model(image_list('L', entry('a'), entry('b')))
    made = model.plan()
    assert actions(made) == ['bring', 'share', 'bring', 'share']
    assert [step.bytes_in for step in made.steps] == [10, 0, 10, 0]
    model.run()
    assert model.plan().chains == ()


def test_a_new_version_and_what_it_replaces():
    old, new = entry('a', 1), entry('a', 2)
    model = Model(image_list('L', old))
    model.run()
    model.accept(image_list('L', new, version=2))
    assert actions(model.plan()) == [
        'bring', 'replace', 'record', 'judge', 'park']
    model.run()
    assert model.plan().chains == ()
    assert model.of(old).state == 'superseded'
    record, = model.records
    assert (record.fact, record.version) == (Fact.SUPERSEDED, '2')


def test_a_new_version_that_is_shared_with_others():
    old, new = entry('a', 1), entry('a', 2)
    model = Model(image_list('L', old))
    model.run()
    model.accept(image_list('L', new, version=2), projects={
        'vo.example.org': ('cms',)})
    assert actions(model.plan()) == [
        'bring', 'replace', 'share', 'record', 'judge', 'park']


def test_of_three_versions_the_shown_one_is_replaced():
    first, second, third = (entry('a', number) for number in range(3))
    model = Model(image_list('L', first))
    model.run()
    model.accept(image_list('L', second, version=2))
    model.run(steps=1)
    model.accept(image_list('L', third, version=3))
    model.run()
    model.run()
    assert model.plan().chains == ()
    assert model.of(third).shared
    assert {model.of(each).state for each in (first, second)} == {
        'superseded'}


def test_dropped_images_are_revoked_and_hidden_and_come_back():
    kept, gone = entry('a'), entry('b')
    model = Model(image_list('L', kept, gone))
    model.run()
    model.accept(image_list('L', kept, version=2))
    assert actions(model.plan())[-3:] == ['record', 'judge', 'hide']
    model.run()
    assert model.plan().chains == ()
    assert model.records[0].fact is Fact.REVOKED
    model.accept(image_list('L', kept, gone, version=3))
    model.run()
    assert model.plan().chains == ()
    assert (model.of(gone).state, model.of(gone).parked) == ('endorsed', '')
    model.accept(image_list('L', kept, version=4))
    model.run()
    assert [record.version for record in model.records] == ['2', '4']


def test_what_another_list_has_is_not_revoked():
    model = Model(image_list('L', entry('a')), image_list(
        'M', entry('b', 'a')))
    model.run()
    model.accept(image_list('L', version=2))
    model.run()
    assert model.records == []
    assert model.of(entry('a')).shared


def test_superseded_and_then_dropped():
    old = entry('a', 1)
    model = Model(image_list('L', old))
    model.run()
    model.accept(image_list('L', entry('a', 2), version=2))
    model.run()
    model.accept(image_list('L', version=3))
    model.run()
    # It was old already; what the list withdraws is what it had last.
    assert model.of(old).state == 'superseded'
    assert [(record.fact, record.version) for record in model.records] == [
        (Fact.SUPERSEDED, '2'), (Fact.REVOKED, '3')]
    assert model.records[1].value == entry('a', 2).sha512
    assert model.plan().chains == ()


def test_a_list_that_is_not_here_changes_nothing():
    model = Model(image_list('L', entry('a')))
    model.run()
    del model.lists[named('L')]
    assert model.plan().chains == ()
    # Nor what a list left that came first and is not here.
    model.accept(image_list('M', entry('x')))
    model.run()
    assert model.of(entry('a')).shared


def test_a_list_that_is_followed_no_longer():
    model = Model(image_list('L', entry('a')))
    model.run()
    del model.lists[named('L')], model.blocks[named('L')]
    assert actions(model.plan()) == ['judge', 'park']
    model.run()
    assert model.plan().chains == ()
    assert model.records == []


def test_only_the_lists_that_are_named():
    model = Model(image_list('L', entry('a')), image_list('M', entry('b')))
    model.known['only'] = {named('M')}
    model.run()
    assert [image.sha512 for image in model.images] == [entry('b').sha512]
    model.known['only'] = None
    model.run()
    model.accept(image_list('L', version=2), image_list('M', version=2))
    model.known['only'] = {named('M')}
    model.run()
    assert [record.image_list for record in model.records] == [named('M')]
    assert model.of(entry('a')).shared
    assert not model.of(entry('a')).parked


def test_what_users_brought_is_recorded_and_judged_only():
    model = Model(image_list('L', entry('a')))
    theirs = Present(
        'user', 'active', 'mine', NOW, 10, entry('a').sha512,
        list_id=named('L'), list_version='1', identifier=named('a'),
        state='endorsed')
    model.images = [theirs]
    # It is theirs: we bring our own.
    assert actions(model.plan()) == ['bring', 'share']
    model.accept(image_list('L', version=2))
    assert actions(model.plan()) == ['record', 'judge']


def test_limits_of_a_list_and_of_all():
    model = Model()
    model.accept(image_list('L', entry('a'), entry('b')), max_bytes=19)
    made = model.plan()
    assert actions(made) == ['bring', 'share']
    assert [refusal.code for refusal in made.refusals] == [Code.TOO_LARGE]
    model.run()
    model.accept(image_list('M', entry('c')))
    model.known['max_bytes'] = 19
    assert actions(model.plan()) == []
    model.known['max_bytes'] = 20
    assert actions(model.plan()) == ['bring', 'share']


def test_refused_bytes_are_not_fetched_again_and_again():
    model = Model(image_list('L', entry('a')))
    model.images = [refused()]
    made = model.plan()
    refusal, = made.refusals
    assert (refusal.code, refusal.message) == (
        Code.CHECKSUM_MISMATCH, 'Other bytes.')
    assert made.chains == ()
    for other in (refused(list_version='0'), refused(uri='https://x/'),
                  refused(state=''), refused(list_id=named('M'))):
        model.images = [other]
        assert actions(model.plan()) == ['bring', 'share']
    model.images = [refused()]
    model.known['fetched'] = {entry('a').sha512}
    assert actions(model.plan()) == ['bring', 'share']


def test_who_is_wrong_about_bytes_does_not_speak_for_others():
    old, new = entry('a', 1), entry('a', 2)
    wrong = entry('e', 2, uri='https://wrong/')
    model = Model(image_list('B'), image_list('L', old))
    shown(model, old)
    model.accept(image_list('B', wrong, version=2),
                 image_list('L', new, version=2))
    note = refused(sha512=new.sha512, list_id=named('B'), list_version='2',
                   uri=wrong.uri, subscription=named('B'))
    model.images.append(note)
    step, = [step for step in model.plan().steps if step.action == 'bring']
    assert step.wanted.entry == new
    # Which is wrong as well.
    both = note.tried | {step.wanted.mark}
    assert both == {each.mark for each in step.wanted.each}
    model.images[-1] = dataclasses.replace(note, tried=both)
    model.run()
    made = model.plan()
    assert [refusal.code for refusal in made.refusals] == [
        Code.CHECKSUM_MISMATCH]
    assert made.chains == ()
    # A new version of either may be right.
    model.accept(image_list('B', wrong, version=3))
    assert 'bring' in actions(model.plan())


def test_records_that_nobody_needs_are_removed():
    model = Model(image_list('L', entry('b')))
    model.run()
    model.images.append(refused())
    assert actions(model.plan()) == ['discard']
    model.images[-1] = refused(locked=True)
    assert actions(model.plan()) == []


def test_of_two_with_the_same_bytes_the_empty_one_goes():
    model = Model(image_list('L', entry('a')))
    model.run()
    model.images.append(refused(parked='2026', state=''))
    assert actions(model.plan()) == ['discard']


def test_records_of_users_are_left_to_them():
    model = Model(image_list('L', entry('b')))
    model.run()
    model.images.append(refused(subscription=''))
    assert actions(model.plan()) == []


def test_what_cannot_be_used_is_not_shown():
    model = Model(image_list('L', entry('a')))
    model.run(steps=1)
    image, = model.images
    model.judged = lambda image, listed: dataclasses.replace(
        image, outcome='deactivated', usable=False)
    assert actions(model.plan()) == ['judge']


def test_an_approval_that_was_taken_back():
    model = Model(image_list('L', entry('a')))
    model.run()
    model.accept(image_list('L', entry('a')), approved=False)
    assert actions(model.plan()) == ['park']
    model.run()
    assert model.plan().chains == ()
    assert not model.of(entry('a')).shared


def test_what_a_list_has_is_not_deleted_as_superseded():
    """It is not selected, which is no reason."""
    model = Model(image_list('L', entry('a')))
    model.run()
    model.accept(image_list('L', entry('a')), keep=0,
                 images=Selection(frozenset()))
    model.run()
    assert model.of(entry('a')).parked
    assert actions(model.plan()) == []


def test_a_list_that_is_brought_by_hand_now():
    model = Model(image_list('L', entry('a')))
    model.run()
    block = model.blocks[named('L')]
    model.blocks[named('L')] = dataclasses.replace(block, following=None)
    assert actions(model.plan()) == []
