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
"""Images that wait until an operator approves them."""

from hepix_vm.errors import Code
from hepix_vm.exchange.deeds import Deed
from hepix_vm.exchange.deeds import Done
from hepix_vm.exchange.run import still_open
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.verdict import Reason
from tests.unit.exchange.models import digest
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list
from tests.unit.exchange.models import Model
from tests.unit.exchange.models import named


def test_what_waits_for_approval():
    model = Model()
    listed = image_list('a', entry('x'))
    model.accept(listed, approved=False)
    for _ in range(2):  # it comes in, then it is there
        approval, = model.plan().approvals
        assert (approval.image_list, approval.entry) == (
            listed, listed.images[0])
        model.run()
    model.approved.add((Blockable.IMAGE, named('x')))
    assert model.plan().approvals == ()
    # Another list has the same bytes, and they are not for its projects.
    other = image_list('b', entry('y', 'x'))
    model.accept(other, approved=False)
    model.approved.clear()
    model.accept(listed, prefix='')
    approval, = model.plan().approvals
    assert approval.image_list is other


def test_what_is_refused_is_nothing_to_approve():
    model = Model()
    listed = image_list('a', entry('x'))
    model.accept(listed, approved=False)
    model.refused[digest('x')] = [Reason(Code.IMAGE_BLOCKED, 'No.')]
    assert (model.plan().chains, model.plan().approvals) == ((), ())


def test_what_did_not_come_is_nothing_to_approve():
    model = Model()
    model.accept(image_list('a', entry('x')), approved=False)
    made = model.plan()
    assert still_open(made, Done()) == []
    assert still_open(made, Done([Deed(made.steps[0], '1')])) == [
        *made.approvals]
    # It is there already.
    model.run()
    assert len(still_open(model.plan(), Done())) == 1
