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

# The acceptance run. What is OpenStack's own it asks by HTTP, to see the
# answers as they are; the commands of hepix-vm it runs as users do.

# shellcheck source-path=SCRIPTDIR

set -uo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
source "$here/tools/exercise/asking.sh"
source "$here/tools/exercise/steps.sh"

usage() {
    cat << 'END'
usage: devstack/exercise.sh [--without PART]...

Sees in some minutes whether a cloud keeps what hepix-vm promises: uploads
images that are refused and accepted, boots a server and reads its console, and
revokes its image. It needs openstack with hepix-vm, curl and python3. Each
step is a line that begins with ok, FAILED or left out. What it makes has one
name, with bytes of its own, and is removed at the end; what stays is a record
in the ledger that those bytes are revoked.

PART is left out: servers, context (what servers are told), vendordata (that
they are told their VO), download (that Glance fetches an image), list (an
image of a list that the site follows). On a DevStack, what is not enabled is
left out anyway.

Exit status: 0 all is as it must be; 1 something is not; 2 it cannot be run
here, and why.

On a host where DevStack ran with the plugin, as its user, nothing has to be
set. Elsewhere, or to have it otherwise, in the environment:

  TOP_DIR              folder of DevStack; by default the folder devstack
                       beside this source, if HEPIX_VM_CLOUD is not set
  HEPIX_VM_CLOUD       an ordinary user in clouds.yaml (devstack)
  HEPIX_VM_ADMIN_CLOUD an administrator there (devstack-admin)
  HEPIX_VM_ENDORSER_CERTIFICATE, HEPIX_VM_ENDORSER_KEY
                       an endorser whom the site accepts, in PEM
  HEPIX_VM_VO          the VO for which he endorses (vo.example.org)
  HEPIX_VM_IMAGE       a file, raw or qcow2, that boots and has the guest's
                       part of hepix-vm; otherwise the bytes of the image
                       hepix-vm-sample of the cloud are taken
  HEPIX_VM_FLAVOR      id of the flavor (the smallest that has 256 MiB and a
                       disk)
  HEPIX_VM_NETWORK     none, auto, or the id of a network. Without it servers
                       have none, and are left out where there is no Neutron
  HEPIX_VM_DERIVED_IMAGES
                       what policy.yaml says of snapshots (refuse)
  HEPIX_VM_DOWNLOAD_URL
                       from where Glance may fetch, and gets what nobody
                       endorsed (on DevStack a page of Keystone)
  HEPIX_VM_LISTED_IMAGE
                       name of an image of a list that the site follows
                       (on DevStack hepix-vm-listed)
  HEPIX_VM_LIMIT       seconds for which servers, imports and that list are
                       waited for (300)
  HEPIX_VM_CONFIG      hepix-vm.conf of this host; without it nobody can
                       show here what servers are told
  OS_CACERT            CA certificates of the cloud's services
END
}

# In seconds.
LIMIT=${HEPIX_VM_LIMIT:-300}
# As long nova-api may go on with what it knew of an image: its boot_cache,
# and some.
CACHE=15

REASON='CVE-0000-0000, an acceptance run'
NAME=hepix-vm-exercise-$$-$RANDOM

# cannot TEXT: it is not this cloud's fault that nothing can be said of it.
cannot() {
    printf 'This run is not possible: %s\n' "$*" >&2
    exit 2
}

declare -A without=()

read_arguments() {
    while [[ $# -gt 0 ]]; do
        case $1 in
            --help | -h)
                usage
                exit 0
                ;;
            --without)
                case ${2-} in
                    servers | context | vendordata | download | list)
                        without[$2]='as asked for'
                        ;;
                    *)
                        cannot '--without takes one of servers, context,' \
                            "vendordata, download, list, and not '${2-}'."
                        ;;
                esac
                shift 2
                ;;
            *) cannot "$1 is no argument that is known. See --help." ;;
        esac
    done
}

# What DevStack and our settings say, as NAME=VALUE. Not in this shell: what
# openrc exports would mix with the accounts of clouds.yaml.
of_devstack() {
    # shellcheck disable=SC2016
    TOP_DIR=$TOP_DIR HEPIX_VM_SETTINGS=$here/settings bash -c '
        source "$TOP_DIR/openrc" && source "$HEPIX_VM_SETTINGS" || exit
        exec >&3
        echo "enforcement=$HEPIX_VM_ENFORCEMENT"
        echo "samples=$HEPIX_VM_SAMPLES"
        for service in hepix-vm hepix-vendordata hepix-sync; do
            is_service_enabled "$service" && echo "$service=enabled"
        done
        echo "HEPIX_VM_DERIVED_IMAGES=$HEPIX_VM_DERIVED_IMAGES"
        echo "HEPIX_VM_ENDORSER_CERTIFICATE=$HEPIX_VM_CA_DIR/endorser.pem"
        echo "HEPIX_VM_ENDORSER_KEY=$HEPIX_VM_CA_DIR/endorser.key"
        echo "HEPIX_VM_CONFIG=$HEPIX_VM_CONF_DIR/hepix-vm.conf"
        echo "OS_CACERT=${OS_CACERT-}"
    ' 3>&1 > /dev/null 2> "$work/error"
}

read_devstack() {
    local found line name
    local -A says=()
    found=$(of_devstack)
    [[ $found == *OS_CACERT=* ]] \
        || cannot "DevStack's settings cannot be read in $TOP_DIR:" \
            "$(tail -n 1 "$work/error")"
    while read -r line; do
        name=${line%%=*}
        says[$name]=${line#*=}
        # What the environment has counts more.
        if [[ $name =~ ^[A-Z_]+$ && -n ${says[$name]} \
            && -z ${!name-} ]]; then
            export "${line?}"
        fi
    done <<< "$found"
    [[ ${says[hepix-vm]-} == enabled ]] \
        || cannot 'the service hepix-vm is not enabled in local.conf.'
    [[ ${says[enforcement]} == enforcing ]] \
        || cannot "HEPIX_VM_ENFORCEMENT is ${says[enforcement]}, so that" \
            'nothing is refused.'
    [[ ${says[hepix-vendordata]-} == enabled ]] \
        || without[vendordata]='hepix-vendordata is not enabled'
    [[ ${says[hepix-sync]-} == enabled ]] \
        || without[list]='hepix-sync is not enabled'
    [[ ${says[samples]} == True ]] \
        || without[list]='HEPIX_VM_SAMPLES is not True'
    HEPIX_VM_LISTED_IMAGE=${HEPIX_VM_LISTED_IMAGE-hepix-vm-listed}
}

# endpoint TYPE: where the cloud has such a service; nothing if it has none.
endpoint() {
    answer endpoint "$work/catalogue" "$1"
}

# look: who runs it, where the services are, and what is needed is there.
look() {
    local token
    run "$cloud" token issue -f json || cannot "$(tail -n 1 "$work/error")"
    token=$(field id)
    (umask 077 && printf '%s\n' "X-Auth-Token: $token" \
        'Accept: application/json' 'OpenStack-API-Version: compute 2.37' \
        > "$work/headers")
    run "$cloud" catalog list -f json || cannot "$(tail -n 1 "$work/error")"
    mv "$work/body" "$work/catalogue"
    # As long is the endorsement that is to end during the run: enough for an
    # upload, of which these two commands say how slow it is here.
    lifetime=$((20 + 4 * SECONDS))
    images=$(endpoint image)
    [[ -n $images ]] || cannot 'the catalogue has no image service.'
    images=${images%/v2}/v2/images
    compute=$(endpoint compute)
    if [[ -z $compute ]]; then
        without[servers]='the catalogue has no Nova'
    elif [[ -z ${HEPIX_VM_NETWORK-} && -z $(endpoint network) ]]; then
        without[servers]='the catalogue has no Neutron (HEPIX_VM_NETWORK)'
    fi
    if [[ -n ${TOP_DIR-} && -z ${HEPIX_VM_DOWNLOAD_URL+set} ]]; then
        HEPIX_VM_DOWNLOAD_URL=$(endpoint identity)
        HEPIX_VM_DOWNLOAD_URL=${HEPIX_VM_DOWNLOAD_URL%/v3}/v3
    fi
}

# choose: what servers are made of, in the files image and format.
choose() {
    local found
    if [[ -n ${without[servers]-} ]]; then
        # It is only uploaded.
        head -c 1048576 /dev/urandom > "$work/image"
        format=raw
        return
    fi
    if [[ -n ${HEPIX_VM_IMAGE-} ]]; then
        cp "$HEPIX_VM_IMAGE" "$work/image" \
            || cannot "HEPIX_VM_IMAGE cannot be read: $HEPIX_VM_IMAGE"
    else
        request GET "$images?name=hepix-vm-sample&status=active"
        found=$(field 'images.*.id' | head -n 1)
        [[ -n $found ]] \
            || cannot 'there is no image hepix-vm-sample. Give the file of' \
                'one in HEPIX_VM_IMAGE (tools/image.sh makes one), or' \
                '--without servers.'
        request GET "$images/$found/file"
        [[ $status == 200 ]] || cannot "hepix-vm-sample: $(said)"
        mv "$work/body" "$work/image"
    fi
    format=raw
    [[ $(head -c 3 "$work/image") != QFI ]] || format=qcow2
    # Bytes of its own, which may be revoked for good; and whole sectors.
    head -c 512 /dev/urandom >> "$work/image"
    if [[ -z ${HEPIX_VM_FLAVOR-} ]]; then
        request GET "$compute/flavors?minRam=256&minDisk=1&sort_key=memory_mb"
        HEPIX_VM_FLAVOR=$(field 'flavors.*.id' | head -n 1)
        [[ -n $HEPIX_VM_FLAVOR ]] \
            || cannot 'there is no flavor of at least 256 MiB with a disk;' \
                "give one in HEPIX_VM_FLAVOR. Nova: $(said)"
    fi
}

# gone KIND URL: removes what bears the name of this run, and says whether
# nothing does any more.
gone() {
    local id
    local -a ids
    request GET "$2?name=$NAME"
    [[ $status == 200 ]] || return
    mapfile -t ids < <(field "$1.*.id")
    for id in "${ids[@]}"; do
        request DELETE "$2/$id"
        # The sweep of a site may have locked it.
        [[ $1 == images || $status != 409 ]] \
            || run "$admin" server delete "$id"
    done
    [[ ${#ids[@]} -eq 0 ]]
}

clean_up() {
    local ended=$?
    trap - EXIT INT TERM HUP
    if [[ -r $work/headers && -n ${images-} ]]; then
        [[ -z ${compute-} ]] \
            || within "$LIMIT" gone servers "$compute/servers" \
            || is 'servers are removed' "$(said)" "no $NAME"
        within "$LIMIT" gone images "$images" \
            || is 'images are removed' "$(said)" "no $NAME"
    fi
    rm -rf "$work"
    if [[ $ended -eq 0 ]]; then
        printf '%d steps are as they must be, %d are not.\n' \
            "$passed" "$failures"
        [[ $failures -eq 0 && $passed -gt 0 ]] || ended=1
    fi
    exit "$ended"
}

# set_up: DevStack's settings, unless another cloud is meant, and ours.
set_up() {
    local variable
    [[ -n ${TOP_DIR+set} || -n ${HEPIX_VM_CLOUD-} ]] \
        || TOP_DIR=$(realpath -m "$here/../../devstack")
    if [[ -n ${TOP_DIR-} ]]; then
        [[ -r $TOP_DIR/openrc ]] \
            || cannot "there is no DevStack in $TOP_DIR. Give its folder in" \
                'TOP_DIR, or another cloud in HEPIX_VM_CLOUD.'
        read_devstack
    fi
    # Whoever sourced openrc has an account there that would be mixed in.
    for variable in "${!OS_@}"; do
        case $variable in
            OS_CACERT | OS_CLIENT_CONFIG_FILE | OS_REGION_NAME) ;;
            *) unset "$variable" ;;
        esac
    done
    for variable in HEPIX_VM_ENDORSER_CERTIFICATE HEPIX_VM_ENDORSER_KEY; do
        [[ -r ${!variable-} ]] \
            || cannot "$variable, '${!variable-}', cannot be read by" \
                "$(id -un). Run this as the user of DevStack, after stack.sh" \
                'ended with the plugin and its test CA; or name the files of' \
                'an endorser whom policy.yaml accepts (--help).'
    done
    cloud=${HEPIX_VM_CLOUD:-devstack}
    admin=${HEPIX_VM_ADMIN_CLOUD:-devstack-admin}
    vo=${HEPIX_VM_VO:-vo.example.org}
}

main() {
    local program
    read_arguments "$@"
    for program in curl openstack python3; do
        command -v "$program" > /dev/null \
            || cannot "the program $program is not in PATH: install it."
    done
    work=$(mktemp -d) || cannot 'no temporary folder can be made.'
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    set_up
    look
    choose
    try_all
}

# try_all: steps that need one that failed are left out, which was counted.
try_all() {
    server=''
    try_unendorsed
    try_endorsed
    if [[ -n ${without[servers]-} ]]; then
        leave_out 'servers' "${without[servers]}"
    elif boot; then
        try_context
        try_snapshot
    fi
    try_revoked
    [[ -n ${without[servers]-} ]] || try_ended
    if [[ -n ${without[list]-} || -z ${HEPIX_VM_LISTED_IMAGE-} ]]; then
        leave_out 'an image of a list' \
            "${without[list]-HEPIX_VM_LISTED_IMAGE is not set}"
    else
        try_list
    fi
}

main "$@"
