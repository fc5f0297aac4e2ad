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

# Prepares the machine and passes all tests; see --help.

set -euo pipefail

# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat << EOF
usage: tools/test.sh [PART...] [--soak] [-- PYTEST-ARGUMENT...]

Sets up what the tests need (packages of the system by apt, Python packages
in $VENV) and runs them. Without a PART, all parts:

  --lint        style, types, imports, shell scripts, documents' form
  --docs        build the documentation and the release notes
  --unit        unit tests
  --functional  tests against real Glance services on loopback

  --soak        the long forms: many more examples and repetitions

The exit status is 0 only if every part passed. With CI set in the
environment, a test that is skipped fails.
Environment: HEPIX_VM_VENV (default .venv), HEPIX_VM_CACHE (default .cache),
PYTHON (which Python to make the environment with).
EOF
}

lint=
docs=
tests=()
arguments=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --lint) lint=yes ;;
        --docs) docs=yes ;;
        --unit | --functional) tests+=("tests/${1#--}") ;;
        --soak) export HEPIX_VM_SOAK=1 ;;
        --help | -h)
            usage
            exit
            ;;
        --)
            shift
            arguments=("$@")
            break
            ;;
        *)
            usage >&2
            die "unknown argument: $1"
            ;;
    esac
    shift
done
if [[ -z $lint$docs && ${#tests[@]} -eq 0 ]]; then
    lint=yes
    docs=yes
    tests=(tests/unit tests/functional)
fi

failed=()

# Every part runs, so that one failure does not hide another.
part() {
    local name=$1 begin=$SECONDS
    shift
    say "$name"
    if "$@"; then
        say "$name: passed ($((SECONDS - begin)) s)"
    else
        failed+=("$name")
        say "$name: FAILED ($((SECONDS - begin)) s)"
    fi
}

setup_environment
cd "$ROOT"
if [[ " ${tests[*]} " == *' tests/functional '* ]]; then
    setup_kernel
    setup_cloud_init
    setup_atrope
fi
if [[ -n $lint ]]; then
    part lint bash tools/lint.sh
fi
if [[ -n $docs ]]; then
    part documentation bash tools/docs.sh
fi
if [[ ${#tests[@]} -gt 0 ]]; then
    # A module is run by one process, so that its services are shared.
    part tests "$VENV/bin/python" -m pytest --durations=20 \
        -n "$(nproc)" --dist loadscope --no-loadscope-reorder \
        "${tests[@]}" "${arguments[@]}"
fi
if [[ ${#failed[@]} -gt 0 ]]; then
    die "failed: ${failed[*]}"
fi
say 'all passed'
