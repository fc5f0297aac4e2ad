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

# Blocks users on this server: no login, no processes.
#
# In the prolog: nobody logs in before it. List it in the epilog as well where
# accounts are made during the boot, as cloud-init does: it then locks those
# that were not there before.
#
# HEPIX_SITE_BLOCKED_USERS  names, separated by blanks; empty: nobody
#
# sshd lets them in no more, by /etc/ssh/sshd_config.d/00-hepix-vm.conf, or by
# lines in sshd_config where that has no drop-ins; this holds for accounts
# that do not exist yet and for those of a directory. The local accounts are
# locked and expired, which PAM asks whatever the way in: console, su, cron.
# Their processes are ended.
#
# A user who cannot be blocked in one of these ways is said, and the status
# is 1: the site counts on it. The account root, under whatever name, is
# refused: without it there is no server.

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

case ${1-} in
    start) ;;
    stop)
        say 'stop: blocked users stay blocked'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

sshd_config=/etc/ssh/sshd_config
sshd_dropin=/etc/ssh/sshd_config.d/00-hepix-vm.conf
begin="# hepix-vm: begin, written by $part of the site's context"
end='# hepix-vm: end'

# An Include in a block of Match would not hold for everybody.
sshd_has_dropins() {
    awk 'tolower($1) == "match" { exit }
        tolower($1) == "include" && index($0, "/sshd_config.d/") { yes = 1 }
        END { exit !yes }' "$sshd_config"
}

# block_in_sshd USERS: the lines come first in the file, before any Match.
block_in_sshd() {
    if sshd_has_dropins; then
        if [ -z "$1" ]; then
            drop "$sshd_dropin"
            return
        fi
        put "$sshd_dropin" 0644 << EOF
# Written by $part of the site's context.
DenyUsers$1
EOF
        return
    fi
    rest=$(awk -v begin="$begin" -v end="$end" \
        '$0 == begin { skip = 1 } !skip { print } $0 == end { skip = 0 }' \
        "$sshd_config")
    if [ -n "$1" ]; then
        rest="$begin
DenyUsers$1
$end
$rest"
    fi
    put "$sshd_config" "$(stat -c %a "$sshd_config")" << EOF
$rest
EOF
}

# An account of a directory is unknown to /etc/passwd; to ask for it may take
# long as long as there is no network.
uid_of() {
    timeout 10 id -u "$1" 2> /dev/null
}

# A process that has ended stays in the list until its parent asks for it.
processes_of() (
    set +f
    cat /proc/[0-9]*/status 2> /dev/null | awk -v uid="$1" '
        $1 == "State:" { state = $2 }
        $1 == "Pid:" { pid = $2 }
        $1 == "Uid:" && state != "Z" && ($2 == uid || $3 == uid) { print pid }'
)

# All are stopped before they are killed, and asked for again: what forks
# faster than it is killed would go on.
end_processes() {
    for round in 1 2 3 4 5; do
        found=$(processes_of "$1")
        [ -n "$found" ] || return 0
        for signal in STOP KILL; do
            for process in $found; do
                kill -s "$signal" "$process" 2> /dev/null || :
            done
        done
        [ "$round" -eq 1 ] || sleep 1
    done
    return 1
}

users=
for user in $HEPIX_SITE_BLOCKED_USERS; do
    # More than this could be a pattern of sshd's or an option; and id takes
    # a number for that of another account.
    case $user in
        [!A-Za-z0-9_]* | *[!A-Za-z0-9._-]*) valid= ;;
        *[!0-9]*) valid=yes ;;
        *) valid= ;;
    esac
    [ -n "$valid" ] \
        || fail 2 'HEPIX_SITE_BLOCKED_USERS has what is no name of a user'
    if [ "$user" = root ] || [ "$(uid_of "$user")" = 0 ]; then
        fail 2 "$user is root, and cannot be blocked"
    fi
    users="$users $user"
done

if [ -e "$sshd_config" ]; then
    block_in_sshd "$users"
    if [ -e /usr/lib/systemd/system/ssh.service ] \
            || [ -e /lib/systemd/system/ssh.service ] \
            || [ -e /etc/init.d/ssh ]; then
        restart ssh
    else
        restart sshd
    fi
elif [ -n "$users" ] && command -v sshd > /dev/null; then
    fail 1 "sshd has no $sshd_config: users could not be blocked there"
elif [ -n "$users" ]; then
    say 'there is no sshd here'
fi

status=0
for user in $users; do
    blocked=yes
    if awk -F: -v user="$user" '$1 == user { yes = 1 } END { exit !yes }' \
            /etc/passwd && ! usermod -L -e 1 "$user"; then
        say "$user: the account could not be locked" >&2
        blocked=
    fi
    if uid=$(uid_of "$user") && ! end_processes "$uid"; then
        say "$user: some processes could not be ended" >&2
        blocked=
    fi
    if [ -n "$blocked" ]; then
        say "$user is blocked"
    else
        status=1
    fi
done
[ -n "$users" ] || say 'HEPIX_SITE_BLOCKED_USERS is empty: nobody is blocked'
exit "$status"
