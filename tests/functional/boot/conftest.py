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

"""A cloud with the gate before servers, for each module."""

import pytest

from tests.functional.boot import booting


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    yield from booting.run(tmp_path_factory.mktemp('world'))


@pytest.fixture(scope='module')
def good(world):
    return world.endorsed()


@pytest.fixture(scope='module')
def bad(world):
    return world.stranger()


@pytest.fixture(autouse=True)
def clean_policy(world):
    yield
    world.site.write_policy()
