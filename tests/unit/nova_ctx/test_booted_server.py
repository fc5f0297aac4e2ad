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


"""What a server boots that Nova has on record."""

from hepix_vm.nova_ctx.bootable import Asked
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.booted_server import Root
from hepix_vm.nova_ctx.booted_server import Server
from tests.unit.nova_ctx.booting import GONE
from tests.unit.nova_ctx.booting import GOOD
from tests.unit.nova_ctx.booting import OTHER
from tests.unit.nova_ctx.booting import REVOKED
from tests.unit.nova_ctx.booting import SNAPSHOT
from tests.unit.nova_ctx.booting import VOLUME


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


def test_what_may_be_booted_instead():
    more = Wanted(instead=(('volume', VOLUME),))
    known = server(image_id=GOOD, instead=more.instead)
    assert booted_server.wanted(Asked('unshelve'), known) == more + Wanted(
        former=(GOOD,))
    assert booted_server.wanted(
        Asked('rebuild', wanted=Wanted((GOOD,))), known) == more
    assert booted_server.running(known) == more + Wanted(kept=(GOOD,))
    # Nova puts the rescue disk before all others.
    assert booted_server.wanted(Asked('rescue'), known) == Wanted(
        kept=(GOOD,))


def test_other_actions():
    assert booted_server.wanted(
        Asked('rebuild', wanted=Wanted((GOOD,))),
        server(image_id=REVOKED)) == Wanted()
