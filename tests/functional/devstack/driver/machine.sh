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

# What DevStack, or the shim of it, cannot know of the machine of the tests.

# What lies in /etc lies below the folder of the machine.
settle() {
    local name
    for name in "${!APACHE_@}" "${!CINDER_@}" "${!GLANCE_@}" "${!NOVA_@}" \
            "${!OPENSTACKCLIENT_@}" "${!PLACEMENT_@}" "${!SYSTEMD_@}"; do
        if [[ ${!name} == /etc/* ]]; then
            printf -v "$name" %s "$MACHINE/root${!name}"
        fi
    done
    # As a file of lib/databases registers itself.
    DATABASE_BACKENDS+=' sqlite'
    DATABASE_TYPE=sqlite
    REQUIREMENTS_DIR=''
    PYTHON=$VENV/bin/python3
    MEMCACHE_SERVERS=''
    APACHE_LOCAL_HOST=127.0.0.1
    KEYSTONE_SERVICE_URI=$MACHINE_KEYSTONE
    KEYSTONE_SERVICE_URI_V3=$MACHINE_KEYSTONE/v3
    KEYSTONE_AUTH_URI=$MACHINE_KEYSTONE
    KEYSTONE_AUTH_URI_V3=$MACHINE_KEYSTONE/v3
    # Without Apache, Glance is asked where uWSGI listens.
    GLANCE_URL=http://127.0.0.1:$MACHINE_GLANCE_PORT
}

configure_services() {
    mkdir -p "$SYSTEMD_DIR"
    if is_service_enabled glance; then
        configure_glance
        # The shared folder of all imports is one of this machine; and it
        # may fetch from the tests.
        iniset "$GLANCE_API_CONF" DEFAULT node_staging_uri \
            "file://$DATA_DIR/glance/staging"
        mkdir -p "$DATA_DIR/glance/staging"
        iniset "$GLANCE_API_CONF" DEFAULT metadata_source_path \
            "$GLANCE_METADEF_DIR"
        iniset "$GLANCE_IMAGE_IMPORT_CONF" import_filtering_opts \
            allowed_schemes '[http]'
        iniset "$GLANCE_IMAGE_IMPORT_CONF" import_filtering_opts \
            allowed_hosts '[127.0.0.1]'
        iniset "$GLANCE_IMAGE_IMPORT_CONF" import_filtering_opts \
            allowed_ports "[$MACHINE_WEB_PORT]"
    fi
    if is_service_enabled cinder; then
        configure_cinder
    fi
    if is_service_enabled nova; then
        mkdir -p "$NOVA_CONF_DIR"
        if is_service_enabled n-api; then
            cp "$NOVA_DIR/etc/nova/api-paste.ini" "$NOVA_CONF_DIR"
        fi
        create_nova_conf
    fi
}

prepare_services() {
    mkdir -p "$OPENSTACKCLIENT_CONF_DIR"
    write_clouds_yaml
    export OS_CLOUD=devstack-admin
    if is_service_enabled glance; then
        get_or_create_service glance image 'Glance Image Service'
        get_or_create_endpoint image "$REGION_NAME" "$GLANCE_URL"
        init_glance
    fi
}

get_random_port() {
    echo "$MACHINE_GLANCE_PORT"
}

# A database is a file; with the tables that a release has, which are slow
# to make.
database_connection_url_sqlite() {
    echo "sqlite:///$DATA_DIR/$1.sqlite?timeout=60"
}

recreate_database_sqlite() {
    cp "$MACHINE/databases/$1.sqlite" "$DATA_DIR/$1.sqlite"
}

# What DevStack installs is written down, and is there.
pip_install() {
    echo "pip install $*" >> "$MACHINE/record/installed"
}

pip_install_gr() {
    pip_install "$@"
}

pip_uninstall() {
    echo "pip uninstall $* ${PIP_VIRTUAL_ENV:-}" >> "$MACHINE/record/installed"
}

install_package() {
    echo "package $*" >> "$MACHINE/record/installed"
}

restart_apache_server() {
    echo apache >> "$MACHINE/record/restarted"
}

enable_apache_mod() {
    echo "apache module $1" >> "$MACHINE/record/installed"
}

get_transport_url() {
    echo 'fake://'
}

get_notification_url() {
    echo 'fake://'
}

rpc_backend_add_vhost() {
    : "$1"
}

# Rootwrap has no part in the plugin, and writes to /etc/sudoers.d.
configure_rootwrap() {
    : "$1"
}
