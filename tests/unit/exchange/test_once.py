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
"""What each run finds again, refusals and approvals, is told once."""

import dataclasses

import pytest

from hepix_vm.errors import Code
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import once
from hepix_vm.exchange.notify.told import NAME
from hepix_vm.exchange.notify.told import ToldFile
from hepix_vm.exchange.notify import words
from hepix_vm.exchange import tidings
from hepix_vm.exchange.wanted import Approval
from hepix_vm.exchange.wanted import Refusal
from hepix_vm.trust.verdict import Reason
from tests.unit.exchange.events import AT
from tests.unit.exchange.models import entry
from tests.unit.exchange.models import image_list

LIST = image_list('a', *map(entry, 'xy'))


def refusal(code, number=0, of=LIST, message='No.'):
    return Refusal.of(of, of.images[number], Reason(code, message))


@pytest.fixture
def tell(tmp_path):
    """Return what a run tells of what it found."""
    def tell(*refusals, approvals=()):
        told = []
        once.tell(str(tmp_path), tidings.found(refusals, approvals, AT),
                  told.append)
        return told
    return tell


def test_once_an_image_a_version_and_a_code(tell):
    one, other = refusal(Code.TOO_LARGE), refusal(Code.TOO_LARGE, 1)
    assert [event.entry for event in tell(one)] == [LIST.images[0]]
    assert [event.entry for event in tell(one, other)] == [LIST.images[1]]
    # Other numbers in the sentence are nothing new.
    assert tell(refusal(Code.TOO_LARGE, message='No, 7.'), other) == []
    event, = tell(one, refusal(Code.FORMAT_MISMATCH))
    assert event.kind is Kind.IMAGE_REFUSED
    reason, = event.reasons
    assert (reason.code, reason.message) == (Code.FORMAT_MISMATCH, 'No.')
    newer = dataclasses.replace(LIST, version='2')
    assert len(tell(refusal(Code.TOO_LARGE, of=newer))) == 1
    assert tell(refusal(Code.TOO_LARGE, of=newer)) == []


def test_what_has_no_code(tell):
    missing = Refusal(LIST, LIST.images[0], None, 'No project.', 'Make one.')
    event, = tell(missing)
    assert words.why(event) == ['No project. Make one.']
    assert tell(missing) == []
    assert len(tell(dataclasses.replace(missing, message='None.'))) == 1


def test_clashes_are_told_with_their_list(tell):
    assert tell(refusal(Code.UUID_CONFLICT)) == []


def test_what_waits(tell):
    waits = Approval(LIST, LIST.images[0])
    event, = tell(approvals=[waits])
    assert event.kind is Kind.IMAGE_WAITS
    assert words.why(event) == [
        'Approve it with hepix-vm-sync approve --image '
        f'{LIST.images[0].identifier} --reason TEXT.']
    assert tell(approvals=[waits]) == []


def test_it_is_told_apart_from_what_others_tell(tell, tmp_path):
    """The mail of an event is still to come when this knows of it."""
    one = refusal(Code.TOO_LARGE)
    event, = tell(one)
    with ToldFile(str(tmp_path), 'email').open() as told:
        assert told.add(once.told_as(event), 'x', AT, [])


def test_what_was_not_told_to_the_end_is_told_again(tmp_path):
    def killed(event):
        raise InterruptedError

    found = [*tidings.found([refusal(Code.TOO_LARGE)], [], AT)]
    with pytest.raises(InterruptedError):
        once.tell(str(tmp_path), found, killed)
    told = []
    once.tell(str(tmp_path), found, told.append)
    assert told == found


def test_what_cannot_be_remembered_is_told(tell, tmp_path, caplog):
    (tmp_path / NAME).mkdir()
    one = refusal(Code.TOO_LARGE)
    assert len(tell(one)) == len(tell(one)) == 1
    assert 'What was told cannot be remembered' in caplog.text
