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

# Calls the plugin as stack.sh, unstack.sh and clean.sh of DevStack do, in
# their order, on the machine of the tests in the folder $MACHINE.
#
# run.sh stack [LAST PHASE] | unstack | clean | call FILE
#
# The last calls no phase, but runs a file in which the functions of the
# plugin are known.
#
# The functions are those of the checkout that DEVSTACK_DIR names, and of a
# shim where it names none. What neither can know of the machine is set
# before the plugin runs, and never after.

# What xtrace says is not what the tests read.
exec {BASH_XTRACEFD}> "$MACHINE/record/$1.trace"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP_DIR=$MACHINE/top
FILES=$TOP_DIR/files
if [[ -n ${DEVSTACK_DIR:-} ]]; then
    source "$HERE/real.sh"
else
    source "$HERE/shim.sh"
fi
source "$HERE/machine.sh"

# DevStack is traced; not with its own PS4, which is a process a line.
trace() {
    PS4='+ $EPOCHREALTIME $LINENO '
    set -o xtrace
}

# What a phase has left, for the tests.
snapshot() {
    mkdir -p "$MACHINE/record/$stack"
    cp -a "$MACHINE/root/etc" "$MACHINE/record/$stack/$1"
}

phase() {
    run_phase stack "$1"
    snapshot "$1"
    # Ends here where the tests want to see no more.
    if [[ $1 == "$last" ]]; then
        exit 0
    fi
}

stack() {
    last=$1
    # Which run it is.
    stack=$(find "$MACHINE/record" -maxdepth 1 -name 'stack-*' | wc -l)
    stack=stack-$((stack + 1))

    # As stack.sh does it.
    trap 'status=$?; echo "run.sh failed"; exit $status' ERR
    set -o errexit

    load_devstack
    settle
    run_phase source
    trace

    phase pre-install
    configure_services
    if [[ -e $MACHINE/operator.sh ]]; then
        # What an operator, or another plugin, has set before.
        source "$MACHINE/operator.sh"
    fi
    snapshot before
    phase install
    prepare_services
    phase post-config
    if is_service_enabled n-cpu; then
        # As start_nova_compute does.
        cp "$NOVA_CONF" "$NOVA_CPU_CONF"
    fi
    if is_service_enabled g-api; then
        start_glance
        for url in ${IMAGE_URLS//,/ }; do
            upload_image "$url"
        done
    fi
    phase extra
    phase test-config
}

case $1 in
    stack)
        stack "${2:-test-config}"
        ;;
    unstack)
        load_devstack
        settle
        load_plugin_settings
        trace
        run_phase unstack
        ;;
    clean)
        load_devstack
        settle
        trace
        load_plugin_settings
        run_phase clean
        ;;
    call)
        trap 'status=$?; echo "run.sh failed"; exit $status' ERR
        set -o errexit
        load_devstack
        settle
        load_plugin_settings
        # No phase has this name.
        run_phase none
        trace
        source "$2"
        ;;
esac
