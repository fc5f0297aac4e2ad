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

"""How far a file was read, for who looks at a terminal."""

import io
import sys

import pytest

from hepix_vm.osc import endorsing


class Stream(io.StringIO):
    """Where progress is shown, or not."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize('terminal', [True, False])
def test_progress(monkeypatch, terminal):
    shown = Stream(terminal)
    monkeypatch.setattr(sys, 'stderr', shown)
    with endorsing.progress('Hashing', 1000) as advance:
        for _ in range(10):
            advance(100)
    assert ('Hashing:   0%' in shown.getvalue()) is terminal
    assert 'image' not in shown.getvalue()
    assert bool(shown.getvalue()) is terminal
