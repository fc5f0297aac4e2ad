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

"""The journal of nova-compute, as it is written while a drive is made."""

from typing import Any

SERVICE = 'nova-compute'


def write(state_dir: str, event: str, **fields: Any) -> None:
    """Record what happened.

    A journal that cannot be written changes nothing, and says nothing:
    standard error is one line, which tells why there is no drive.

    :param state_dir: the folder that has ``journal/``
    :param fields: of the record, in values that JSON has
    """
    # Only what is rare is recorded; a drive is made without these.
    import datetime
    import logging

    from hepix_vm.journal import Journal
    from hepix_vm.trust.imagelist import format_time

    logging.getLogger('hepix_vm').addHandler(logging.NullHandler())
    Journal(state_dir, SERVICE).record({
        'time': format_time(datetime.datetime.now(datetime.UTC)),
        'event': event, **fields})
