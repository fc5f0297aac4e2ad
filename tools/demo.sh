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

# Prepares the machine and shows the gate at work on a real Glance.

set -euo pipefail

# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
for argument in "$@"; do
    case $argument in
        # Nobody waits for an installation to read what it is for.
        -h | --help)
            command -v python3 > /dev/null \
                && exec python3 -m tools.demo.options --help
            ;;
    esac
done
setup_environment
setup_kernel
exec "$VENV/bin/python" -m tools.demo "$@"
