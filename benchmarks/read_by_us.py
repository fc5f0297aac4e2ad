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

"""Reads a signed image list as a site does that accepts it.

Run as ``python -m benchmarks.read_by_us LIST ANCHORS``.
"""

import datetime
import pathlib
import sys

from hepix_vm.trust import anchors
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import TrustSettings


def main(path: str, folder: str) -> None:
    """Verify and parse a list, and print how many images it has."""
    settings = TrustSettings()
    trusted = anchors.load({
        entry.name: entry.read_bytes()
        for entry in pathlib.Path(folder).iterdir()})
    signed = endorsement.open_list(pathlib.Path(path).read_bytes(), settings)
    now = datetime.datetime.now(datetime.UTC)
    if signed.reasons(trusted, now, settings):
        raise SystemExit('The list cannot be relied upon.')
    print(len(signed.image_list.images))


if __name__ == '__main__':
    main(*sys.argv[1:])
