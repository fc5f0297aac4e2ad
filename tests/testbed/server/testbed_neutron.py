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

"""A fake Neutron inside the testbed's nova-api: it has nothing at all.

Nova asks Neutron for the security groups of every server that it shows.
"""

from collections.abc import Callable
from collections.abc import Iterable
import json
from typing import Any


def app_factory(global_conf: dict[str, str],
                **local_conf: str) -> Callable[..., Iterable[bytes]]:
    """Return the application, as PasteDeploy asks for it."""
    return _nothing


def _nothing(environ: dict[str, Any],
             start_response: Callable[..., Any]) -> Iterable[bytes]:
    name = environ['PATH_INFO'].rpartition('/')[2].replace('-', '_')
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({name.removesuffix('.json'): []}).encode()]
