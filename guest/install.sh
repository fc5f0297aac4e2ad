#!/bin/sh
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

# Installs the guest's part of hepix-vm into this system or into an image's
# root folder; see --help. It needs a POSIX shell and what busybox has, and
# runs nothing of the image.

set -eu
umask 022

UNITS='hepix-vm-prolog.service hepix-vm-epilog.service
hepix-vm-prolog-stop.service hepix-vm-epilog-stop.service'
ENABLED='hepix-vm-prolog.service hepix-vm-epilog.service'
SCRIPTS='hepix-vm-prolog hepix-vm-epilog'

usage() {
    cat << HELP
usage: install.sh [--root DIR] [--init systemd|sysv] [--uninstall]

Installs hepix-vm-context and starts it at every boot: units of systemd
where the system has it, scripts of SysV init elsewhere.

  --root DIR   the root folder of an image; nothing of it is run
  --init KIND  do not look which init there is
  --uninstall  remove what was installed; changed settings stay
HELP
}

die() {
    echo "install.sh: $*" >&2
    exit 1
}

# Replaces the file as a whole: it may be in use.
put() {
    mkdir -p "${3%/*}"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

find_init() {
    for each in lib usr/lib; do
        if [ -e "$root/$each/systemd/systemd" ]; then
            init=systemd
            return
        fi
    done
    [ -d "$root/etc/init.d" ] || [ -d "$root/etc/rc.d/init.d" ] || die \
        "there is neither systemd nor SysV init in ${root:-/};" \
        'say which with --init'
    init=sysv
}

systemd_folder() {
    for each in usr/lib lib; do
        if [ -d "$root/$each/systemd/system" ]; then
            units=$root/$each/systemd/system
            return
        fi
    done
    units=$root/etc/systemd/system
}

reload_systemd() {
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
}

install_systemd() {
    wants=$root/etc/systemd/system/multi-user.target.wants
    mkdir -p "$wants"
    for each in $UNITS; do
        put 644 "$source/systemd/$each" "$units/$each"
    done
    for each in $ENABLED; do
        ln -sf "${units#"$root"}/$each" "$wants/$each"
    done
    reload_systemd
}

remove_systemd() {
    for each in $UNITS; do
        rm -f "$units/$each" "$root/etc/systemd/system/$each" \
            "$root/etc/systemd/system/multi-user.target.wants/$each"
    done
    reload_systemd
}

# Red Hat keeps init.d and the folders of the run levels in rc.d.
sysv_folder() {
    levels=$root/etc
    if [ -d "$root/etc/rc.d/init.d" ]; then
        levels=$root/etc/rc.d
    fi
}

# The number with which the network starts, in two digits: ours sort before
# "network" and "networking" by their names.
network_number() {
    number=10
    for each in "$levels/$1"/S[0-9][0-9]network*; do
        [ -L "$each" ] || [ -e "$each" ] || continue
        number=${each##*/S}
        number=${number%%network*}
        break
    done
}

link_sysv() {
    mkdir -p "$levels/$1"
    ln -sf "../init.d/$3" "$levels/$1/$2$3"
}

install_sysv() {
    for each in $SCRIPTS; do
        put 755 "$source/sysv/$each" "$levels/init.d/$each"
    done
    unlink_sysv
    # Debian starts the network in rcS.d, Red Hat in each run level.
    if [ -d "$levels/rcS.d" ]; then
        network_number rcS.d
        link_sysv rcS.d "S$number" hepix-vm-prolog
    else
        for level in 2 3 4 5; do
            network_number "rc$level.d"
            link_sysv "rc$level.d" "S$number" hepix-vm-prolog
        done
    fi
    for level in 2 3 4 5; do
        link_sysv "rc$level.d" S99 hepix-vm-epilog
    done
    for level in 0 1 6; do
        link_sysv "rc$level.d" K01 hepix-vm-epilog
    done
    for level in 0 6; do
        link_sysv "rc$level.d" K02 hepix-vm-prolog
    done
}

unlink_sysv() {
    for each in $SCRIPTS; do
        rm -f "$levels"/rc[0-6S].d/[SK][0-9][0-9]"$each"
    done
}

remove_sysv() {
    unlink_sysv
    for each in $SCRIPTS; do
        rm -f "$levels/init.d/$each"
    done
}

root=
init=
uninstall=
while [ $# -gt 0 ]; do
    case $1 in
        --root | --init)
            [ $# -gt 1 ] || die "$1 needs a value"
            if [ "$1" = --root ]; then
                root=${2%/}
                [ -d "$2" ] || die "there is no folder $2"
            else
                init=$2
            fi
            shift
            ;;
        --uninstall) uninstall=yes ;;
        --help | -h)
            usage
            exit
            ;;
        *)
            usage >&2
            die "unknown argument: $1"
            ;;
    esac
    shift
done
source=$(cd "$(dirname "$0")" && pwd)
sysv_folder
systemd_folder
settings=$root/etc/hepix-vm-guest.conf
program=$root/usr/sbin/hepix-vm-context

if [ -n "$uninstall" ]; then
    remove_systemd
    remove_sysv
    rm -f "$program"
    if cmp -s "$source/hepix-vm-guest.conf" "$settings"; then
        rm -f "$settings"
    fi
    exit
fi

[ -n "$init" ] || find_init
case $init in
    systemd | sysv) ;;
    *) die "--init is systemd or sysv, not $init" ;;
esac
put 755 "$source/hepix-vm-context" "$program"
[ -e "$settings" ] || put 644 "$source/hepix-vm-guest.conf" "$settings"
"install_$init"
