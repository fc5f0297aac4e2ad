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

"""Points in time as people write them."""

import datetime

import pytest

from hepix_vm.errors import ConfigError
from hepix_vm import moments

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(('text', 'wanted'), [
    ('2027-03-31', '2027-03-31T00:00:00+00:00'),
    ('2027-03-31T12:00:00Z', '2027-03-31T12:00:00+00:00'),
    ('+90d', '2027-02-20T12:00:00+00:00'),
    ('90d', '2027-02-20T12:00:00+00:00'),
    ('-2w', '2026-11-08T12:00:00+00:00'),
    ('+12h', '2026-11-23T00:00:00+00:00'),
])
def test_forms(text: str, wanted: str) -> None:
    assert moments.parse(text, NOW).isoformat() == wanted


def test_a_last_day_counts_to_its_end() -> None:
    assert moments.parse('2027-03-31', NOW, last=True) == (
        datetime.datetime(2027, 4, 1, tzinfo=datetime.UTC))
    assert moments.parse('+1d', NOW, last=True) == (
        NOW + datetime.timedelta(days=1))


@pytest.mark.parametrize('text', [
    '', 'tomorrow', '90', '+90', '1y', '2027-02-30', '2027-03-31T12:00:00',
    '+999999w', '--1d', '2027-03-31T12:00:00+01:00', '9999-12-31x'])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        moments.parse(text, NOW)
    assert repr(text) in caught.value.message
    assert '+90d' in caught.value.remedy


def test_the_end_of_all_days_is_none() -> None:
    with pytest.raises(ConfigError):
        moments.parse('9999-12-31', NOW, last=True)
