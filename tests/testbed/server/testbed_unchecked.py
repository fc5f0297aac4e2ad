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


"""The filter without its preflight, which a product cannot have.

With it a Glance starts whose policy and properties are open: so tests see
that the filter holds by itself.
"""

from collections.abc import Callable
from typing import Any

from hepix_vm.glance_hooks.upload_filter import UploadFilter


def filter_factory(
        global_conf: dict[str, str],
        **local_conf: str) -> Callable[[Any], Any]:
    """Return the filter, whatever Glance's configuration says."""
    return UploadFilter
