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

# A prolog: installs the host certificate of this server, and its key, where
# grid middleware looks for them:
#
#   /etc/grid-security/hostcert.pem  0644
#   /etc/grid-security/hostkey.pem   0400
#
# The source hostcert puts both on the drive, in context/. Name this part in
# a rule of context.yaml, before all that needs the certificate:
#
#   rules:
#     - match: {}
#       prolog: [05-hostcert.sh]
#
# What a server was given once is installed once: a certificate that was
# renewed in the server since then stays at the next start.

set -eu

case ${1:-start} in
    start) ;;
    stop) exit 0 ;;
    *)
        echo "usage: ${0##*/} start|stop" >&2
        exit 2
        ;;
esac

target=/etc/grid-security
given=$target/.hostcert-of-drive.pem
new=$target/.new

# The driver starts it at the root of the drive.
if [ ! -s context/hostcert.pem ] || [ ! -s context/hostkey.pem ]; then
    echo 'There is no host certificate on the drive: context_sources of' \
        'hepix-vm.conf has to name hostcert.' >&2
    exit 1
fi

if [ -s "$target/hostcert.pem" ] && [ -s "$target/hostkey.pem" ] \
    && [ -s "$given" ] \
    && [ "$(cat "$given")" = "$(cat context/hostcert.pem)" ]; then
    exit 0
fi

umask 077
if [ ! -d "$target" ]; then
    mkdir -p "$target"
    chmod 755 "$target"
fi
# What is left of an attempt that was cut short, if it was.
rm -rf "$new"
mkdir "$new"
cp context/hostkey.pem "$new/hostkey.pem"
chmod 400 "$new/hostkey.pem"
cp context/hostcert.pem "$new/hostcert.pem"
cp context/hostcert.pem "$new/given"
chmod 644 "$new/hostcert.pem" "$new/given"

# Each is there whole or not at all. What is cut short here is done again at
# the next start: the last one says that all is done.
sync
mv -f "$new/hostkey.pem" "$target/hostkey.pem"
mv -f "$new/hostcert.pem" "$target/hostcert.pem"
mv -f "$new/given" "$given"
rmdir "$new"
