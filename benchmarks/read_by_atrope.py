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

"""Reads a signed image list as atrope does.

Run by atrope's own Python as ``python -m benchmarks.read_by_atrope LIST
ANCHORS``.
"""

import json
import pathlib
import sys

from atrope.image_list import hepix
from atrope import smime


def main(path: str, anchors: str) -> None:
    """Verify and parse a list, and print how many images it has."""
    smime.CONF([], project='atrope')
    smime.CONF.set_override('ca_path', anchors)
    _, content = smime.SMIMEVerifier().verify(
        pathlib.Path(path).read_bytes())
    print(len(hepix.HepixImageList(json.loads(content)).get_images()))


if __name__ == '__main__':
    main(*sys.argv[1:])
