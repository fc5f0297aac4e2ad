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

"""Lists all images of a Glance and does nothing with them.

Run as ``python -m benchmarks.listing URL TOKEN``: what the audit is
compared with.
"""

import sys

import requests


def main(url: str, token: str) -> None:
    """Print how many images there are, hidden ones included."""
    number = 0
    with requests.Session() as session:
        session.trust_env = False
        session.headers['X-Auth-Token'] = token
        for hidden in ('false', 'true'):
            following = f'/v2/images?limit=1000&os_hidden={hidden}'
            while following:
                page = session.get(url + following, timeout=120).json()
                number += len(page['images'])
                following = page.get('next')
    print(number)


if __name__ == '__main__':
    main(*sys.argv[1:])
