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

import pytest

from hepix_vm.errors import Code
from hepix_vm.trust.standing import Change
from hepix_vm.trust.standing import change_for
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict


def verdict(*codes, mode=Mode.ENFORCING, **more):
    return Verdict(tuple(Reason(code, '') for code in codes), mode=mode,
                   **more)


NOT_ENDORSED = Code.NOT_ENDORSED


@pytest.mark.parametrize('found, state, change', [
    (verdict(), '', Change(True, 'endorsed')),
    (verdict(), 'expired', Change(True, 'endorsed')),
    (verdict(NOT_ENDORSED), '', Change(False, 'refused')),
    (verdict(NOT_ENDORSED), 'endorsed', Change(False, 'refused')),
    (verdict(Code.IMAGE_EXPIRED), 'endorsed', Change(False, 'expired')),
    (verdict(Code.LIST_EXPIRED), 'endorsed', Change(False, 'expired')),
    (verdict(Code.IMAGE_REVOKED), 'endorsed', Change(False, 'revoked')),
    (verdict(Code.SIGNER_REVOKED), 'endorsed', Change(False, 'revoked')),
    (verdict(NOT_ENDORSED, Code.IMAGE_SUPERSEDED), 'endorsed',
     Change(False, 'superseded')),
    (verdict(Code.IMAGE_SUPERSEDED, Code.IMAGE_REVOKED), 'superseded',
     Change(False, 'revoked')),
    (verdict(Code.IMAGE_BLOCKED), 'adopted', Change(False, 'blocked')),
    # The worst of several is shown; a block may be taken back.
    (verdict(Code.IMAGE_EXPIRED, Code.IMAGE_BLOCKED, Code.IMAGE_REVOKED),
     '', Change(False, 'revoked')),
    (verdict(Code.IMAGE_EXPIRED, Code.IMAGE_BLOCKED), '',
     Change(False, 'blocked')),
    (verdict(Code.IMAGE_EXPIRED, Code.IMAGE_REVOKED), '',
     Change(False, 'revoked')),
    (verdict(NOT_ENDORSED, exemption=Exemption.ADOPTED), '',
     Change(True, 'adopted')),
    (verdict(NOT_ENDORSED, exemption=Exemption.DERIVED), 'revoked',
     Change(True, 'derived')),
    (verdict(NOT_ENDORSED, exemption=Exemption.LEGACY), 'refused',
     Change(True, '')),
    # What is not looked at, or only watched, is left as it is.
    (verdict(NOT_ENDORSED, mode=Mode.DISABLED), '', Change()),
    (verdict(Code.IMAGE_BLOCKED, mode=Mode.PERMISSIVE), 'endorsed',
     Change()),
])
def test_what_becomes_of_an_image(found, state, change):
    assert change_for(found, state) == change


@pytest.mark.parametrize('code', [
    Code.CRL_MISSING, Code.CRL_EXPIRED, Code.SIGNER_EXPIRED,
    Code.INTERNAL_ERROR, Code.LIST_ROLLBACK])
def test_what_cannot_be_decided_now_changes_nothing_that_was(code):
    for state in ('endorsed', 'derived', 'adopted'):
        assert change_for(verdict(code), state) == Change()
    # But it lets in nothing that was not, and excuses nothing else.
    for state in ('', 'anything'):
        assert change_for(verdict(code), state) == Change(False, 'refused')
    for state in ('expired', 'revoked', 'superseded', 'blocked', 'refused'):
        assert change_for(verdict(code), state) == Change(False)
    assert change_for(verdict(code, Code.IMAGE_BLOCKED), 'endorsed') == (
        Change(False, 'blocked'))
