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

# The initramfs of the Debian guest: installs into its root file system, as
# an image producer does, and starts it.

/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin /proc /sys /dev /root
/bin/busybox --install -s
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
modprobe virtio_pci
modprobe virtio_blk
while ! [ -b /dev/vda ]; do
    sleep 0.1
done
mount -t ext4 /dev/vda /root
cp -a /lib/modules /root/lib/
sh /guest/install.sh --root /root
cp -a /overlay/. /root/
mkdir -p /root/etc/systemd/system/multi-user.target.wants
ln -s ../guest-end.service \
    /root/etc/systemd/system/multi-user.target.wants/guest-end.service
# As Debian's initramfs has it.
mount -t tmpfs -o noexec,nosuid,nodev,mode=755 run /root/run
echo 'guest: starts'
umount /proc /sys
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
