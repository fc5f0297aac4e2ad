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

# A whole cloud with the gate in the background; see --help.

set -euo pipefail

# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat << EOF
usage: tools/stack.sh start|status|stop|clean [--folder DIR]
                      [--database sqlite|mariadb]

A whole cloud on 127.0.0.1 whose servers boot, without KVM: Keystone, Glance,
Placement, Nova with libvirt and QEMU, RabbitMQ, the API of Cinder and the
vendordata service, all real, with the gate of hepix-vm in them; only Neutron
has a stand-in, and volumes have no bytes.

  start   set up what it needs (packages of the system by apt, Python
          packages in $VENV), start it, and say how to use it; where it was
          stopped it goes on with its images and servers
  status  say what of it runs: 0 if all does, 3 if nothing does, else 1
  stop    stop it; it keeps what it has
  clean   stop it and remove what it has; what tests share with it stays

  --folder DIR  where all that it writes is; $CACHE/stack by
                default
  --database    of what kind its databases are, said at the first start:
                files of sqlite, or a MariaDB of its own; sqlite by default

It takes about 2 GiB of memory, and its ports are chosen free.
Environment: HEPIX_VM_VENV (default .venv), HEPIX_VM_CACHE (default .cache),
PYTHON (which Python to make the environment with).
EOF
}

case ${1:-} in
    start | status | stop | clean) ;;
    --help | -h)
        usage
        exit
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
if [[ " $* " == *' --help '* || " $* " == *' -h '* ]]; then
    usage
    exit
fi
if [[ $1 == start ]]; then
    setup_environment
    setup_kernel
fi
python=$VENV/bin/python
if ! "$python" -c '' 2> /dev/null; then
    # Whatever runs goes on without its environment, and any will do.
    find_python
    python=$PYTHON
fi
export HEPIX_VM_CACHE=$CACHE
cd "$ROOT"
exec "$python" -m tests.testbed.standing "$@"
