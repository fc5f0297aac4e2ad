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

"""Events of the tests, and the settings of a site."""

import dataclasses
import datetime
from typing import Any

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.errors import Code
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm import opts
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason
from tests.testbed.site import file_entry
from tests.testbed.site import Site

AT = datetime.datetime(2026, 11, 21, 19, 0, 5, tzinfo=datetime.UTC)
GLANCE_ID = '452c18f3-0b61-46f2-9d9a-9c7c79edbb42'


def settings(site: Site, **options: str) -> cfg.ConfigOpts.GroupAttr:
    """Return the settings of a site with these options."""
    site.write_config(**options)
    return config.load()[opts.GROUP]


def image_list(**changes: Any) -> ImageList:
    """Return a list of one image."""
    return Site.image_list(file_entry('ab' * 64, 1000), **changes)


def reasons(*codes: Code) -> tuple[Reason, ...]:
    return tuple(Reason(code, f'This is {code}.') for code in codes)


def event(kind: Kind, *codes: Code, of: ImageList | None = None,
          entry: ImageEntry | None = None, **changes: Any) -> Event:
    """Return an event about a list, and about its image if it has to do."""
    if of is None and not kind.startswith('run'):
        of = image_list()
    if entry is None and of is not None and kind.startswith('image'):
        entry, = of.images
    return dataclasses.replace(
        Event(kind, AT, of, entry, reasons=reasons(*codes)), **changes)
