#!/bin/bash
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

# Makes a small disk image that boots and has the guest's part in it:
# tools/image.sh FILE, in a second. It needs the packages of bindep.txt for
# guests, and no Python packages.

set -euo pipefail

if [[ $# -ne 1 || $1 == -* ]]; then
    printf 'usage: tools/image.sh FILE\n' >&2
    exit 2
fi
file=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec "${PYTHON:-python3}" -m tests.testbed.guest "$file"
