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

# Tells the site's monitoring what this server is, and starts its agent.
#
# In the epilog: the site's Prometheus asks the agent over the network. The
# agent is Prometheus' node exporter (Debian: prometheus-node-exporter); it
# shows the metric hepix_vm_info, whose labels say which server of which
# project runs which image, and who endorsed it.
#
# HEPIX_SITE_MONITORING_FOLDER  where the agent looks for text files; empty:
#                               the folder of Debian's or of EPEL's package
# HEPIX_SERVER_UUID  HEPIX_SERVER_NAME  HEPIX_SERVER_PROJECT
# HEPIX_SERVER_ZONE  HEPIX_IMAGE_UUID  HEPIX_IMAGE_IDENTIFIER
# HEPIX_IMAGE_ENDORSER  HEPIX_IMAGE_VO  become labels
#
# Writes hepix_vm.prom in that folder.
#
# Without the agent it ends with status 0: the site's Prometheus sees by
# itself that nothing answers.

set -euf
# What a site need not define.
: "${HEPIX_SITE_MONITORING_FOLDER:=}"
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

# publish PATH: standard input becomes the file, for everybody to read. It is
# renamed into place: a reader finds the old one or the new one, never a half.
# The folder, or one above it, may belong to the user of the agent: a link that
# he puts in the way is not followed. By set -C the file is made here, or not.
publish() {
    new=${1%/*}/.${1##*/}.new
    mkdir -p "${1%/*}"
    rm -f "$new"
    (umask 022 && set -C && cat > "$new")
    [ ! -d "$1" ] || fail 1 "$1 is a folder"
    mv -f "$new" "$1"
}

case ${1-} in
    start) ;;
    stop)
        say 'stop: the agent answers until it is stopped'
        exit 0
        ;;
    *) fail 2 'usage: start or stop' ;;
esac

folder=$HEPIX_SITE_MONITORING_FOLDER
case $folder in
    '' | /*) ;;
    *) fail 2 'HEPIX_SITE_MONITORING_FOLDER does not begin with /' ;;
esac
# The names of the program and of its service: Debian's, then EPEL's.
if command -v prometheus-node-exporter > /dev/null; then
    service=prometheus-node-exporter
    folder=${folder:-/var/lib/prometheus/node-exporter}
elif command -v node_exporter > /dev/null; then
    service=node_exporter
    folder=${folder:-/var/lib/node_exporter/textfile_collector}
else
    say 'no node exporter is installed: nothing to do'
    exit 0
fi

# label NAME VALUE: as Prometheus' text format wants it, where \, " and the
# end of a line are escaped in a value.
label() {
    printf '%s="' "$1"
    printf '%s\n' "$2" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
        | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
    printf '"'
}

labels=$(
    label server "$HEPIX_SERVER_UUID" && printf ,
    label name "$HEPIX_SERVER_NAME" && printf ,
    label project "$HEPIX_SERVER_PROJECT" && printf ,
    label zone "$HEPIX_SERVER_ZONE" && printf ,
    label image "$HEPIX_IMAGE_UUID" && printf ,
    label identifier "$HEPIX_IMAGE_IDENTIFIER" && printf ,
    label endorser "$HEPIX_IMAGE_ENDORSER" && printf ,
    label vo "$HEPIX_IMAGE_VO"
)
publish "$folder/hepix_vm.prom" << EOF
# HELP hepix_vm_info What this server is, as the cloud says that runs it.
# TYPE hepix_vm_info gauge
hepix_vm_info{$labels} 1
EOF
if [ -d /run/systemd/system ]; then
    # Without waiting, since it may itself wait for the end of the epilog.
    systemctl --no-block start "$service.service"
else
    service "$service" start
fi || fail 1 "$service could not be started"
say "$service shows hepix_vm_info from $folder"
