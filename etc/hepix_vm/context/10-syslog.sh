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

# Sends the logs of the server to the site's collector, by rsyslog.
#
# In the prolog: what the network and the services log as they start is to be
# sent as well. The collector knows the sender by the UUID of the server,
# which stands where a syslog message has the name of the host: names are
# chosen by users, UUIDs are not.
#
# HEPIX_SITE_SYSLOG_SERVER    name or address of the collector; empty: nothing
#                             is sent
# HEPIX_SITE_SYSLOG_PORT      empty: 514, with tls 6514
# HEPIX_SITE_SYSLOG_PROTOCOL  tcp, tls or udp; empty: tcp. By udp, what
#                             is said before there is a network is lost
# HEPIX_SITE_SYSLOG_CA        for tls: which of the files of the rule holds
#                             the certificate of the collector's CA
# HEPIX_SERVER_UUID           stands in every message
#
# Writes /etc/rsyslog.d/00-hepix-vm.conf, first of all drop-ins so that none
# of the image's can withhold messages, and where the journal has to pass them
# on, /etc/systemd/journald.conf.d/hepix-vm.conf.
#
# Without rsyslog it ends with status 1: the site counts on these logs.

set -euf
# What a site need not define.
: "${HEPIX_SITE_SYSLOG_PORT:=}" "${HEPIX_SITE_SYSLOG_PROTOCOL:=}" \
    "${HEPIX_SITE_SYSLOG_CA:=}"
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

is_port() {
    case $1 in
        '' | 0* | *[!0-9]* | ??????*) return 1 ;;
    esac
    [ "$1" -le 65535 ]
}

conf=/etc/rsyslog.d/00-hepix-vm.conf
ca=/etc/rsyslog.d/hepix-vm-ca.pem
journald=/etc/systemd/journald.conf.d/hepix-vm.conf

case ${1-} in
    start) ;;
    stop)
        # What the services say as they stop is to be sent as well.
        say 'stop: messages are sent until rsyslog stops'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

server=$HEPIX_SITE_SYSLOG_SERVER
protocol=${HEPIX_SITE_SYSLOG_PROTOCOL:-tcp}
if [ -z "$server" ]; then
    drop "$conf"
    drop "$ca"
    restart rsyslog
    changed=
    drop "$journald"
    restart systemd-journald
    say 'HEPIX_SITE_SYSLOG_SERVER is empty: no logs are sent'
    exit 0
fi
is_host "$server" || fail 2 'HEPIX_SITE_SYSLOG_SERVER is no name or address'
case $protocol in
    udp | tcp) port=514 ;;
    tls) port=6514 ;;
    *) fail 2 'HEPIX_SITE_SYSLOG_PROTOCOL is none of tcp, tls, udp' ;;
esac
port=${HEPIX_SITE_SYSLOG_PORT:-$port}
is_port "$port" || fail 2 'HEPIX_SITE_SYSLOG_PORT is no port'
case $HEPIX_SERVER_UUID in
    *[!0-9A-Za-z-]*) fail 2 'HEPIX_SERVER_UUID is no UUID' ;;
esac

command -v rsyslogd > /dev/null \
    || fail 1 'rsyslog is not installed: the logs stay on this server'
grep -q '^[^#]*/etc/rsyslog\.d/' /etc/rsyslog.conf \
    || fail 1 '/etc/rsyslog.conf does not read the folder /etc/rsyslog.d'

# The file of a network driver of rsyslog's, which may be a package of its own.
has_driver() {
    for library in /usr/lib/rsyslog /usr/lib64/rsyslog /usr/lib/*/rsyslog; do
        [ ! -e "$library/lmnsd_$1.so" ] || return 0
    done
    return 1
}

authority=
tls=
if [ "$protocol" = tls ]; then
    case $HEPIX_SITE_SYSLOG_CA in
        '' | .* | *[!A-Za-z0-9._-]*)
            fail 2 'HEPIX_SITE_SYSLOG_CA is no name of a file' ;;
    esac
    [ -f "context/files/$HEPIX_SITE_SYSLOG_CA" ] \
        || fail 2 "no file $HEPIX_SITE_SYSLOG_CA came with the context"
    set +f  # The folder of libraries bears the name of the architecture.
    # ossl asks a collector that it does not believe again and again without
    # a pause, at least in rsyslog 8.2302.
    if has_driver gtls; then
        driver=gtls
    elif has_driver ossl; then
        driver=ossl
    else
        fail 1 'rsyslog has no TLS: rsyslog-gnutls is not installed'
    fi
    set -f
    put "$ca" 0644 < "context/files/$HEPIX_SITE_SYSLOG_CA"
    authority="global(DefaultNetstreamDriverCAFile=\"$ca\")"
    tls="StreamDriver=\"$driver\" StreamDriverMode=\"1\"
        StreamDriverAuthMode=\"x509/name\"
        StreamDriverPermittedPeers=\"$server\""
    protocol=tcp
else
    drop "$ca"
fi

# The queue is in memory: a collector that is away, as it is before there is
# a network, delays nothing on this server, but the end by two seconds.
put "$conf" 0644 << EOF
# Written by $part of the site's context.
$authority
template(name="HepixVm" type="string"
    string="<%PRI%>1 %TIMESTAMP:::date-rfc3339% \
${HEPIX_SERVER_UUID:-%HOSTNAME%} %APP-NAME% %PROCID% %MSGID% \
%STRUCTURED-DATA% %msg%\n")
action(type="omfwd" target="$server" port="$port" protocol="$protocol"
    template="HepixVm" action.resumeRetryCount="-1"
    action.resumeInterval="5" queue.type="LinkedList" queue.size="10000"
    queue.timeoutShutdown="2000"
    $tls)
EOF
restart rsyslog

# rsyslog may read the journal itself; else journald has to pass it on.
if [ -d /usr/lib/systemd ] \
        && ! grep -rqs '^[^#]*imjournal' /etc/rsyslog.conf /etc/rsyslog.d; then
    changed=
    put "$journald" 0644 << EOF
# Written by $part of the site's context.
[Journal]
ForwardToSyslog=yes
EOF
    restart systemd-journald
fi
say "logs are sent to $server, port $port, $protocol${tls:+ with TLS}"
