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


"""What is answered of all that a server would boot."""

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.nova_ctx import followed
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.volumes import Volume
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Mode
import pytest
from tests.unit.nova_ctx.booting import Cloud
from tests.unit.nova_ctx.booting import GONE
from tests.unit.nova_ctx.booting import GOOD
from tests.unit.nova_ctx.booting import number
from tests.unit.nova_ctx.booting import OTHER
from tests.unit.nova_ctx.booting import REVOKED
from tests.unit.nova_ctx.booting import SNAPSHOT
from tests.unit.nova_ctx.booting import USER
from tests.unit.nova_ctx.booting import VOLUME
from tests.unit.nova_ctx.booting import WHO
from types import SimpleNamespace


@pytest.fixture
def cloud():
    return Cloud()


def test_an_image(cloud):
    assert cloud.answer(GOOD).allowed
    assert cloud.journal == []
    answer = cloud.answer(REVOKED)
    assert not answer.allowed
    assert answer.explain() == (
        'Refused by the image trust policy of this cloud: [image-revoked] '
        'It was revoked. Use a newer version of the image.')
    refusal, = answer.refusals
    assert refusal.named == Named('image', REVOKED, 'p1')
    assert (refusal.missing, refusal.led) == (False, ())
    assert cloud.codes(GOOD, REVOKED) == [Code.IMAGE_REVOKED]


def test_one_reason_is_journalled_once(cloud):
    cloud.volumes_are = Choice.REFUSE
    many = tuple(number(index) for index in range(100, 100 + followed.MOST))
    answer = cloud.answer(volumes=many)
    assert [each.named.identifier for each in answer.refusals] == list(many)
    assert answer.explain().count('origin cannot be proved') == len(many)
    assert [entry['volume'] for entry in cloud.journal] == [many[0]]
    # And one of another reason.
    cloud.journal.clear()
    cloud.answer('x', 'y', volumes=many)
    assert [entry['reason'].code for entry in cloud.journal] == [
        Code.NOT_ENDORSED, Code.VOLUME_REFUSED, Code.TOO_LARGE]
    cloud.journal.clear()
    cloud.answer('x', kept=(GONE,))
    assert len(cloud.journal) == 2


def test_nothing_is_asked_for_after_what_is_not_there(cloud):
    assert cloud.answer(GOOD, GONE, REVOKED, OTHER).refusals[0].missing
    assert cloud.asked == [GOOD, GONE]


@pytest.mark.parametrize('mode', [Mode.PERMISSIVE, Mode.DISABLED])
def test_modes(cloud, mode):
    cloud.mode = mode
    cloud.images[OTHER] = Unknown('Glance does not say.')
    cloud.add(GOOD, kernel_id='http://x/', block_device_mapping='[{}]')
    for image in (REVOKED, GOOD, OTHER):
        assert cloud.answer(image).allowed
    assert cloud.boots.failed(KeyError('x'), USER, **WHO).allowed


def test_glance_does_not_answer(cloud):
    cloud.images[OTHER] = Unknown('Glance does not say.')
    answer = cloud.answer(OTHER, GOOD)
    assert not answer.allowed
    assert answer.refusals == ()
    assert '[unavailable] Glance does not say.' in answer.explain()
    assert [(each['reason'].code, each['image']) for each in cloud.journal
            ] == [(Code.UNAVAILABLE, OTHER)]
    # What is certain needs no other answer.
    for images in ((REVOKED, OTHER), (OTHER, REVOKED)):
        assert cloud.codes(*images) == [Code.IMAGE_REVOKED]
    cloud.images[GONE] = Unknown('Something else.')
    assert 'Glance does not' in cloud.answer(OTHER, GONE).explain()


@pytest.mark.parametrize('rule', ['refuse', 'allow'])
def test_what_takes_too_long_is_not_asked_for(cloud, rule):
    cloud.patience, cloud.on_unknown = -1, rule
    cloud.volumes_are = Choice.INHERIT
    assert cloud.answer(GOOD, volumes=(VOLUME,),
                        snapshots=(SNAPSHOT,)).allowed is (rule == 'allow')
    assert cloud.asked == []
    # Of this nobody has to be asked.
    assert cloud.codes(GOOD, 'x') == [Code.NOT_ENDORSED]
    cloud.volumes_are = Choice.REFUSE
    assert cloud.codes(GOOD, volumes=(VOLUME,)) == [Code.VOLUME_REFUSED]


def test_the_time_is_that_of_the_whole_request(cloud, monkeypatch):
    deadline = SimpleNamespace(left=3)
    monkeypatch.setattr(cloud.boots, 'deadline', lambda: deadline)
    monkeypatch.setattr(cloud, 'took', lambda: setattr(
        deadline, 'left', deadline.left - 1))
    cloud.of_volumes[VOLUME] = Volume('p1', metadata={'image_id': GOOD})
    # The volume, its image, and what the ledger says of it.
    assert cloud.answer(volumes=(VOLUME,)).allowed
    assert deadline.left == 0
    deadline.left = 2
    assert cloud.answer(volumes=(VOLUME,)).unknown
    assert cloud.asked == [VOLUME, GOOD] * 2
    cloud.of_snapshots[SNAPSHOT] = Volume('p1', VOLUME)
    deadline.left = 1
    assert cloud.answer(snapshots=(SNAPSHOT,)).unknown
    assert cloud.asked[4:] == [SNAPSHOT]


def test_what_an_image_brings_is_judged_though_it_is_not_itself(cloud):
    cloud.unjudged = GOOD
    cloud.add(GOOD, kernel_id=REVOKED)
    assert cloud.codes(GOOD) == [Code.IMAGE_REVOKED]
    cloud.add(GOOD)
    assert cloud.answer(GOOD).unknown
    assert cloud.journal[-1]['image'] == GOOD


def test_it_may_pass_when_glance_does_not_answer(cloud):
    cloud.on_unknown = 'allow'
    cloud.images[OTHER] = Unknown('Glance does not say.')
    assert cloud.answer(OTHER).allowed
    entry, = cloud.journal
    assert entry['passed'].code == Code.UNAVAILABLE
    assert (entry['request'], entry['image']) == ('req-1', OTHER)
    # What is certain is refused all the same.
    for images in ((REVOKED, OTHER), (OTHER, REVOKED)):
        assert cloud.codes(*images) == [Code.IMAGE_REVOKED]


@pytest.mark.parametrize('error', [ConfigError('No.'), KeyError('x'),
                                   RecursionError()])
def test_something_goes_wrong_with_us(cloud, error, caplog):
    cloud.images[OTHER] = error
    cloud.on_unknown = 'allow'
    answer = cloud.answer(OTHER)
    assert [each.verdict.codes for each in answer.refusals] == [
        (Code.INTERNAL_ERROR,)]
    cause = f'{type(error).__name__}: {error}'
    assert [entry['cause'] for entry in cloud.journal] == [cause]
    assert cause not in answer.explain()
    assert 'It cannot be judged what would boot' in caplog.text
