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

# Makes the root file system of the Debian guest that the tests boot:
# tools/guest.sh DISK PACKAGE..., in about a minute, as root or with sudo.
# Nothing is mounted; what is fetched comes from apt's own mirror.

set -euo pipefail

# shellcheck source=tools/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' \
        | awk -v release="$1" '$2 == release && !done { print $1; done = 1 }'
}

proxy() {
    local address=
    eval "$(apt-config shell address Acquire::http::Proxy)"
    echo "$address"
}

# What an image producer decides: the network by DHCP, no log-in on the
# console, nothing that is for a machine that lives longer.
configure() {
    local root=$1
    as_root tee "$root/etc/systemd/network/10-all.network" > /dev/null << EOF
[Match]
Type=ether
[Network]
DHCP=ipv4
LinkLocalAddressing=no
EOF
    as_root chroot "$root" systemctl -q enable \
        systemd-networkd systemd-networkd-wait-online
    # Tests start what they need; rsyslog stays, as its socket does.
    as_root chroot "$root" systemctl -q disable \
        chrony prometheus-node-exporter ssh
    as_root chroot "$root" systemctl -q mask \
        getty@.service serial-getty@.service getty-static.service \
        proc-sys-fs-binfmt_misc.automount apt-daily.timer \
        apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        fstrim.timer systemd-timesyncd.service
    echo guest | as_root tee "$root/etc/hostname" > /dev/null
    as_root rm -rf "$root/var/lib/apt/lists" "$root/usr/share/doc" \
        "$root/usr/share/locale" "$root/usr/share/man"
}

make_disk() {
    local disk=$1 release packages work
    shift
    packages=$(IFS=, && echo "$*")
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "as_root rm -rf '$work'" EXIT
    as_root env http_proxy="$(proxy)" debootstrap --variant=minbase \
        --include="$packages" "$release" "$work/root" "$(mirror "$release")"
    configure "$work/root"
    truncate -s 2G "$work/disk"
    as_root mke2fs -q -t ext4 -O ^has_journal -d "$work/root" "$work/disk"
    # On the same file system, so that the disk is there whole or not.
    cp --sparse=always "$work/disk" "$disk.$$"
    mv "$disk.$$" "$disk"
}

make_disk "$@"
