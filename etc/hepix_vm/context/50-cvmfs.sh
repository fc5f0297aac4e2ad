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

# Gives the software of the VO to the server: CVMFS through the site's Squid.
#
# In the epilog: it mounts the repositories once, over the network, to know
# that jobs will find them.
#
# HEPIX_SITE_SQUID               proxies as CVMFS_HTTP_PROXY has them:
#                                http://a:3128|http://b:3128;DIRECT
#                                empty: nothing is set
# HEPIX_SITE_CVMFS_REPOSITORIES  names, separated by commas; empty: those that
#                                the image has
# HEPIX_SITE_CVMFS_QUOTA         size of the cache in MB; empty: CVMFS's own
#
# Writes /etc/cvmfs/default.d/90-hepix-vm.conf. What the image has itself in
# /etc/cvmfs/default.local is read after that, and would win: if it sets the
# same, that is said, and the status is 1.
#
# Without CVMFS, or if the repositories do not answer within two minutes, it
# ends with status 1: the jobs of the VO would fail here, one by one.

set -euf
# What a site need not define.
: "${HEPIX_SITE_CVMFS_REPOSITORIES:=}" "${HEPIX_SITE_CVMFS_QUOTA:=}"
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

case ${1-} in
    start) ;;
    stop)
        say 'stop: the repositories stay until CVMFS ends'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

conf=/etc/cvmfs/default.d/90-hepix-vm.conf

# CVMFS has a shell read its files. So these are all the characters that a
# value may have, none of which a shell knows between single quotes.
case $HEPIX_SITE_SQUID in
    *[!]A-Za-z0-9.:/\|\;_[-]*)
        fail 2 'HEPIX_SITE_SQUID is no list of proxies' ;;
esac
case $HEPIX_SITE_CVMFS_REPOSITORIES in
    *[!A-Za-z0-9.,_-]*)
        fail 2 'HEPIX_SITE_CVMFS_REPOSITORIES is no list of names' ;;
esac
case $HEPIX_SITE_CVMFS_QUOTA in
    *[!0-9]*) fail 2 'HEPIX_SITE_CVMFS_QUOTA is no number' ;;
esac

# What is not mounted yet reads the new file when it is.
reload() {
    if [ -n "$changed" ] && command -v cvmfs_config > /dev/null; then
        timeout 60 cvmfs_config reload || say 'CVMFS could not be reloaded' >&2
    fi
}

if [ -z "$HEPIX_SITE_SQUID" ]; then
    drop "$conf"
    reload
    say 'HEPIX_SITE_SQUID is empty: nothing is set'
    exit 0
fi
command -v cvmfs_config > /dev/null || fail 1 'CVMFS is not installed'

# setting NAME VALUE: a line, unless the value is empty.
setting() {
    [ -z "$2" ] || printf "%s='%s'\n" "$1" "$2"
}

put "$conf" 0644 << EOF
# Written by $part of the site's context.
$(setting CVMFS_HTTP_PROXY "$HEPIX_SITE_SQUID"
setting CVMFS_REPOSITORIES "$HEPIX_SITE_CVMFS_REPOSITORIES"
setting CVMFS_QUOTA_LIMIT "$HEPIX_SITE_CVMFS_QUOTA")
EOF
reload

status=0
for name in CVMFS_HTTP_PROXY CVMFS_REPOSITORIES CVMFS_QUOTA_LIMIT; do
    if grep -q "^$name=" "$conf" \
            && grep -qs "^[^#]*$name=" /etc/cvmfs/default.local; then
        say "/etc/cvmfs/default.local sets $name: the image's value holds" >&2
        status=1
    fi
done
# Without a list of repositories there is nothing to ask for.
if ! timeout 120 cvmfs_config probe; then
    say 'a repository does not answer' >&2
    status=1
fi
say "the proxies of CVMFS are $HEPIX_SITE_SQUID"
exit "$status"
