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

"""Takes in all lists of a site; run as ``python -m benchmarks.intake``."""

import collections

from hepix_vm import config
from hepix_vm.exchange.intake import Intake
from hepix_vm import opts
from hepix_vm.site import SiteFiles


def main() -> None:
    """Print what became of how many lists."""
    settings = config.load()[opts.GROUP]
    reports = Intake(settings, SiteFiles(settings)).run()
    for outcome, number in collections.Counter(
            report.outcome for report in reports).items():
        print(outcome, number)


if __name__ == '__main__':
    main()
