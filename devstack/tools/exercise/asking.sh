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

# How the acceptance run asks the cloud, and says what it sees; exercise.sh
# sources it, and has the other variables.

# shellcheck disable=SC2154

passed=0 failures=0
BEGINNING='Refused by the image trust policy of this cloud:'

# is STEP SEEN PATTERN: the step is ok if what is seen is like the pattern.
is() {
    # shellcheck disable=SC2053
    if [[ $2 == $3 ]]; then
        printf 'ok        %s: %s\n' "$1" "$2"
        passed=$((passed + 1))
    else
        printf 'FAILED    %s: %s (it should be: %s)\n' "$1" "$2" "$3"
        failures=$((failures + 1))
    fi
}

# leave_out STEP WHY
leave_out() {
    printf 'left out  %s: %s\n' "$1" "$2"
}

# run CLOUD COMMAND...: openstack as a user; the result goes to body, what
# else it says to error. Whose account it has, only clouds.yaml says.
run() {
    openstack --os-cloud "$1" "${@:2}" > "$work/body" 2> "$work/error"
}

# request METHOD URL [OPTION...]: by curl; sets status, the answer is in body.
# The token is in a file, since everybody sees the arguments of a program.
request() {
    : > "$work/body"
    # Apache would wait for the answer 100, which uWSGI does not give.
    status=$(curl -sS -X "$1" --max-time "$LIMIT" -H "@$work/headers" \
        -H 'Expect:' \
        ${OS_CACERT:+--cacert "$OS_CACERT"} -o "$work/body" \
        -w '%{http_code}' "${@:3}" "$2" 2> "$work/error") \
        || status="no answer: $(tail -n 1 "$work/error")"
}

# send METHOD URL JSON
send() {
    request "$1" "$2" -H 'Content-Type: application/json' --data-binary "$3"
}

# put URL FILE: without waiting to be told to go on. DevStack's Apache waits
# for that as well, and uWSGI, which Glance runs in, does not say it.
put() {
    request PUT "$1" -H 'Content-Type: application/octet-stream' \
        -H 'Expect:' -T "$2"
}

# answer COMMAND FILE [ARGUMENT...]: see there.
answer() {
    python3 "$here/tools/exercise/answers.py" "$@"
}

# field PATH: what the last answer has there, such as server.id; * is all of
# a list, each in a line. Nothing if it is not there.
field() {
    answer fields "$work/body" "$1"
}

# seen PATH...: these fields in one line; what went wrong if there are none.
seen() {
    local all
    all=$(answer fields "$work/body" "$@")
    [[ -n $all ]] || all=$(tail -n 1 "$work/error")
    printf '%s\n' "${all//$'\n'/ }"
}

# said: status and message of the last answer in one line.
said() {
    printf '%s %s\n' "$status" "$(answer message "$work/body")"
}

# within SECONDS COMMAND...: until it succeeds, and not longer.
within() {
    local end
    end=$((SECONDS + $1))
    until "${@:2}"; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 1
    done
}

# refused STEP STATUS CODE: so did the last answer, in the words of the gate.
refused() {
    is "$1" "$(said)" "$2 *$BEGINNING*\\[$3\\]*"
}
