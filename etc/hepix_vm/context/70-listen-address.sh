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

# An example: makes an application listen on the address of the server.
#
# In the prolog: the application has not started yet, and the address is known
# from the drive before the network is up.
#
# HEPIX_SITE_LISTEN_FILE     the application's file; empty: nothing is done
# HEPIX_SITE_LISTEN_KEY      what the lines begin with that are rewritten; a
#                            blank, = or : comes after it
# HEPIX_SITE_LISTEN_VALUE    what these lines are to say; @ADDRESS@ in it
#                            becomes the address; empty: @ADDRESS@ alone
# HEPIX_SERVER_ADDRESSES     of which the first IPv4 address is taken
#
# Rewrites that file, since not all applications have drop-ins; mode and owner
# stay. Of a line, only what comes after the key and its sign is replaced.
#
# Without the file, the application is not installed, and it ends with status
# 0. If no line begins with the key, the application would listen elsewhere:
# that is status 1.

set -euf
# What a site need not define.
: "${HEPIX_SITE_LISTEN_VALUE:=}"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
# Folders that are made here are for services that are not root as well.
umask 022
part=${0##*/}

say() {
    printf '%s: %s\n' "$part" "$1"
}

# fail STATUS TEXT: 1, this image cannot do it; 2, a value is refused.
fail() {
    printf '%s: %s\n' "$part" "$2" >&2
    exit "$1"
}

case ${1-} in
    start) ;;
    stop)
        say 'stop: the address stays'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

file=$HEPIX_SITE_LISTEN_FILE
if [ -z "$file" ]; then
    say 'HEPIX_SITE_LISTEN_FILE is empty: nothing is done'
    exit 0
fi
case $file in
    /*) ;;
    *) fail 2 'HEPIX_SITE_LISTEN_FILE does not begin with /' ;;
esac
case $HEPIX_SITE_LISTEN_KEY in
    '' | *'
'*) fail 2 'HEPIX_SITE_LISTEN_KEY is empty or has a line break' ;;
esac
case $HEPIX_SITE_LISTEN_VALUE in
    *'
'*) fail 2 'HEPIX_SITE_LISTEN_VALUE has a line break' ;;
esac
if [ ! -e "$file" ]; then
    say "there is no $file: nothing is done"
    exit 0
fi

address=
for candidate in $HEPIX_SERVER_ADDRESSES; do
    case $candidate in
        *:* | *[!0-9./]*) ;;
        *)
            address=${candidate%/*}
            break
            ;;
    esac
done
[ -n "$address" ] || fail 1 'the server has no IPv4 address'

# A link stays a link. The copy has mode and owner of the file, and takes its
# place when it is whole.
file=$(readlink -f "$file")
new=${file%/*}/.${file##*/}.new
trap 'rm -f "$new"' EXIT
cp -p "$file" "$new"
# Values are data: they come by the environment, where awk looks for no
# escapes, and are compared and joined, never taken for expressions. The
# address is digits and dots.
key=$HEPIX_SITE_LISTEN_KEY address=$address \
    value=${HEPIX_SITE_LISTEN_VALUE:-@ADDRESS@} awk '
    BEGIN {
        key = ENVIRON["key"]
        value = ENVIRON["value"]
        gsub(/@ADDRESS@/, ENVIRON["address"], value)
    }
    {
        match($0, /^[ \t]*/)
        start = substr($0, 1, RLENGTH)
        rest = substr($0, RLENGTH + 1)
        if (substr(rest, 1, length(key)) == key) {
            rest = substr(rest, length(key) + 1)
            if (match(rest, /^([ \t]*[=:][ \t]*|[ \t]+)/)) {
                $0 = start key substr(rest, 1, RLENGTH) value
                found = 1
            }
        }
        print
    }
    END { exit !found }' "$file" > "$new" \
    || fail 1 "no line of $file begins with the key"
if cmp -s "$new" "$file"; then
    say "$file has the address $address already"
else
    mv -f "$new" "$file"
    say "$file has the address $address"
fi
