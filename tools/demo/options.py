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

"""The command line of the demo; it needs nothing that must be installed."""

import argparse

from tests.testbed.config import SERVERS


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog='tools/demo.sh', description='Shows a real Glance that accepts '
        'endorsed images and refuses all others, on every route; a list of '
        'images that is published and followed; and a machine that learns '
        'about its site.')
    parser.add_argument('--server', choices=SERVERS, default='uwsgi',
                        help='what runs Glance (default: uwsgi)')
    parser.add_argument('--keep', action='store_true',
                        help='leave Glance up until Ctrl-C, and say how to '
                        'talk to it')
    return parser


if __name__ == '__main__':
    parser().parse_args()
