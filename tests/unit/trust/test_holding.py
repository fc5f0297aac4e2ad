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

from hepix_vm.trust.holding import Holder
from hepix_vm.trust.holding import Holders
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.ledger import Record
from hepix_vm.trust.settings import Blockable

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
EARLIER = NOW - datetime.timedelta(days=30)
BOTH = [('image', 'thief'), ('image', 'victim')]


def held(uuid, at=NOW, **more):
    return Record(Fact.HELD, Blockable.IMAGE, 'image', 'first', 'sync', at,
                  image_list=uuid, **more)


def holders(claims=BOTH, absent=(), **known):
    return Holders(claims, absent, {
        'image': Holder(uuid, since) for uuid, since in known.items()})


def holder(found, *records):
    """Return which list has no conflict."""
    free = [uuid for uuid in ('thief', 'victim')
            if not found.conflict('image', uuid, Ledger(records))]
    assert len(free) == 1
    return free[0]


@pytest.mark.parametrize(('known', 'records', 'who'), [
    ({}, [], 'thief'),
    ({'victim': EARLIER}, [], 'victim'),
    # The ledger decides, whatever is known here.
    ({'thief': EARLIER}, [held('victim')], 'victim'),
    ({}, [held('thief'), held('victim', EARLIER)], 'victim'),
    ({}, [held('thief', EARLIER), held('victim')], 'thief'),
    # Who has it no more, or is not subscribed, holds nothing.
    ({'victim': NOW}, [held('other', EARLIER)], 'victim'),
    ({'other': EARLIER}, [], 'thief'),
    ({'victim': NOW}, [held('thief', lifted='it was wrong')], 'victim'),
])
def test_who_holds_an_image(known, records, who):
    assert holder(holders(**known), *records) == who


def test_a_list_that_is_not_here_holds_what_the_ledger_says():
    found = holders(BOTH[:1], ['victim'])
    assert holder(found) == 'thief'
    assert holder(found, held('victim')) == 'victim'
    found.learn('image', Ledger([held('victim')]))
    assert holder(found) == 'victim'
    found.learn('image', Ledger())
    assert holder(found) == 'victim'


@pytest.mark.parametrize(('found', 'records', 'told'), [
    # Without a clash nothing is written.
    (holders(BOTH[:1]), [], ''),
    (holders(BOTH[:1], thief=EARLIER), [held('thief')], ''),
    (holders(), [], 'thief'),
    (holders(victim=EARLIER), [], 'victim'),
    # What was held by a list that is not here.
    (holders(BOTH[:1], ['victim'], victim=EARLIER), [], 'victim'),
    # Who was there earlier knows better, though he sees no clash himself.
    (holders(victim=EARLIER), [held('thief')], 'victim'),
    (holders(BOTH[1:], ['thief'], victim=EARLIER), [held('thief')],
     'victim'),
    (holders(victim=NOW), [held('thief', EARLIER)], ''),
    (holders(victim=NOW), [held('thief')], ''),
    (holders(), [held('victim')], ''),
    (holders(victim=EARLIER), [held('victim')], ''),
    # What was taken back is not said again; what came after that is.
    (holders(victim=EARLIER), [held('victim', EARLIER, lifted='no')], ''),
    (holders(victim=NOW), [held('victim', EARLIER, lifted='no')], 'victim'),
    (holders(victim=EARLIER), [held('thief', EARLIER, lifted='no')],
     'victim'),
    (holders(), [held('thief', EARLIER, lifted='no')], ''),
    # A block that was is another matter.
    (holders(victim=EARLIER), [dataclasses.replace(
        held('victim', EARLIER, lifted='no'), fact=Fact.BLOCKED)], 'victim'),
])
def test_what_the_ledger_has_to_know(found, records, told):
    untold = found.untold('image', records)
    assert (untold.image_list if untold else '') == told
    if untold:
        # Once it is told, nobody tells it again.
        record = held(told, untold.since or NOW)
        assert found.untold('image', [*records, record]) is None
        assert holder(found, *records, record) == told


def test_who_has_an_image_no_more():
    found = holders(BOTH[:1])
    record = held('victim')
    assert found.outdated('image', [record], {'victim'}) == [record]
    # Another controller may have it, in a newer version.
    assert found.outdated('image', [record], ()) == []
    assert holders().outdated('image', [record], {'victim'}) == []
    assert found.outdated('image', [dataclasses.replace(
        record, lifted='no')], {'victim'}) == []
