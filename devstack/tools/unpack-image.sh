#!/bin/bash
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

# Says what DevStack's upload_image brings into Glance for one of IMAGE_URLS:
# a line for each image, with its format, its file and its name, separated by
# tabs. What has to be unpacked for that is unpacked into FOLDER.

set -euo pipefail

if [[ $# -ne 3 ]]; then
    echo 'usage: unpack-image.sh URL FILE FOLDER' >&2
    exit 2
fi
url=$1
file=$2
folder=$3
name=${url##*/}

# die TEXT: the remedy is that of who called us.
die() {
    printf '%s: %s\n' "$url" "$1" >&2
    exit 1
}

image() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3"
}

# unpacked FORMAT PROGRAM...: what the program makes of the file
unpacked() {
    local format=$1
    shift
    "$@" "$file" > "$folder/unpacked"
    image "$format" "$folder/unpacked" "$name"
}

# Of a disk in two files DevStack uploads the one that it guesses.
vmdk() {
    local kind
    kind=$(head -n 25 "$file" | grep -a -m 1 -o 'createType="[^"]*"' || :)
    case $kind in
        *'"monolithicSparse"' | *'"streamOptimized"') ;;
        *) die "a VMDK that is not one file cannot be endorsed here" ;;
    esac
    image VMDK "$file" "$name"
}

# first PATTERN...: the first file there is, as DevStack finds it
first() {
    local path
    for path; do
        if [[ -f $path ]]; then
            printf '%s\n' "$path"
            return
        fi
    done
}

# A kernel, a ramdisk and a file system, in one archive.
archive() {
    local disk kernel ramdisk
    tar -xzf "$file" -C "$folder"
    kernel=$(first "$folder/"*-vmlinuz* "$folder/"aki-*/image)
    ramdisk=$(first "$folder/"*-initrd* "$folder/"ari-*/image)
    disk=$(first "$folder/"*.img "$folder/"ami-*/image)
    [[ -n $disk ]] || die "there is no *.img in this archive"
    [[ -z $kernel ]] || image AKI "$kernel" "$name: kernel"
    [[ -z $ramdisk ]] || image ARI "$ramdisk" "$name: ramdisk"
    image AMI "$disk" "$name"
}

img() {
    local format
    format=$(qemu-img info "$file" | awk '/^file format/ { print $3; exit }')
    case $format in
        qcow2 | vdi | vmdk) image "${format^^}" "$file" "$name" ;;
        vpc) die "Glance does not know the format that DevStack names, vpc" ;;
        *) image RAW "$file" "$name" ;;
    esac
}

case $url in
    *openvz*)
        image AMI "$file" "$name"
        exit
        ;;
    *.vmdk*)
        vmdk
        exit
        ;;
    *.hds*)
        image PLOOP "$file" "$name"
        exit
        ;;
esac
case $name in
    *.tar.gz | *.tgz) archive ;;
    *.img) img ;;
    *.img.gz) unpacked RAW zcat --force ;;
    *.img.bz2) unpacked QCOW2 bunzip2 -cdk ;;
    *.qcow2) image QCOW2 "$file" "$name" ;;
    *.qcow2.xz) unpacked QCOW2 xz -cdk ;;
    *.raw) image RAW "$file" "$name" ;;
    *.iso) image ISO "$file" "$name" ;;
    *.vhd) image VHD "$file" "$name" ;;
    *.vhdx) image VHDX "$file" "$name" ;;
    *.vhd.gz) unpacked VHD zcat --force ;;
    *.vhdx.gz) unpacked VHDX zcat --force ;;
    *) die "DevStack does not know images of this name" ;;
esac
