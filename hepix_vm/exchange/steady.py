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

"""The gate of a command, which judges many images in one run."""

import datetime
from typing import Any

from hepix_vm.gate import Gate
from hepix_vm.gate import Search
from hepix_vm.gate import utcnow
from hepix_vm.site import Site

SERVICE = 'hepix-vm-sync'


class SteadyGate(Gate):
    """Judges by what the site's files said when the run began.

    A file that is being edited would else be an error in the midst of
    thousands of images, and each of them be refused for it.

    :param site: what the files said
    :param search: returns the ledger's records of some names
    :param journalled: whether anything is written to the journal
    :param moment: the one time at which all is judged, UTC; None takes the
        time of each verdict
    """

    def __init__(self, site: Site, search: Search,
                 journalled: bool = True,
                 moment: datetime.datetime | None = None) -> None:
        super().__init__(SERVICE, search=search,
                         now=(lambda: moment) if moment else utcnow)
        self._site = site
        self._journalled = journalled

    def site(self) -> Site:
        """Return what the site decided when the run began."""
        return self._site

    def record(self, record: dict[str, Any]) -> None:
        """Journal what was decided, unless this gate only looks."""
        if self._journalled:
            super().record(record)
