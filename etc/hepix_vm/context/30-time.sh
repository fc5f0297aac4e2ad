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

# Takes the time from the site's servers, by chrony or systemd-timesyncd.
#
# In the prolog: both start with the network, and certificates and tokens are
# judged by the clock from then on.
#
# HEPIX_SITE_NTP_SERVERS  names or addresses, separated by blanks; empty: the
#                         image's own servers
#
# Writes hepix-vm.sources in a folder that chrony.conf names as sourcedir, or
# /etc/systemd/timesyncd.conf.d/hepix-vm.conf. chrony keeps the servers of the
# image beside those of the site, and prefers the latter.
#
# Without either it ends with status 1: a clock that is wrong shows itself
# late, and as something else.

set -euf
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
# Folders that are made here are for services that are not root as well.
umask 022
part=${0##*/}
changed=

say() {
    printf '%s: %s\n' "$part" "$1"
}

# fail STATUS TEXT: 1, this image cannot do it; 2, a value is refused.
fail() {
    printf '%s: %s\n' "$part" "$2" >&2
    exit "$1"
}

# put PATH MODE: standard input becomes the file. It is renamed into place:
# a reader finds the old one or the new one, never a half. The name that it
# has before is one that programs pass over.
put() {
    new=${1%/*}/.${1##*/}.new
    mkdir -p "${1%/*}"
    rm -f "$new"
    (umask 077 && cat > "$new")
    chmod "$2" "$new"
    if cmp -s "$new" "$1" 2> /dev/null; then
        chmod "$2" "$1"
        rm -f "$new"
    else
        mv -f "$new" "$1"
        # shellcheck disable=SC2034  # Not every part asks.
        changed=yes
    fi
}

# drop PATH: a snapshot of a server may bring what another site wrote.
drop() {
    if [ -e "$1" ]; then
        rm -f "$1"
        changed=yes
    fi
}

# restart SERVICE: if something changed, and it runs. A prolog must not wait
# for a service that itself waits for the end of the prolog: --no-block. What
# has not started yet reads the new files when it does.
restart() {
    [ -n "$changed" ] || return 0
    if [ -d /run/systemd/system ]; then
        systemctl --no-block try-restart "$1.service" || :
    elif service "$1" status > /dev/null 2>&1; then
        service "$1" restart
    fi
}

# A name or an address, and nothing that a file could take for more.
is_host() {
    case $1 in
        '' | -* | *[!A-Za-z0-9.:-]*) return 1 ;;
    esac
}

case ${1-} in
    start) ;;
    stop)
        say 'stop: the time is taken from the same servers'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

servers=
lines=
for server in $HEPIX_SITE_NTP_SERVERS; do
    is_host "$server" \
        || fail 2 'HEPIX_SITE_NTP_SERVERS has what is no name or address'
    servers="$servers $server"
    lines="${lines}server $server iburst prefer
"
done

# The first sourcedir below /etc, since what is below /run may be cleared by
# others; else the first of all.
source_folder() {
    awk '$1 == "sourcedir" && $2 ~ "^/etc/" && !lasting { lasting = $2 }
        $1 == "sourcedir" && !first { first = $2 }
        END { print lasting ? lasting : first }' "$1"
}

timesyncd=/etc/systemd/timesyncd.conf.d/hepix-vm.conf
if command -v chronyd > /dev/null; then
    conf=/etc/chrony/chrony.conf
    service=chrony
    if [ ! -e "$conf" ]; then
        conf=/etc/chrony.conf
        service=chronyd
    fi
    folder=$(source_folder "$conf")
    target=${folder:+$folder/hepix-vm.sources}
elif [ -e /usr/lib/systemd/systemd-timesyncd ] \
        || [ -e /lib/systemd/systemd-timesyncd ]; then
    service=systemd-timesyncd
    target=$timesyncd
elif [ -z "$servers" ]; then
    target=
else
    fail 1 'neither chrony nor systemd-timesyncd is installed'
fi

if [ -z "$servers" ]; then
    if [ -n "$target" ]; then
        drop "$target"
        restart "$service"
    fi
    say 'HEPIX_SITE_NTP_SERVERS is empty: the image has its own servers'
    exit 0
fi
[ -n "$target" ] || fail 1 "$conf names no sourcedir (chrony 4.0 or later)"

if [ "$service" = systemd-timesyncd ]; then
    put "$target" 0644 << EOF
# Written by $part of the site's context.
[Time]
NTP=${servers# }
EOF
else
    put "$target" 0644 << EOF
# Written by $part of the site's context.
$lines
EOF
fi
restart "$service"
say "$service takes the time from$servers"
