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

"""Two authorities, and an endorser whom the first certified."""

import pytest

from tests.testbed import pki
from tests.unit.trust.chains import CA
from tests.unit.trust.chains import GRID
from tests.unit.trust.chains import NOW
from tests.unit.trust.chains import OTHER_CA


@pytest.fixture(scope='session')
def ca():
    return pki.Authority.create(CA, now=NOW)


@pytest.fixture(scope='session')
def other():
    return pki.Authority.create(OTHER_CA, now=NOW)


@pytest.fixture(scope='session')
def alice(ca):
    return ca.issue(f'{GRID}/CN=Alice', now=NOW)
