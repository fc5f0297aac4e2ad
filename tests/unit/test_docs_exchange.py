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

"""The pages on notifications, metrics and migration say what the code does."""

from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.notify import email
from hepix_vm.exchange.notify import vmcatcher
from tests.unit.test_docs import rows


def test_who_is_told_of_what():
    documented = {cells[0].strip('`'): cells[2:] for cells in rows(
        'admin/notifications.rst') if len(cells) == 4}
    del documented['Event']
    types = {
        Kind.RUN_BEGINS: 'ProcessPrefix', Kind.RUN_ENDS: 'ProcessPostfix',
        Kind.IMAGE_LISTED: 'SubscriptionImageNew',
        **dict.fromkeys(vmcatcher._AVAILABLE_KINDS,
                        'AvailablePrefix, AvailablePostfix'),
        **dict.fromkeys(vmcatcher._EXPIRE_KINDS,
                        'ExpirePrefix, ExpirePostfix')}
    assert documented == {str(kind): [
        'operators, its owner'
        if kind in email._OWNER_TOLD & email._OPERATORS_TOLD
        else 'its owner' if kind in email._OWNER_TOLD
        else 'both' if kind in email._ENDORSER_TOLD
        else 'operators' if kind in email._OPERATORS_TOLD else 'nobody',
        types.get(kind, 'none')] for kind in Kind}
