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

"""How the tests of the gate ask it."""

import dataclasses
import datetime
import hashlib
import json

from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.policy import Subject
from tests.testbed import pki
from tests.testbed.site import BOB
from tests.testbed.site import CA

DATA = b'the endorsed bytes ' * 100
DIGEST = hashlib.sha512(DATA).hexdigest()
IMAGE = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
BOB_ENDORSES = Endorser(BOB, CA)
LIST = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
HOUR = datetime.timedelta(hours=1)


def judge(site, endorsement='', data=DATA, gate=None, **known):
    """Return the verdict on bytes: the early one, else the final one."""
    subject = Subject(at=pki.utcnow(), image_id=IMAGE,
                      projects=frozenset({'atlas'}), disk_format='raw',
                      container_format='bare', endorsement=endorsement)
    case = Case(gate or Gate('glance-api'),
                dataclasses.replace(subject, **known), route='upload')
    return case.early() or case.judge(
        hashlib.sha512(data).hexdigest(), len(data))


def codes(verdict):
    return set(verdict.codes)


def journal(site):
    return [json.loads(line) for line in
            site.journal.read_text().splitlines()]


def inline(site, image_list):
    return site.encode(site.sign(image_list, site.alice))
