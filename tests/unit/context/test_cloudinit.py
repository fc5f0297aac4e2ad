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

import email

from hepix_vm.context import cloudinit


def test_a_message_of_both():
    message = email.message_from_string(cloudinit.message(
        {'prolog': b'#!/bin/sh\necho \xc3\xa9\n', 'epilog': b'#!/bin/sh\n'}))
    prolog, epilog = message.get_payload()
    assert prolog.get_content_type() == 'text/cloud-boothook'
    assert prolog.get_filename() == 'hepix-vm-prolog'
    assert prolog.get_payload(decode=True) == b'#!/bin/sh\necho \xc3\xa9\n'
    assert epilog.get_content_type() == 'text/x-shellscript'
    assert epilog.get_filename() == 'hepix-vm-epilog'
    assert epilog.get_payload(decode=True) == b'#!/bin/sh\n'
    assert message.defects == prolog.defects == epilog.defects == []


def test_what_is_empty_is_left_out():
    message = email.message_from_string(cloudinit.message(
        {'prolog': b'', 'epilog': b'#!/bin/sh\n'}))
    part, = message.get_payload()
    assert part.get_filename() == 'hepix-vm-epilog'
    assert cloudinit.message({'prolog': b'', 'epilog': b''}) == ''
