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

# What tools/test.sh, tools/demo.sh and tools/constraints.sh share: it is
# read by them, not run.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${HEPIX_VM_VENV:-$ROOT/.venv}
CACHE=${HEPIX_VM_CACHE:-$ROOT/.cache}
unset PYTHONPATH PYTHONHOME

say() {
    printf '== %s\n' "$*"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a command as root; the packages of the system need it.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*." \
            'Run it as root, then start again.'
    fi
}

apt_get() {
    command -v apt-get > /dev/null || die \
        "there is no apt-get here (Debian 12 is expected) for: apt-get $*." \
        'Install the packages by hand, then start again.'
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 "$@"
}

apt_install() {
    say "installing packages of the system: $*"
    apt_get update || die 'apt-get update failed, see above'
    apt_get install -y --no-install-recommends "$@" \
        || die 'apt-get install failed, see above'
}

# A Python that can make a working venv: Debian's lacks ensurepip without
# python3-venv, one built by hand may lack ssl or sqlite3.
python_is_usable() {
    command -v "$1" > /dev/null && "$1" -c '
import ensurepip, sqlite3, ssl, sys, venv
sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1
}

find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        python_is_usable "$PYTHON" || die "PYTHON=$PYTHON is not a Python" \
            '3.11 or later with venv, ssl and sqlite3'
        return
    fi
    for candidate in python3 python3.11 /usr/bin/python3; do
        if python_is_usable "$candidate"; then
            PYTHON=$candidate
            return
        fi
    done
    [[ ${1:-} != again ]] || die 'no Python 3.11 or later with venv, ssl' \
        'and sqlite3 was found; set PYTHON to one'
    apt_install python3 python3-venv
    find_python again
}

# pbr takes the version from git; in a tree without history it must be told.
check_version_source() {
    # Someone else's checkout, as it is under sudo, is refused by git.
    export GIT_CONFIG_COUNT=1
    export GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$ROOT
    [[ -z ${PBR_VERSION:-} && ! -e $ROOT/PKG-INFO ]] || return 0
    command -v git > /dev/null || apt_install git
    [[ -e $ROOT/.git ]] || die "$ROOT is no git checkout, so its version is" \
        'unknown. Say it: PBR_VERSION=0.1.0 before the command.'
    git -C "$ROOT" rev-parse -q --verify HEAD > /dev/null || die \
        "git finds no commit in $ROOT, so its version is unknown." \
        'Say it: PBR_VERSION=0.1.0 before the command.'
}

pip_install() {
    # Without isolation what is built is built with the pinned tools.
    "$VENV/bin/python" -m pip install -qq --no-build-isolation \
        --disable-pip-version-check -c "$ROOT/constraints.txt" "$@" \
        || die 'pip install failed, see above'
}

# Changes when something that pip installs has changed.
fingerprint() {
    (
        cd "$ROOT" || exit
        echo "$VENV"
        "$VENV/bin/python" -VV
        cat constraints.txt requirements.txt test-requirements.txt \
            doc/requirements.txt setup.cfg setup.py pyproject.toml
    ) | sha256sum
}

setup_venv() {
    if ! "$VENV/bin/python" -c 'import pip' 2> /dev/null; then
        find_python
        say "making a Python environment in $VENV with $("$PYTHON" -V)"
        "$PYTHON" -m venv --clear "$VENV" \
            || die "no venv could be made in $VENV"
    fi
    # One that was cut short on its way is completed.
    if ! "$VENV/bin/bindep" --version > /dev/null 2>&1; then
        pip_install pip setuptools wheel pbr bindep
    fi
}

setup_packages() {
    local missing
    if missing=$(cd "$ROOT" && "$VENV/bin/bindep" -b test); then
        return
    fi
    # shellcheck disable=SC2086
    [[ -z $missing ]] || apt_install $missing
    (cd "$ROOT" && "$VENV/bin/bindep" test) \
        || die 'packages of the system are still missing, see above'
}

setup_requirements() {
    local now
    now=$(fingerprint)
    if [[ -e $VENV/fingerprint && $(< "$VENV/fingerprint") == "$now" ]]; then
        return
    fi
    say 'installing the pinned Python packages (a minute or two)'
    rm -f "$VENV/fingerprint"
    pip_install pip setuptools wheel pbr bindep
    # uWSGI is bound to the Python that it was built with; pip's cache may
    # hold one that was built with another.
    pip_install --no-cache-dir --no-deps uWSGI
    pip_install -r "$ROOT/requirements.txt" \
        -r "$ROOT/test-requirements.txt" -r "$ROOT/doc/requirements.txt"
    pip_install --no-deps -e "$ROOT"
    "$VENV/bin/python" -m pip check > /dev/null \
        || die "the packages in $VENV do not fit together: run" \
            "$VENV/bin/python -m pip check, or remove $VENV and start again"
    echo "$now" > "$VENV/fingerprint"
}

# Everything that tests and demonstration need; quick when it is there.
setup_environment() {
    local begin=$SECONDS
    say "checking the environment ($VENV)"
    check_version_source
    setup_venv
    setup_packages
    setup_requirements
    # mkfs.vfat is in /usr/sbin, which users other than root do not have.
    export PATH="$VENV/bin:$PATH:/usr/sbin:/sbin"
    say "the environment is ready ($((SECONDS - begin)) s)"
}

# Unpacks a kernel for the guest, Debian's for clouds or Ubuntu's for virtual
# machines: boot/vmlinuz and lib/modules below HEPIX_VM_KERNEL_DIR. It is not
# installed: that would bring an initramfs, hooks and udev to the machine that
# runs the tests.
setup_kernel() {
    local package work
    export HEPIX_VM_KERNEL_DIR=$CACHE/kernel
    [[ ! -e $HEPIX_VM_KERNEL_DIR/boot/vmlinuz ]] || return 0
    package=$(kernel_package)
    if [[ -z $package ]]; then
        apt_get update || die 'apt-get update failed, see above'
        package=$(kernel_package)
    fi
    [[ -n $package ]] || die 'apt knows no kernel for clouds'
    say "unpacking the guest's kernel, $package, into $CACHE"
    work=$(mktemp -d)
    (
        cd "$work" \
            && { download_kernel "$package" \
                || { apt_get update && download_kernel "$package"; }; } \
            && mkdir tree \
            && for each in ./*.deb; do dpkg-deb -x "$each" tree || exit; done \
            && unpack_modules tree \
            && ln -s "$(basename tree/boot/vmlinuz-*)" tree/boot/vmlinuz
    ) || die "$package could not be fetched, see above"
    mkdir -p "$CACHE"
    rm -rf "$HEPIX_VM_KERNEL_DIR"
    mv "$work/tree" "$HEPIX_VM_KERNEL_DIR"
    rm -rf "$work"
}

# Unpacks Debian's cloud-init, whose reader of drives is tried: it is not
# installed, since it would take this machine for a new server.
setup_cloud_init() {
    local package work
    export HEPIX_VM_CLOUD_INIT_DIR=$CACHE/cloud-init
    [[ ! -e $HEPIX_VM_CLOUD_INIT_DIR ]] || return 0
    say "unpacking cloud-init into $CACHE"
    work=$(mktemp -d)
    (
        cd "$work" || exit
        for package in cloud-init python3-configobj; do
            download "$package" \
                || { apt_get update && download "$package"; } || exit
        done
        for package in ./*.deb; do
            dpkg-deb -x "$package" tree || exit
        done
    ) || die 'cloud-init could not be fetched, see above'
    mkdir -p "$CACHE"
    mv "$work/tree/usr/lib/python3/dist-packages" "$HEPIX_VM_CLOUD_INIT_DIR"
    rm -rf "$work"
}

# Makes the environment of atrope, which reads lists that we publish. It
# cannot be in ours: it needs other versions of what OpenStack needs.
setup_atrope() {
    local wanted=$ROOT/tests/testbed/atrope-requirements.txt
    export HEPIX_VM_ATROPE_DIR=$CACHE/atrope
    cmp -s "$wanted" "$HEPIX_VM_ATROPE_DIR/requirements.txt" && return
    find_python
    say "installing atrope into $HEPIX_VM_ATROPE_DIR"
    mkdir -p "$CACHE"
    "$PYTHON" -m venv --clear "$HEPIX_VM_ATROPE_DIR" \
        || die "no venv could be made in $HEPIX_VM_ATROPE_DIR"
    "$HEPIX_VM_ATROPE_DIR/bin/python" -m pip install -qq --no-deps \
        --disable-pip-version-check -r "$wanted" \
        || die 'atrope could not be installed, see above'
    cp "$wanted" "$HEPIX_VM_ATROPE_DIR/requirements.txt"
}

# The folder is ours alone, so apt cannot change to its own user.
download() {
    apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1"
}

# The image, and where they are not in it, its modules.
download_kernel() {
    local modules
    modules=$(depends_of "$1" linux-modules-)
    download "$1" && { [[ -z $modules ]] || download "$modules"; }
}

# busybox reads modules as they are only.
unpack_modules() {
    find "$1/lib/modules" -name '*.ko.xz' -exec xz -d {} + \
        && find "$1/lib/modules" -name '*.ko.zst' -exec zstd -dq --rm {} +
}

kernel_package() {
    local meta package
    for meta in "linux-image-cloud-$(dpkg --print-architecture)" \
            linux-image-virtual; do
        package=$(depends_of "$meta" linux-image-)
        if [[ -n $package ]]; then
            echo "$package"
            return
        fi
    done
}

# depends_of PACKAGE PREFIX: the versioned package that it brings
depends_of() {
    apt-cache depends "$1" 2> /dev/null \
        | sed -n "s/^ *Depends: \\($2[0-9].*\\)\$/\\1/p" | head -n 1
}
