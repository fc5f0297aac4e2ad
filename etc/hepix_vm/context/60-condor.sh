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

# Makes the server a worker of the site's batch system, HTCondor.
#
# In the epilog: a worker reports to the central manager over the network,
# and is to report only when the other parts have done their work; so list it
# last.
#
# HEPIX_SITE_CONDOR_HOST     the central manager, or several, separated by
#                            commas; empty: the server is no worker
# HEPIX_SITE_CONDOR_START    which jobs may start here, an expression; empty:
#                            those of the image's VO, by their proxy
#                            certificate; if that is unknown, all
# HEPIX_SITE_CONDOR_DRAIN    seconds that jobs have to end when the server is
#                            stopped; empty: 45, since Nova gives a server 60
# HEPIX_SECRET_CONDOR_TOKEN  the token (IDTOKENS) that the pool accepts
#                            workers with; empty: the image has its own way
# HEPIX_SERVER_UUID  HEPIX_IMAGE_IDENTIFIER  HEPIX_IMAGE_ENDORSER
# HEPIX_IMAGE_VO             what jobs may ask for: HepixServer, HepixImage,
#                            HepixEndorser and HepixVo
#
# Writes /etc/condor/config.d/90-hepix-vm.conf, and the token into
# /run/hepix-vm-condor: never onto the disk, of which snapshots are made.
#
# Without HTCondor it ends with status 1: a worker that does not report is
# what the site would look for.

set -euf
# What a site need not define.
: "${HEPIX_SITE_CONDOR_START:=}" "${HEPIX_SITE_CONDOR_DRAIN:=}" \
    "${HEPIX_SECRET_CONDOR_TOKEN:=}"
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

conf=/etc/condor/config.d/90-hepix-vm.conf
tokens=/run/hepix-vm-condor
host=$HEPIX_SITE_CONDOR_HOST
drain=${HEPIX_SITE_CONDOR_DRAIN:-45}
token=$HEPIX_SECRET_CONDOR_TOKEN
# Nothing that is started from here shall find it in its environment.
unset HEPIX_SECRET_CONDOR_TOKEN

case $drain in
    *[!0-9]* | ??????*) fail 2 'HEPIX_SITE_CONDOR_DRAIN is no number' ;;
esac

# Jobs are told to end, and what has not ended by then is not waited for.
stop_worker() {
    if [ -e "$conf" ] && pidof condor_startd > /dev/null; then
        timeout 10 condor_off -graceful -daemon startd || :
        waited=0
        while [ "$waited" -lt "$drain" ]; do
            pidof condor_startd > /dev/null || break
            sleep 1
            waited=$((waited + 1))
        done
    fi
    rm -rf "$tokens"
}

case ${1-} in
    start) ;;
    stop)
        stop_worker
        say 'stop: no jobs run here any more, or they had their time'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

case $host in
    -* | *[!A-Za-z0-9.:,-]*) fail 2 'HEPIX_SITE_CONDOR_HOST is no name' ;;
esac
# A line break would begin a setting of its own, and a backslash at the end
# join the next one to it.
case $HEPIX_SITE_CONDOR_START in
    *'
'* | *\\) fail 2 'HEPIX_SITE_CONDOR_START is no expression in a line' ;;
esac
case $token in
    *[!A-Za-z0-9._=-]*) fail 2 'HEPIX_SECRET_CONDOR_TOKEN is no token' ;;
esac

if [ -z "$host" ]; then
    drop "$conf"
    rm -rf "$tokens"
    say 'HEPIX_SITE_CONDOR_HOST is empty: the server is no worker'
    exit 0
fi
command -v condor_master > /dev/null || fail 1 'HTCondor is not installed'

# text VALUE: a string of a ClassAd in a file of HTCondor's, where \ and " are
# escaped, and $ may begin the name of a setting.
text() {
    case $1 in
        *'
'*) fail 2 'what the image says of itself has a line break' ;;
    esac
    # shellcheck disable=SC2016  # $(DOLLAR) is HTCondor's, not the shell's.
    escaped=$(printf '%s\n' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
        -e 's/\$/$(DOLLAR)/g')
    printf '"%s"' "$escaped"
}

server=$(text "$HEPIX_SERVER_UUID")
image=$(text "$HEPIX_IMAGE_IDENTIFIER")
endorser=$(text "$HEPIX_IMAGE_ENDORSER")
vo=$(text "$HEPIX_IMAGE_VO")
if [ -n "$HEPIX_SITE_CONDOR_START" ]; then
    jobs=$HEPIX_SITE_CONDOR_START
elif [ -n "$HEPIX_IMAGE_VO" ]; then
    jobs="TARGET.x509UserProxyVOName =?= $vo"
else
    jobs=True
fi
directory=
if [ -n "$token" ]; then
    (umask 077 && mkdir -p "$tokens")
    chmod 0700 "$tokens"
    put "$tokens/hepix-vm" 0600 << EOF
$token
EOF
    directory="SEC_TOKEN_SYSTEM_DIRECTORY = $tokens"
else
    rm -rf "$tokens"
fi

# CCB and the shared port: the worker has to be reached from nowhere.
put "$conf" 0644 << EOF
# Written by $part of the site's context.
CONDOR_HOST = $host
DAEMON_LIST = MASTER, STARTD
USE_SHARED_PORT = True
CCB_ADDRESS = \$(COLLECTOR_HOST)
$directory
HepixServer = $server
HepixImage = $image
HepixEndorser = $endorser
HepixVo = $vo
STARTD_ATTRS = \$(STARTD_ATTRS) HepixServer HepixImage HepixEndorser HepixVo
START = $jobs
EOF

# A master that began before has read other files, and has no jobs yet; one
# that has read these keeps its jobs.
verb=${changed:+restart}
verb=${verb:-start}
if [ -d /run/systemd/system ]; then
    # Without waiting, since it may itself wait for the end of the epilog.
    systemctl --no-block "$verb" condor.service
else
    service condor "$verb"
fi || fail 1 'HTCondor could not be started'
say "this server is a worker of $host, for jobs with: $jobs"
