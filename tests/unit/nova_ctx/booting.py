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


"""A gate, a Glance and a Cinder that are dictionaries."""

from hepix_vm.boot import Booter
from hepix_vm.errors import Code
from hepix_vm.held import Held
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict
import json
from tests.testbed import pki
from types import SimpleNamespace


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
        self.patience = 100
        self.unjudged = None
        self.asked = []
        self.journal = []
        self.add(GOOD)
        self.add(REVOKED)
        self.boots = Boots(self, self, self)

    def add(self, identifier, size=10, visibility='private',
            status='active', owner='p1', **extra):
        self.images[identifier] = Held(
            identifier, status, owner, pki.utcnow(), size=size,
            visibility=visibility, extra=extra)

    # The gate.

    @property
    def settings(self):
        return SimpleNamespace(on_unknown=self.on_unknown,
                               boot_timeout=self.patience)

    def now(self):
        return pki.utcnow()

    def site(self):
        return SimpleNamespace(policy=SimpleNamespace(
            volumes=self.volumes_are))

    def judge_image(self, image):
        return (BAD,) if image.image_id == REVOKED else ()

    def judge(self, image, booter, ledger_now, **who):
        assert booter is USER
        ledger_now()
        if image.image_id == self.unjudged:
            raise Unknown('The ledger is not known.')
        assert who == WHO
        return Verdict(self.judge_image(image), mode=self.mode)

    def refuse(self, reason, booter, cause='', **who):
        assert booter is USER
        self.journal.append({'reason': reason, 'cause': cause, **who})
        return Verdict((reason,), mode=self.mode)

    def let_pass(self, reason, booter, **who):
        assert booter is USER
        self.journal.append({'passed': reason, **who})

    # Glance and Cinder.

    def image(self, identifier, deadline):
        return self._find(self.images, identifier, deadline)

    def ledger(self, deadline):
        self._in_time(deadline)

    def volume(self, identifier, deadline):
        return self._find(self.of_volumes, identifier, deadline)

    def snapshot(self, identifier, deadline):
        return self._find(self.of_snapshots, identifier, deadline)

    def _in_time(self, deadline):
        if not deadline.left:
            raise Unknown('It takes too long.')
        self.took()

    def took(self):
        """Let time pass, where that is wanted."""

    def _find(self, known, identifier, deadline):
        self._in_time(deadline)
        self.asked.append(identifier)
        found = known.get(identifier)
        if isinstance(found, Exception):
            raise found
        return found

    def answer(self, *images, **more):
        return self.judged(Wanted(images, **more))

    def judged(self, wanted):
        return self.boots.judge(wanted, USER, self.boots.deadline(), **WHO)

    def codes(self, *images, **more):
        return [code for refusal in self.answer(*images, **more).refusals
                for code in refusal.verdict.codes]


def mapping(*devices):
    return {'block_device_mapping': json.dumps(devices)}
