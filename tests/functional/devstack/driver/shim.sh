#!/bin/bash
# This is a shim: it stands in for DevStack where there is no checkout of it.
#
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

# Those functions of DevStack that the plugin calls, in the least that does
# the same. The configuration files are the samples that the packages of
# Glance, Nova and Cinder bring.

declare -A GITDIR

load_devstack() {
    local name
    GLOBAL_VENV=True
    DATABASE_BACKENDS=''
    DISABLED_SERVICES=''
    DEVSTACK_PLUGINS=''
    SYSTEMD_DIR=/etc/systemd/system
    SYSTEMCTL='sudo systemctl'
    APACHE_CONF_DIR=/etc/apache2/sites-available
    OPENSTACKCLIENT_CONF_DIR=/etc/openstack
    GLANCE_CONF_DIR=/etc/glance
    NOVA_CONF_DIR=/etc/nova
    CINDER_CONF_DIR=/etc/cinder
    for name in NOVA CINDER GLANCE; do
        printf -v "${name}_USE_SERVICE_TOKEN" True
    done
    GLANCE_API_CONF=$GLANCE_CONF_DIR/glance-api.conf
    GLANCE_API_PASTE_INI=$GLANCE_CONF_DIR/glance-api-paste.ini
    GLANCE_IMAGE_IMPORT_CONF=$GLANCE_CONF_DIR/glance-image-import.conf
    GLANCE_METADEF_DIR=$GLANCE_CONF_DIR/metadefs
    GLANCE_UWSGI_CONF=$GLANCE_CONF_DIR/glance-uwsgi.ini
    NOVA_CONF=$NOVA_CONF_DIR/nova.conf
    NOVA_CPU_CONF=$NOVA_CONF_DIR/nova-cpu.conf
    NOVA_API_PASTE_INI=$NOVA_CONF_DIR/api-paste.ini
    NOVA_UWSGI_CONF=$NOVA_CONF_DIR/nova-api-uwsgi.ini
    CINDER_CONF=$CINDER_CONF_DIR/cinder.conf
    REGION_NAME=RegionOne
    SERVICE_HOST=127.0.0.1
    SERVICE_TIMEOUT=60
    SERVICE_DOMAIN_NAME=Default
    SERVICE_PROJECT_NAME=service
    VIRT_DRIVER=libvirt
    # shellcheck source=/dev/null
    source "$TOP_DIR/.localrc.auto"
    SSL_BUNDLE_FILE=$DATA_DIR/ca-bundle.pem
    GLANCE_DIR=$DEST/glance
    NOVA_DIR=$DEST/nova
    CINDER_DIR=$DEST/cinder
    source "$HERE/machine.sh"
    source "$HERE/shim-ini.sh"
    source "$HERE/shim-services.sh"
}

# Plugins and phases
# ------------------

enable_plugin() {
    DEVSTACK_PLUGINS+=" $1"
    GITDIR[$1]=$DEST/$1
}

define_plugin() {
    : "$1"
}

load_plugin_settings() {
    local plugin
    for plugin in $DEVSTACK_PLUGINS; do
        # shellcheck source=/dev/null
        source "${GITDIR[$plugin]}/devstack/settings"
    done
}

run_phase() {
    local plugin
    if [[ $1 == source ]]; then
        load_plugin_settings
        return
    fi
    for plugin in $DEVSTACK_PLUGINS; do
        # shellcheck source=/dev/null
        source "${GITDIR[$plugin]}/devstack/plugin.sh" "$1" "${2:-}"
    done
}

# Services that are enabled
# -------------------------

enable_service() {
    local name
    for name in "$@"; do
        case ,$DISABLED_SERVICES,$ENABLED_SERVICES, in
            *,$name,*) ;;
            *) ENABLED_SERVICES+=,$name ;;
        esac
    done
}

disable_service() {
    local name
    for name in "$@"; do
        DISABLED_SERVICES+=,$name
        ENABLED_SERVICES=,$ENABLED_SERVICES,
        ENABLED_SERVICES=${ENABLED_SERVICES/,$name,/,}
    done
}

# Whether one of them is; the name of a project stands for its services.
is_service_enabled() {
    local name
    # shellcheck disable=SC2048
    for name in $*; do
        case $name in
            keystone) name=key ;;
            glance) name='g-*' ;;
            nova) name='n-*' ;;
            cinder) name='c-*' ;;
            neutron) name='q-*' ;;
            placement) name='placement-*' ;;
        esac
        # What stands for several is a pattern.
        # shellcheck disable=SC2053
        if [[ ,$ENABLED_SERVICES, == *,$name,* ]]; then
            return 0
        fi
    done
    return 1
}

# Words
# -----

trueorfalse() {
    local value=${!2:-$1}
    case ${value,,} in
        1 | yes | y | true | enabled) echo True ;;
        *) echo False ;;
    esac
}

echo_summary() {
    echo "$@"
}

die() {
    echo "[ERROR] $*" >&2
    exit 1
}

warn() {
    echo "[WARNING] $*" >&2
}

async_wait() {
    : "$@"
}

# There is no local.conf here.
merge_config_group() {
    : "$@"
}

is_ubuntu() {
    true
}

is_arch() {
    [[ $(uname -m) == "$1" ]]
}

# What the shim lacks is an error, also where a plugin asks "if not".
command_not_found_handle() {
    echo "$1 is not in the shim" | tee -a "$MACHINE/record/refused" >&2
    return 127
}

# Python
# ------

get_python_exec_prefix() {
    if [[ $GLOBAL_VENV == True ]]; then
        echo "$DEVSTACK_VENV/bin"
    else
        echo /usr/local/bin
    fi
}

# vercmp VERSION "<" VERSION
vercmp() {
    [[ $1 != "$3" && $1 == "$(printf '%s\n' "$1" "$3" | sort -V | head -1)" ]]
}

setup_develop() {
    pip_install -e "$1"
}
