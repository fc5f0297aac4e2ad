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


"""What is followed of all that a server would boot, and what is answered."""

import json
from types import SimpleNamespace

import pytest

from hepix_vm.boot import Booter
from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.held import Held
from hepix_vm.nova_ctx import boot
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.bootable import Asked
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.booted_server import Root
from hepix_vm.nova_ctx.booted_server import Server
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.volumes import Volume
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
from tests.testbed import pki

BAD = Reason(Code.IMAGE_REVOKED, 'It was revoked.')
USER = Booter('u1', 'p1')
WHO = {'action': 'create', 'request': 'req-1'}


def number(index):
    return f'{index:08d}-0000-4000-8000-000000000000'


GOOD, REVOKED, OTHER, VOLUME, SNAPSHOT, GONE = map(number, range(6))


class Cloud:
    """A gate, a Glance and a Cinder that are dictionaries."""

    def __init__(self):
        self.images = {}
        self.of_volumes = {}
        self.of_snapshots = {}
        self.volumes_are = Choice.INHERIT
        self.mode = Mode.ENFORCING
        self.on_unknown = 'refuse'
        self.asked = []
        self.journal = []
        self.add(GOOD)
        self.add(REVOKED)
        self.boots = Boots(self, self, self)

    def add(self, identifier, size=10, visibility='private', **extra):
        self.images[identifier] = Held(
            identifier, 'active', 'p1', pki.utcnow(), size=size,
            visibility=visibility, extra=extra)

    # The gate.

    @property
    def settings(self):
        return SimpleNamespace(on_unknown=self.on_unknown)

    def now(self):
        return pki.utcnow()

    def site(self):
        return SimpleNamespace(policy=SimpleNamespace(
            volumes=self.volumes_are))

    def judge_image(self, image):
        return (BAD,) if image.image_id == REVOKED else ()

    def judge(self, image, booter, **who):
        assert booter is USER
        assert who == WHO
        return Verdict(self.judge_image(image), mode=self.mode)

    def refuse(self, reason, booter, **who):
        assert booter is USER
        self.journal.append({'reason': reason, **who})
        return Verdict((reason,), mode=self.mode)

    def record(self, record):
        self.journal.append(record)

    # Glance and Cinder.

    def image(self, identifier):
        return self._find(self.images, identifier)

    def volume(self, identifier):
        return self._find(self.of_volumes, identifier)

    def snapshot(self, identifier):
        return self._find(self.of_snapshots, identifier)

    def _find(self, known, identifier):
        self.asked.append(identifier)
        found = known.get(identifier)
        if isinstance(found, Exception):
            raise found
        return found

    def answer(self, *images, **more):
        return self.boots.judge(Wanted(images, **more), USER, **WHO)

    def codes(self, *images, **more):
        return [code for refusal in self.answer(*images, **more).refusals
                for code in refusal.verdict.codes]


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
    assert (refusal.kind, refusal.identifier, refusal.owner,
            refusal.missing) == ('image', REVOKED, 'p1', False)
    assert cloud.codes(GOOD, REVOKED) == [Code.IMAGE_REVOKED]


@pytest.mark.parametrize('visibility, owner', [
    ('public', ''), ('community', ''), ('shared', 'p1'), ('private', 'p1')])
def test_whose_an_image_is(cloud, visibility, owner):
    cloud.add(REVOKED, visibility=visibility)
    refusal, = cloud.answer(REVOKED).refusals
    assert refusal.owner == owner
    # And what names disks.
    cloud.add(GOOD, visibility=visibility, block_device_mapping='[{}]')
    refusal, = cloud.answer(GOOD).refusals
    assert refusal.owner == owner


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
        answer = cloud.boots.judge(Wanted(**wanted), USER, **WHO)
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
        refusal, = cloud.boots.judge(Wanted(**wanted), USER, **WHO).refusals
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
    assert len(cloud.asked) == boot._MOST


def mapping(*devices):
    return {'block_device_mapping': json.dumps(devices)}


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
    # Only the new form says which one is not booted.
    data = {'snapshot_id': SNAPSHOT, 'boot_index': -1}
    assert codes(data) == bad
    assert codes(data, bdm_v2='true') == []
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
    # Of what was made of it there is a copy.
    assert not any(refusal.missing for refusal in cloud.answer(
        volumes=(VOLUME,)).refusals)
    if rule == 'refuse':
        # Cinder need not be there.
        assert cloud.asked == []


def test_whose_a_volume_is(cloud):
    cloud.of_volumes[VOLUME] = Volume('p2')
    refusal, = cloud.answer(volumes=(VOLUME,)).refusals
    assert (refusal.kind, refusal.owner) == ('volume', 'p2')


def test_a_snapshot_of_a_volume_that_is_gone(cloud):
    cloud.of_snapshots[SNAPSHOT] = Volume('p1', GONE)
    refusal, = cloud.answer(snapshots=(SNAPSHOT,)).refusals
    assert not refusal.missing


@pytest.mark.parametrize('mode', [Mode.PERMISSIVE, Mode.DISABLED])
def test_modes(cloud, mode):
    cloud.mode = mode
    cloud.images[OTHER] = Unknown('Glance does not say.')
    cloud.add(GOOD, kernel_id='http://x/', block_device_mapping='[{}]')
    for image in (REVOKED, GOOD, OTHER):
        assert cloud.answer(image).allowed
    assert cloud.boots.failed(USER, **WHO).allowed


def test_glance_does_not_answer(cloud):
    cloud.images[OTHER] = Unknown('Glance does not say.')
    answer = cloud.answer(OTHER, GOOD)
    assert not answer.allowed
    assert answer.refusals == ()
    assert '[unavailable] Glance does not say.' in answer.explain()
    assert [(each['reason'].code, each['image']) for each in cloud.journal
            ] == [(Code.UNAVAILABLE, OTHER)]
    # It is not asked for the others: each would be waited for.
    assert cloud.asked == [OTHER]
    # What is certain needs no other answer.
    assert cloud.codes(REVOKED, OTHER) == [Code.IMAGE_REVOKED]


def test_it_may_pass_when_glance_does_not_answer(cloud):
    cloud.on_unknown = 'allow'
    cloud.images[OTHER] = Unknown('Glance does not say.')
    assert cloud.answer(OTHER).allowed
    entry, = cloud.journal
    assert entry['allowed'] is True
    assert entry['endorsed'] is False
    assert (entry['event'], entry['moment'], entry['project'],
            entry['request'], entry['image']) == (
                'verdict', 'run', 'p1', 'req-1', OTHER)
    assert [each['code'] for each in entry['reasons']] == ['unavailable']
    # What is certain is refused all the same.
    assert cloud.codes(REVOKED, OTHER) == [Code.IMAGE_REVOKED]


@pytest.mark.parametrize('error', [ConfigError('No.'), KeyError('x'),
                                   RecursionError()])
def test_something_goes_wrong_with_us(cloud, error, caplog):
    cloud.images[OTHER] = error
    cloud.on_unknown = 'allow'
    assert cloud.codes(OTHER) == [Code.INTERNAL_ERROR]
    assert 'It cannot be judged what would boot' in caplog.text


def server(**more):
    return Server('p1', **more)


def test_rescue():
    known = server(image_id=GOOD, base_image_id=OTHER, kernel_id=REVOKED,
                   ramdisk_id=GONE)
    assert booted_server.wanted(Asked('rescue'), known) == Wanted(
        kept=(OTHER, REVOKED, GONE))
    assert booted_server.wanted(
        Asked('rescue', wanted=Wanted((GOOD,))), known) == Wanted(
            kept=(REVOKED, GONE))
    assert booted_server.wanted(
        Asked('rescue'), server(image_id=GOOD)) == Wanted(kept=(GOOD,))


def test_unshelve():
    def wanted(**more):
        return booted_server.wanted(Asked('unshelve'), server(**more))
    assert wanted(image_id=GOOD, shelved_image_id=OTHER,
                  kernel_id=REVOKED) == Wanted(
                      (OTHER,), (REVOKED,), (GOOD,))
    assert wanted(root=Root(VOLUME, '', GOOD)) == Wanted((GOOD,))
    # It was built anew of another image.
    assert wanted(root=Root(VOLUME, '', GOOD), base_image_id=OTHER) == (
        Wanted((GOOD,), former=(OTHER,)))
    assert wanted(root=Root(VOLUME, SNAPSHOT)) == Wanted(volumes=(VOLUME,))
    assert wanted(root=Root('', SNAPSHOT)) == Wanted(snapshots=(SNAPSHOT,))
    assert wanted(root=Root()) == Wanted()


def test_other_actions():
    assert booted_server.wanted(
        Asked('rebuild', wanted=Wanted((GOOD,))),
        server(image_id=REVOKED)) == Wanted()
