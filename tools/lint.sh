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

# The lint step, for tools/test.sh, tox and pre-commit: all checks, or those
# that are named. Their tools are taken from PATH, or from .venv.

set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
if [[ -d .venv/bin ]]; then
    PATH=$PATH:$PWD/.venv/bin
fi

shell_scripts() {
    {
        find .ci devstack etc guest tests tools -type f \
            \( -name '*.sh' -o -path .ci/run -o -path 'devstack/settings' \
            -o -path 'devstack/lib/*' \) \
            -print 2> /dev/null
        # What is installed under a name without .sh says so at its start.
        grep -rlE '^#! ?/bin/(ba|busybox )?sh$' guest tests/testbed/guests
    } | sort -u
}

# DevStack sources these: they have its variables, and set some for it.
of_devstack='^devstack/(lib/.*|settings|plugin\.sh)$|/devstack/driver/'

check_shellcheck() {
    local -a sourced others
    mapfile -t sourced < <(printf '%s\n' "$@" | grep -E "$of_devstack")
    mapfile -t others < <(printf '%s\n' "$@" | grep -vE "$of_devstack")
    shellcheck -x "${others[@]}" \
        && shellcheck -s bash -e SC1090,SC1091,SC2034,SC2154 "${sourced[@]}"
}

check_bashate() {
    local -a scripts
    # This one is told by its name, and has no line that says so.
    mapfile -t scripts < <(printf '%s\n' "$@" | grep -vx devstack/settings)
    bashate -e E005,E042 "${scripts[@]}" \
        && bashate -i E005 -e E042 devstack/settings
}

check() {
    local -a scripts
    mapfile -t scripts < <(shell_scripts)
    case $1 in
        ruff) ruff check -q . ;;
        hacking) flake8 ;;
        mypy) mypy --no-error-summary ;;
        imports) lint-imports --no-logo ;;
        doc8) doc8 -q ./*.rst devstack doc/adr doc/source releasenotes ;;
        shellcheck) check_shellcheck "${scripts[@]}" ;;
        bashate) check_bashate "${scripts[@]}" ;;
        *)
            echo "no such check: $1" >&2
            return 1
            ;;
    esac
}

checks=("$@")
if [[ ${#checks[@]} -eq 0 ]]; then
    checks=(ruff hacking mypy imports doc8 shellcheck bashate)
fi
failed=()
for name in "${checks[@]}"; do
    echo "-- $name"
    check "$name" || failed+=("$name")
done
if [[ ${#failed[@]} -gt 0 ]]; then
    echo "lint failed: ${failed[*]}" >&2
    exit 1
fi
