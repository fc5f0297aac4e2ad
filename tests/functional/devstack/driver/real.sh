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

# The real functions of DevStack, sourced in the order of its stack.sh.

load_devstack() {
    local part
    # shellcheck source=/dev/null
    {
        source "$TOP_DIR/functions"
        source "$TOP_DIR/lib/stack"
        GetDistro
        source "$TOP_DIR/stackrc"
        SSL_BUNDLE_FILE=$DATA_DIR/ca-bundle.pem
        source "$TOP_DIR/lib/database"
        source "$TOP_DIR/lib/rpc_backend"
        source "$TOP_DIR/lib/host"
        run_phase override_defaults
        for part in apache tls infra libraries lvm horizon keystone glance \
                nova placement cinder swift neutron; do
            source "$TOP_DIR/lib/$part"
        done
    }
    # These are of machine.sh, which was sourced before.
    source "$HERE/machine.sh"
}
