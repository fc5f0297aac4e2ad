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

"""What a table shows of what others wrote."""

from hepix_vm.osc import columns


def test_a_reason_is_one_line_that_hides_nothing():
    shown = columns.Reasons([
        {'code': 'image-blocked', 'message': 'a\x1b[2J\nFAKE b\u202e.',
         'remedy': 'Ask.'},
        {'code': 'list-expired', 'message': 'x' * 1000, 'remedy': 'Renew.'},
    ]).human_readable()
    assert shown == (
        '[image-blocked] a [2J FAKE b . Ask.\n'
        f'[list-expired] {"x" * 1000} Renew.')
