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

# Writes constraints.txt anew: the newest packages that fit together.

set -euo pipefail

# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

find_python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say 'resolving in a new environment'
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q -U pip setuptools wheel pbr
"$work/venv/bin/python" -m pip install -q --no-build-isolation \
    -r "$ROOT/requirements.txt" -r "$ROOT/test-requirements.txt" \
    -r "$ROOT/doc/requirements.txt"
{
    sed -n '/^#/p' "$ROOT/constraints.txt"
    "$work/venv/bin/python" -m pip freeze --all
} > "$work/constraints.txt"
mv "$work/constraints.txt" "$ROOT/constraints.txt"
say 'constraints.txt is written; run tools/test.sh before it is committed'
