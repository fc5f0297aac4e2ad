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


"""What is attached besides, where it may be booted in place of the root."""

import pytest

from hepix_vm.errors import Code
from hepix_vm.nova_ctx.volumes import Volume
from hepix_vm.trust.settings import Choice
from tests.unit.nova_ctx.booting import Cloud
from tests.unit.nova_ctx.booting import GOOD
from tests.unit.nova_ctx.booting import mapping
from tests.unit.nova_ctx.booting import number
from tests.unit.nova_ctx.booting import OTHER
from tests.unit.nova_ctx.booting import REVOKED
from tests.unit.nova_ctx.booting import SNAPSHOT
from tests.unit.nova_ctx.booting import VOLUME

DATA = (('volume', VOLUME), ('snapshot', SNAPSHOT))
ROOT, OF_ROOT = number(10), number(11)


@pytest.fixture
def cloud():
    cloud = Cloud()
    cloud.of_volumes[VOLUME] = Volume('p1', metadata={'image_id': REVOKED})
    cloud.of_volumes[OTHER] = Volume('p1')
    cloud.of_snapshots[SNAPSHOT] = Volume('p1', OTHER)
    return cloud


BAD = [Code.IMAGE_REVOKED, Code.VOLUME_REFUSED]


def test_data_stays_beside(cloud):
    assert cloud.answer(GOOD, beside=DATA).allowed
    assert cloud.asked == [GOOD]


@pytest.mark.parametrize('extra', [
    {'root_device_name': '/dev/vdb'}, {'root_device_name': 'vda'},
    {'size': 0, **mapping({'image_id': GOOD})},
    {'size': None, 'mappings': '[{"virtual": "root", "device": "vdb"}]'}])
def test_an_image_that_says_which_disk_is_which(cloud, extra):
    cloud.add(GOOD, **extra)
    assert sorted(cloud.codes(GOOD, beside=DATA)) == BAD
    # What leads to it does not matter.
    cloud.of_volumes[ROOT] = Volume('p1', metadata={'image_id': GOOD})
    assert sorted(cloud.codes(volumes=(ROOT,), beside=DATA)) == BAD
    assert cloud.answer(GOOD).allowed


def test_a_volume_that_gives_the_root_a_name(cloud):
    cloud.of_volumes[ROOT] = Volume('p1', metadata={
        'image_id': GOOD, 'root_device_name': '/dev/vdb'})
    cloud.of_snapshots[OF_ROOT] = Volume('p1', ROOT)
    for named in ({'volumes': (ROOT,)}, {'snapshots': (OF_ROOT,)}):
        assert sorted(cloud.codes(**named, beside=DATA)) == BAD
        assert cloud.answer(**named).allowed


@pytest.mark.parametrize('rule, codes', [
    (Choice.REFUSE, [Code.VOLUME_REFUSED] * 2), (Choice.INHERIT, BAD),
    (Choice.ALLOW, [Code.IMAGE_REVOKED])])
def test_what_may_be_booted_instead(cloud, rule, codes):
    cloud.volumes_are = rule
    assert sorted(cloud.codes(GOOD, instead=DATA)) == codes


def test_the_user_is_told_what_to_do(cloud):
    cloud.volumes_are = Choice.REFUSE
    said = cloud.answer(GOOD, instead=DATA).explain()
    assert (f'The volume {VOLUME}, which may be booted in place of the root '
            f'disk: ') in said
    assert ('Attach it when the server runs, or leave out disk_bus, '
            'device_type and device_name of all disks.') in said
    assert 'Attach it' not in cloud.answer(volumes=(VOLUME,)).explain()
