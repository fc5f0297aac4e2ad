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

"""Points in time as people write them: a day, a time, or from now on."""

import datetime
import re

from hepix_vm.errors import ConfigError

_TIME = '%Y-%m-%dT%H:%M:%SZ'
_DAY = '%Y-%m-%d'
_DURATION = re.compile(r'([+-]?)([0-9]{1,6})([hdw])')
_UNITS = {'h': 'hours', 'd': 'days', 'w': 'weeks'}
FORMS = ('a day (2027-03-31), a time (2027-03-31T12:00:00Z), or hours, days '
         'or weeks from now (+12h, +90d, +4w)')


def parse(text: str, now: datetime.datetime,
          last: bool = False) -> datetime.datetime:
    """Return a time that somebody wrote.

    :param now: UTC
    :param last: whether a day that is named still counts, so that its end
        is meant and not its first second
    :raises ConfigError: it is none
    """
    found = _DURATION.fullmatch(text)
    try:
        if found:
            sign, number, unit = found.groups()
            return now + datetime.timedelta(**{
                _UNITS[unit]: int(f'{sign}{number}')})
        for form in (_TIME, _DAY):
            try:
                at = datetime.datetime.strptime(text, form).replace(
                    tzinfo=datetime.UTC)
            except ValueError:
                continue
            return at + datetime.timedelta(days=last and form == _DAY)
    except OverflowError as error:
        raise _none(text) from error
    raise _none(text)


def _none(text: str) -> ConfigError:
    return ConfigError(f'{text!r} is no point in time.',
                       remedy=f'Write {FORMS}.')
