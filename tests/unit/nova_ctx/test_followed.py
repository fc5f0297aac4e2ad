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


"""What is followed of all that a server would boot."""

from hepix_vm.errors import Code
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import followed
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.volumes import Volume
from hepix_vm.trust.settings import Choice
import pytest
from tests.unit.nova_ctx.booting import Cloud
from tests.unit.nova_ctx.booting import GONE
from tests.unit.nova_ctx.booting import GOOD
from tests.unit.nova_ctx.booting import mapping
from tests.unit.nova_ctx.booting import number
from tests.unit.nova_ctx.booting import OTHER
from tests.unit.nova_ctx.booting import REVOKED
from tests.unit.nova_ctx.booting import SNAPSHOT
from tests.unit.nova_ctx.booting import VOLUME


@pytest.fixture
def cloud():
    return Cloud()


@pytest.mark.parametrize('visibility, owner', [
    ('public', ''), ('community', ''), ('shared', 'p1'), ('private', 'p1')])
def test_whose_an_image_is(cloud, visibility, owner):
    cloud.add(REVOKED, visibility=visibility)
    refusal, = cloud.answer(REVOKED).refusals
    assert refusal.named.owner == owner
    # And what names disks.
    cloud.add(GOOD, visibility=visibility, block_device_mapping='[{}]')
    refusal, = cloud.answer(GOOD).refusals
    assert refusal.named.owner == owner


def test_each_is_asked_for_once(cloud):
    cloud.add(GOOD, kernel_id=OTHER, ramdisk_id=OTHER)
    cloud.add(OTHER, kernel_id=GOOD)
    assert cloud.answer(GOOD, GOOD, kept=(GOOD,)).allowed
    assert sorted(cloud.asked) == sorted([GOOD, OTHER])


def test_an_id_in_capitals_is_another_one(cloud):
    twins = f'abcdef{GOOD[6:]}', f'ABCDEF{GOOD[6:]}'
    for twin in twins:
        cloud.add(twin)
    cloud.add(GOOD, kernel_id=twins[0], ramdisk_id=twins[1])
    assert cloud.answer(GOOD, twins[1]).allowed
    assert sorted(cloud.asked) == sorted([GOOD, *twins])
    assert cloud.codes(twins[0].replace('ab', 'Ab')) == [Code.NOT_ENDORSED]


def test_what_is_not_there(cloud):
    for wanted in ({'images': (GONE,)}, {'volumes': (GONE,)},
                   {'snapshots': (GONE,)}):
        answer = cloud.judged(Wanted(**wanted))
        refusal, = answer.refusals
        assert refusal.missing
        assert not answer.allowed
    # Nobody has to hear of a slip of the pen.
    assert cloud.journal == []
    assert cloud.answer(former=(GONE,)).allowed
    refusal, = cloud.answer(kept=(GONE,)).refusals
    assert not refusal.missing
    assert [entry['image'] for entry in cloud.journal] == [GONE]


@pytest.mark.parametrize('name', [
    'x', '', f'{GOOD}?', f'../{GOOD}', f'http://127.0.0.1/v2/images/{GOOD}',
    GOOD.replace('-', ''), f'{GOOD}\n', f' {GOOD}', f'{{{GOOD}}}'])
def test_what_is_no_id(cloud, name):
    for wanted in ({'images': (name,)}, {'volumes': (name,)},
                   {'snapshots': (name,)}, {'kept': (name,)}):
        refusal, = cloud.judged(Wanted(**wanted)).refusals
        assert refusal.verdict.codes == (Code.NOT_ENDORSED,)
    assert cloud.asked == []


@pytest.mark.parametrize('kind', ['kernel', 'ramdisk'])
def test_kernels(cloud, kind):
    cloud.add(GOOD, **{f'{kind}_id': REVOKED})
    answer = cloud.answer(GOOD)
    assert f'The {kind} {REVOKED} of the image {GOOD}: It was' in (
        answer.explain())
    cloud.add(GOOD, **{f'{kind}_id': REVOKED, 'kernel_id': 'nokernel'})
    assert cloud.answer(GOOD).allowed
    cloud.add(GOOD, **{f'{kind}_id': GONE})
    assert not cloud.answer(GOOD).allowed
    cloud.add(GOOD, kernel_id='', ramdisk_id='')
    assert cloud.answer(GOOD).allowed


def test_kernels_of_kernels(cloud):
    cloud.add(OTHER, ramdisk_id=REVOKED)
    cloud.add(GOOD, kernel_id=OTHER)
    assert cloud.codes(GOOD) == [Code.IMAGE_REVOKED]


def test_an_endless_chain(cloud):
    for index in range(100, 200):
        cloud.add(number(index), kernel_id=number(index + 1))
    assert cloud.codes(number(100)) == [Code.TOO_LARGE]
    assert len(cloud.asked) == followed.MOST
    assert 'attach other disks' in cloud.answer(number(100)).explain()


@pytest.mark.parametrize('extra, allowed', [
    ({'block_device_mapping': '[]'}, True), ({'mappings': '[]'}, True),
    ({'block_device_mapping': ''}, True), ({'bdm_v2': 'true'}, True),
    ({'root_device_name': '/dev/vda'}, True),
    ({'block_device_mapping': '{}'}, False),
    ({'block_device_mapping': 'x'}, False),
    ({'block_device_mapping': '[' * 100000}, False),
    ({'mappings': '[{"virtual": "root", "device": "vdb"}]'}, False),
    ({'mappings': 'x'}, False),
    (mapping({'volume_id': VOLUME, 'boot_index': -1}), False)])
def test_disks_that_an_image_with_bytes_names(cloud, extra, allowed):
    for version in ({}, {'bdm_v2': 'true'}):
        cloud.add(GOOD, **{**version, **extra})
        assert cloud.answer(GOOD).allowed is allowed
        if not allowed:
            assert cloud.codes(GOOD) == [Code.VOLUME_REFUSED]


@pytest.mark.parametrize('size', [0, None])
def test_disks_that_an_image_without_bytes_names(cloud, size):
    def codes(*devices, **extra):
        cloud.add(GOOD, size=size, **mapping(*devices), **extra)
        return cloud.codes(GOOD)
    cloud.of_volumes[VOLUME] = Volume('p1', metadata={'image_id': REVOKED})
    cloud.of_snapshots[SNAPSHOT] = Volume('p1', VOLUME)
    bad = [Code.IMAGE_REVOKED]
    assert codes({'image_id': REVOKED}) == bad
    assert codes({'volume_id': VOLUME}) == bad
    assert codes({'snapshot_id': SNAPSHOT, 'boot_index': 0},
                 bdm_v2='true') == bad
    # With what a request adds, another one may boot than it says.
    data = {'snapshot_id': SNAPSHOT, 'boot_index': -1}
    assert codes(data) == bad
    assert codes(data, bdm_v2='true') == bad
    assert codes({'image_id': 5}) == [Code.VOLUME_REFUSED]
    cloud.add(GOOD, size=size, mappings='[{"virtual": "swap"}]')
    assert cloud.answer(GOOD).allowed


@pytest.mark.parametrize('rule, metadata, code', [
    ('refuse', {'image_id': GOOD}, Code.VOLUME_REFUSED),
    ('inherit', {'image_id': GOOD}, None),
    ('inherit', {'image_id': REVOKED}, Code.IMAGE_REVOKED),
    ('inherit', {'image_id': GONE}, Code.NOT_ENDORSED),
    ('inherit', {'image_id': 'x'}, Code.NOT_ENDORSED),
    ('inherit', {'image_id': ''}, Code.VOLUME_REFUSED),
    ('inherit', {}, Code.VOLUME_REFUSED),
    ('inherit', {'image_id': GOOD, 'ramdisk_id': REVOKED},
     Code.IMAGE_REVOKED),
    ('inherit', {'image_id': GOOD, 'mappings': '[]'}, Code.VOLUME_REFUSED),
    ('allow', {}, None), ('allow', {'image_id': GOOD}, None),
    ('allow', {'image_id': GONE}, None),
    ('allow', {'image_id': REVOKED}, Code.IMAGE_REVOKED),
    ('allow', {'kernel_id': REVOKED}, Code.IMAGE_REVOKED),
    ('allow', {'block_device_mapping': '[]'}, Code.VOLUME_REFUSED)])
def test_volumes(cloud, rule, metadata, code):
    cloud.volumes_are = Choice(rule)
    cloud.of_volumes[VOLUME] = Volume('p2', metadata=metadata)
    cloud.of_snapshots[SNAPSHOT] = Volume('p2', VOLUME)
    expected = [code] if code else []
    assert cloud.codes(volumes=(VOLUME,)) == expected
    assert cloud.codes(snapshots=(SNAPSHOT,)) == expected
    # Of what was made of it there is a copy, so that it is no slip.
    cloud.journal.clear()
    refusals = cloud.answer(volumes=(VOLUME,)).refusals
    assert not any(refusal.missing for refusal in refusals)
    if metadata.get('image_id') == GONE and code:
        assert [entry['image'] for entry in cloud.journal] == [GONE]
    if rule == 'refuse':
        # Cinder need not be there.
        assert cloud.asked == []


def test_whose_a_volume_is(cloud):
    cloud.of_volumes[VOLUME] = Volume('p2')
    refusal, = cloud.answer(volumes=(VOLUME,)).refusals
    assert refusal.named == Named('volume', VOLUME, 'p2')


def test_what_led_to_what_is_refused(cloud):
    """Who may not know of all of it is told nothing."""
    cloud.of_snapshots[SNAPSHOT] = Volume('p2', VOLUME)
    cloud.of_volumes[VOLUME] = Volume('p3', metadata={'image_id': GOOD})
    cloud.add(GOOD, owner='p4', kernel_id=OTHER)
    cloud.add(OTHER, owner='p5', visibility='public', ramdisk_id=REVOKED)
    refusal, = cloud.answer(snapshots=(SNAPSHOT,)).refusals
    assert refusal.chain == (
        Named('snapshot', SNAPSHOT, 'p2'), Named('volume', VOLUME, 'p3'),
        Named('image', GOOD, 'p4'), Named('image', OTHER, ''),
        Named('image', REVOKED, 'p1'))
    # By metadata of a volume, and the disks of an image.
    cloud.of_volumes[VOLUME] = Volume('p3', metadata={
        'kernel_id': REVOKED, 'image_id': GOOD})
    cloud.add(GOOD, size=0, owner='p4', **mapping({'volume_id': VOLUME}))
    refusal, = cloud.answer(GOOD).refusals
    assert refusal.led == (
        Named('image', GOOD, 'p4'), Named('volume', VOLUME, 'p3'))


@pytest.mark.parametrize('status', [
    'queued', 'saving', 'uploading', 'importing', 'killed', 'deleted',
    'pending_delete'])
def test_an_image_that_has_no_bytes_yet_is_not_there(cloud, status):
    cloud.add(GOOD, status=status)
    refusal, = cloud.answer(GOOD).refusals
    assert refusal.missing
    refusal, = cloud.answer(kept=(GOOD,)).refusals
    assert not refusal.missing
    assert cloud.answer(former=(GOOD,)).allowed


def test_an_image_that_was_taken_out_of_use(cloud):
    cloud.add(GOOD, status='deactivated')
    for wanted in ({'images': (GOOD,)}, {'kept': (GOOD,)},
                   {'former': (GOOD,)}):
        cloud.journal.clear()
        refusal, = cloud.judged(Wanted(**wanted)).refusals
        assert refusal.verdict.codes == (Code.IMAGE_BLOCKED,)
        assert refusal.named.owner == 'p1'
        assert [entry['image'] for entry in cloud.journal] == [GOOD]
    cloud.add(OTHER, kernel_id=GOOD)
    assert cloud.codes(OTHER) == [Code.IMAGE_BLOCKED]
    # By whom it was, if it is known.
    cloud.add(REVOKED, status='deactivated')
    assert cloud.codes(REVOKED) == [Code.IMAGE_REVOKED]
    # Also while the ledger is silent.
    cloud.unjudged, cloud.on_unknown = GOOD, 'allow'
    assert cloud.codes(GOOD) == [Code.IMAGE_BLOCKED]


def test_a_snapshot_of_a_volume_that_is_gone(cloud):
    cloud.of_snapshots[SNAPSHOT] = Volume('p1', GONE)
    refusal, = cloud.answer(snapshots=(SNAPSHOT,)).refusals
    assert not refusal.missing
