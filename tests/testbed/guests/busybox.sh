#!/bin/busybox sh
# shellcheck shell=dash
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

# The first program of the small guest: Debian's way to start the scripts of
# SysV init, without the rest of it.

/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin /proc /sys /dev /run /tmp \
    /var /root
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# As Debian's initramfs has it.
mount -t tmpfs -o noexec,nosuid,nodev run /run
mkdir -p /etc/rcS.d /etc/rc2.d /etc/rc0.d
cp -a /overlay/. /
while read -r module; do
    modprobe "$module"
done < /etc/modules
ln -s ../init.d/networking /etc/rcS.d/S10networking
ln -s ../init.d/networking /etc/rc0.d/K05networking
sh /guest/install.sh
echo 'guest: starts'
for script in /etc/rcS.d/S* /etc/rc2.d/S*; do
    "$script" start
    status=$?
    [ "$status" -eq 0 ] || echo "guest: $script: status $status"
done
if [ -x /usr/local/sbin/guest-check ]; then
    /usr/local/sbin/guest-check
fi
echo 'guest: stops'
for script in /etc/rc0.d/K*; do
    "$script" stop
done
poweroff -f
