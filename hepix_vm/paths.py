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

"""Where the settings are; what a drive is made with imports no more."""

import os

ENVIRONMENT = 'HEPIX_VM_CONFIG'
DEFAULT_FILE = '/etc/hepix-vm/hepix-vm.conf'


def own_file() -> str:
    """Return our own file of settings, which need not exist."""
    return os.environ.get(ENVIRONMENT) or DEFAULT_FILE
