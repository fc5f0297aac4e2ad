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

# The DevStack plugin of hepix-vm. DevStack sources it at each of its phases
# (its doc/source/plugins.rst): plugin.sh MODE [PHASE].

source "$(dirname "${BASH_SOURCE[0]}")/lib/hepix_vm"

case "$1 $2" in
    "stack "*)
        if is_service_enabled hepix-vm; then
            case $2 in
                pre-install)
                    check_hepix_vm
                    ;;
                install)
                    echo_summary "Installing hepix-vm"
                    install_hepix_vm
                    ;;
                post-config)
                    echo_summary "Configuring hepix-vm"
                    configure_hepix_vm
                    ;;
                extra)
                    echo_summary "Starting hepix-vm"
                    start_hepix_vm
                    init_hepix_vm
                    ;;
                test-config)
                    echo_summary "Looking at the gates of hepix-vm"
                    verify_hepix_vm
                    ;;
            esac
        fi
        ;;
    # What local.conf took away after stack.sh goes as well.
    "unstack "*)
        stop_hepix_vm
        ;;
    "clean "*)
        cleanup_hepix_vm
        ;;
esac
