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

# Builds the documentation and the release notes, for tools/test.sh and tox;
# a warning is an error. Sphinx is taken from PATH, or from .venv.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -d .venv/bin ]]; then
    PATH=$PATH:$PWD/.venv/bin
fi

if ! command -v sphinx-build > /dev/null; then
    echo "error: no sphinx-build; tools/test.sh --docs installs it" >&2
    exit 1
fi

targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
    targets=(doc releasenotes)
fi
for target in "${targets[@]}"; do
    echo "-- $target"
    rm -rf "$target/build/html" "$target/build/doctrees"
    sphinx-build -q -W --keep-going -b html \
        -d "$target/build/doctrees" "$target/source" "$target/build/html"
done
