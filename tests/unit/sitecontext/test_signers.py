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

"""Signers of host certificates that do not answer."""

import time

import pytest

from hepix_vm.errors import ContextError
from hepix_vm.sitecontext import signers


def test_name_servers_that_say_nothing(monkeypatch):
    """The C library waits for them, and no signal ends that."""
    end = time.monotonic() + 5

    def silent(*unused, **unused_too):
        while time.monotonic() < end:
            time.sleep(0.1)
        raise OSError

    monkeypatch.setattr(signers.http.client.socket, 'getaddrinfo', silent)
    begin = time.monotonic()
    with pytest.raises(ContextError, match='took longer than 1 seconds'):
        signers.by_https('https://sign.example.org/', b'', 1, '', ())
    assert time.monotonic() - begin < 3
