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

# Says on the console that the epilog ran, and what is known of the image,
# for who tries this cloud. Only the vendordata service tells of the image.
#
# HEPIX_SITE_CLOUD   what DevStack calls its region
# HEPIX_SERVER_NAME  may have anything in it
# HEPIX_IMAGE_VO     empty, where the image is endorsed for none

set -euf

case ${1-} in
    start | stop) ;;
    *)
        echo 'usage: start or stop' >&2
        exit 2
        ;;
esac
printf 'hepix-vm: epilog of %s for server %s, VO %s: %s\n' \
    "$HEPIX_SITE_CLOUD" "$HEPIX_SERVER_NAME" "$HEPIX_IMAGE_VO" "$1"
