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

# What the acceptance run looks at, step by step; exercise.sh
# sources it, and has the other variables.

# shellcheck disable=SC2154

# endorse FILE FORMAT EXPIRES [OPTION...]
endorse() {
    run "$cloud" image endorsement create "$1" --disk-format "$2" \
        --expires "$3" --title "$NAME" --distro linux --distro-version 1 \
        --architecture "$(uname -m)" --hypervisor kvm --image-version 1 \
        --vo "$vo" --certificate "$HEPIX_VM_ENDORSER_CERTIFICATE" \
        --key "$HEPIX_VM_ENDORSER_KEY" -f json "${@:4}"
}

# new_image FORMAT [FILE]: with the endorsement that the file has; sets image
# to its id.
new_image() {
    local more=''
    [[ $# -eq 1 ]] \
        || more=", \"hepix_endorsement\": $(answer quoted "$2")"
    send POST "$images" "{\"name\": \"$NAME\", \"disk_format\": \"$1\",
        \"container_format\": \"bare\"$more}"
    image=$(field id)
}

# image_is STEP PATTERN: status and state of an image.
image_is() {
    request GET "$images/$1"
    is "$2" "$(seen status hepix_state)" "$3"
}

import_ended() {
    local states
    request GET "$images/$image/tasks"
    states=$(field 'tasks.*.status')
    [[ -n $states && $states != *pending* && $states != *processing* ]]
}

try_unendorsed() {
    # More than any proxy on the way holds: its user is to read the reason.
    head -c 8388608 /dev/urandom > "$work/bytes"
    new_image raw
    put "$images/$image/file" "$work/bytes"
    refused 'an upload that nobody endorsed' 422 not-endorsed
    put "$images/$image/stage" "$work/bytes"
    refused 'the same, staged for an import' 422 not-endorsed
    image_is "$image" 'nothing of it is in use' 'queued'
    if [[ -n ${without[download]-} || -z ${HEPIX_VM_DOWNLOAD_URL-} ]]; then
        leave_out 'an import that nobody endorsed' \
            "${without[download]-HEPIX_VM_DOWNLOAD_URL is not set}"
        return
    fi
    send POST "$images/$image/import" "{\"method\": {
        \"name\": \"web-download\", \"uri\": \"$HEPIX_VM_DOWNLOAD_URL\"}}"
    if [[ $status == 202 ]]; then
        within "$LIMIT" import_ended
        status=$(field 'tasks.*.status')
    fi
    refused 'an import that nobody endorsed' failure not-endorsed
    image_is "$image" 'nothing of it is in use either' 'queued'
}

try_endorsed() {
    local end
    head -c 65536 /dev/urandom > "$work/short"
    end=$(($(date +%s) + lifetime))
    endorse "$work/short" raw "$(date -u -d "@$end" +%FT%TZ)"
    new_image raw "$work/short.endorsement"
    put "$images/$image/file" "$work/short"
    image_is "$image" "an endorsed upload ($status)" 'active endorsed'
    short=$image short_end=$end
    endorse "$work/image" "$format" +1d --upload "$NAME"
    is 'openstack image endorsement create --upload' \
        "$(seen status state allowed)" 'active endorsed True'
    main=$(field glance_id)
}

# ask_server IMAGE
ask_server() {
    local networks=\"${HEPIX_VM_NETWORK:-none}\"
    [[ $networks == \"none\" || $networks == \"auto\" ]] \
        || networks="[{\"uuid\": $networks}]"
    send POST "$compute/servers" "{\"server\": {\"name\": \"$NAME\",
        \"imageRef\": \"$1\", \"flavorRef\": \"$HEPIX_VM_FLAVOR\",
        \"networks\": $networks}}"
}

server_settled() {
    request GET "$compute/servers/$server"
    [[ $(field server.status) != BUILD ]]
}

console_ended() {
    send POST "$compute/servers/$server/action" '{"os-getConsoleOutput": {}}'
    field output | tr -d '\r' > "$work/console"
    grep -q 'hepix-vm: epilog ended' "$work/console"
}

boot() {
    ask_server "$main"
    [[ $status == 202 ]] || {
        is 'a server of the endorsed image' "$(said)" 202
        return 1
    }
    server=$(field server.id)
    within "$LIMIT" server_settled
    is 'a server of the endorsed image' \
        "$(seen server.status server.fault.message)" ACTIVE
    [[ $(field server.status) == ACTIVE ]]
}

# console_has STEP TEXT: in what a script of the site wrote.
console_has() {
    local line
    line=$(grep -oE 'hepix-vm (prolog|epilog): .*' "$work/console" \
        | grep -F -m 1 -- "$2")
    is "$1" "${line:-no such line}" "*$2*"
}

try_context() {
    local part
    if [[ -n ${without[context]-} ]]; then
        leave_out 'what servers are told' "${without[context]}"
        return
    fi
    within "$LIMIT" console_ended
    for part in prolog epilog; do
        is "its $part" "$(grep -oE -m 1 "hepix-vm: $part ended.*" \
            "$work/console" || tail -n 1 "$work/console")" '*with status 0'
    done
    console_has 'its console has its name' "$NAME"
    if [[ -n ${without[vendordata]-} ]]; then
        leave_out 'its console has the VO' "${without[vendordata]}"
    else
        console_has 'its console has the VO' "$vo"
    fi
    if [[ ! -r ${HEPIX_VM_CONFIG:=/etc/hepix-vm/hepix-vm.conf} ]]; then
        leave_out 'openstack server context show' \
            "$HEPIX_VM_CONFIG cannot be read here (HEPIX_VM_CONFIG)"
        return
    fi
    run "$cloud" server context show "$server" -f json
    is 'openstack server context show' \
        "$(seen vo variables.HEPIX_SERVER_NAME 'prolog.*.name' \
            'epilog.*.name')" "$vo $NAME ?* ?*"
}

try_ended() {
    until [[ $(date +%s) -gt $short_end ]]; do
        sleep 1
    done
    ask_server "$short"
    refused 'a server of an image whose endorsement ended' 403 image-expired
}

# try_snapshot: what the policy says of images that are made from servers.
try_snapshot() {
    local rule=${HEPIX_VM_DERIVED_IMAGES:-refuse} step='a snapshot'
    send POST "$compute/servers/$server/action" \
        "{\"createImage\": {\"name\": \"$NAME\"}}"
    if [[ $rule == refuse ]]; then
        refused "$step ($rule)" 403 derived-refused
        return
    elif [[ $status != 202 ]]; then
        is "$step ($rule)" "$(said)" 202
        return
    fi
    snapshot=$(field image_id)
    within "$LIMIT" snapshot_ended
    image_is "$snapshot" "$step ($rule)" 'active derived'
}

snapshot_ended() {
    request GET "$images/$snapshot"
    # One that was refused is gone.
    [[ $status != 200 || $(field status) == active ]]
}

try_revoked() {
    local revoked
    run "$admin" image endorsement revoke "$main" --reason "$REASON" -f json
    revoked=$((SECONDS + CACHE))
    is 'openstack image endorsement revoke' \
        "$(seen '*.Done' '*.State')" 'deactivated revoked'
    image_is "$main" 'the image is out of use' 'deactivated revoked'
    new_image "$format" "$work/image.endorsement"
    put "$images/$image/file" "$work/image"
    refused 'the same bytes once more' 422 image-revoked
    [[ -n $server ]] || return
    ask_server "$main"
    if [[ $status == 202 ]]; then
        until [[ $SECONDS -ge $revoked ]]; do
            sleep 1
        done
        ask_server "$main"
    fi
    refused 'another server of the image' 403 image-revoked
    run "$cloud" server endorsement list --state revoked -f json
    is 'openstack server endorsement list' "$(seen '*.ID')" \
        "*$server*"
}

listed_is_there() {
    request GET "$images?name=$HEPIX_VM_LISTED_IMAGE&status=active"
    found=$(seen 'images.*.hepix_state' 'images.*.hepix_list_id')
    [[ $found == 'endorsed '?* ]]
}

try_list() {
    local found=''
    within "$LIMIT" listed_is_there
    is "the image $HEPIX_VM_LISTED_IMAGE of a list" "$found" 'endorsed ?*'
}
