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

# Follows the image lists, and sweeps, again and again, until it is stopped:
# the service hepix-sync of DevStack. Where there are timers, the units in
# etc/hepix_vm do that.

set -uo pipefail

if [[ $# -ne 2 || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo 'usage: follow-lists.sh HEPIX_VM_SYNC SECONDS' >&2
    exit 2
fi
sync=$1
seconds=$2
child=
umask 0027

# bash hears a signal when what runs in the foreground has ended: so nothing
# does.
stop() {
    trap '' TERM INT
    if [[ -n $child ]]; then
        kill "$child" 2> /dev/null
        wait "$child"
    fi
    exit 0
}
trap stop TERM INT

# Runs a program; what fails is said, and tried again in the next round.
run() {
    local status=0
    "$@" &
    child=$!
    wait "$child" || status=$?
    child=
    if [[ $status -ne 0 ]]; then
        printf '%s ended with status %s; it is tried again in %s s\n' \
            "$*" "$status" "$seconds" >&2
    fi
}

while true; do
    run "$sync"
    run "$sync" --sweep
    # Not through run: its end is no failure.
    sleep "$seconds" &
    child=$!
    wait "$child"
    child=
done
