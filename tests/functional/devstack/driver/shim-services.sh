#!/bin/bash
# This is a part of the shim that stands in for DevStack: its services.
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

database_connection_url() {
    database_connection_url_sqlite "$1"
}

# Keystone
# --------

_shim_admin() {
    openstack --os-cloud devstack-admin "$@"
}

create_service_user() {
    local role
    _shim_admin user create "$1" --password "$SERVICE_PASSWORD" \
        --domain "$SERVICE_DOMAIN_NAME" --or-show -f value -c id
    for role in service ${2:-}; do
        _shim_admin role add "$role" --user "$1" \
            --project "$SERVICE_PROJECT_NAME"
    done
}

get_or_create_service() {
    if ! _shim_admin service show "$2" -f value -c id 2> /dev/null; then
        _shim_admin service create "$2" --name "$1" -f value -c id
    fi
}

get_or_create_endpoint() {
    local known
    known=$(_shim_admin endpoint list --service "$1" -f value -c ID)
    if [[ -z $known ]]; then
        _shim_admin endpoint create "$1" public "$3" --region "$2" \
            -f value -c id
    fi
}

configure_keystoneauth() {
    iniset "$1" "$3" auth_type password
    iniset "$1" "$3" interface public
    iniset "$1" "$3" auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$1" "$3" username "$2"
    iniset "$1" "$3" password "$SERVICE_PASSWORD"
    iniset "$1" "$3" user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$1" "$3" project_name "$SERVICE_PROJECT_NAME"
    iniset "$1" "$3" project_domain_name "$SERVICE_DOMAIN_NAME"
}

_shim_authtoken() {
    configure_keystoneauth "$1" "$2" keystone_authtoken
    iniset "$1" keystone_authtoken www_authenticate_uri \
        "$KEYSTONE_SERVICE_URI"
}

write_clouds_yaml() {
    local name
    {
        echo clouds:
        for name in admin:admin:admin system-admin:admin: :demo:demo; do
            _shim_cloud "${name%%:*}" "$(cut -d: -f2 <<< "$name")" \
                "${name##*:}"
        done
    } > "$OPENSTACKCLIENT_CONF_DIR/clouds.yaml"
}

# _shim_cloud SUFFIX USER PROJECT
_shim_cloud() {
    cat << EOF
  devstack${1:+-$1}:
    region_name: $REGION_NAME
    auth:
      auth_url: $KEYSTONE_SERVICE_URI
      username: $2
      password: $ADMIN_PASSWORD
      user_domain_id: default
EOF
    if [[ -n $3 ]]; then
        echo "      project_name: $3"
        echo "      project_domain_id: default"
    else
        echo "      system_scope: all"
    fi
}

# Configuration files of services
# -------------------------------

configure_glance() {
    sudo install -d -o "$STACK_USER" "$GLANCE_CONF_DIR" "$GLANCE_METADEF_DIR"
    mkdir -p "$DATA_DIR/glance/images"
    cp "$GLANCE_DIR/etc/glance-api.conf" "$GLANCE_API_CONF"
    cp "$GLANCE_DIR/etc/glance-api-paste.ini" "$GLANCE_API_PASTE_INI"
    cp "$GLANCE_DIR"/etc/metadefs/*.json "$GLANCE_METADEF_DIR"
    iniset "$GLANCE_API_CONF" database connection \
        "$(database_connection_url glance)"
    iniset "$GLANCE_API_CONF" paste_deploy flavor keystone+cachemanagement
    _shim_authtoken "$GLANCE_API_CONF" glance
    iniset "$GLANCE_API_CONF" DEFAULT transport_url "$(get_transport_url)"
    iniset "$GLANCE_API_CONF" oslo_messaging_notifications driver messagingv2
    iniset "$GLANCE_API_CONF" glance_store filesystem_store_datadir \
        "$DATA_DIR/glance/images/"
    iniset "$GLANCE_API_CONF" DEFAULT image_cache_dir "$DATA_DIR/glance/cache/"
    iniset "$GLANCE_API_CONF" oslo_concurrency lock_path \
        "$DATA_DIR/glance/locks"
    iniset "$GLANCE_API_CONF" wsgi python_interpreter "$PYTHON"
    iniset "$GLANCE_IMAGE_IMPORT_CONF" image_import_opts \
        image_import_plugins '[]'
    _shim_uwsgi "$GLANCE_UWSGI_CONF" glance.wsgi.api:application
    iniset "$GLANCE_UWSGI_CONF" uwsgi http-socket \
        "127.0.0.1:$(get_random_port)"
    iniset "$GLANCE_API_CONF" DEFAULT worker_self_reference_url "$GLANCE_URL"
}

glance_remote_conf() {
    echo "$GLANCE_CONF_DIR-remote/$(basename "$1")"
}

create_nova_conf() {
    rm -f "$NOVA_CONF"
    iniset "$NOVA_CONF" filter_scheduler enabled_filters \
        ComputeFilter,ImagePropertiesFilter,SameHostFilter
    iniset "$NOVA_CONF" DEFAULT transport_url "$(get_transport_url)"
    _shim_authtoken "$NOVA_CONF" nova
    init_nova_service_user_conf
    if is_service_enabled n-api; then
        write_uwsgi_config "$NOVA_UWSGI_CONF" \
            nova.wsgi.osapi_compute:application /compute '' nova-api
    fi
}

init_nova_service_user_conf() {
    iniset "$NOVA_CONF" service_user send_service_user_token True
    configure_keystoneauth "$NOVA_CONF" nova service_user
}

configure_cinder() {
    sudo install -d -o "$STACK_USER" -m 755 "$CINDER_CONF_DIR"
    rm -f "$CINDER_CONF"
    cp "$CINDER_DIR/etc/cinder/api-paste.ini" "$CINDER_CONF_DIR"
    _shim_authtoken "$CINDER_CONF" cinder
    iniset "$CINDER_CONF" DEFAULT transport_url "$(get_transport_url)"
    init_cinder_service_user_conf
}

init_cinder_service_user_conf() {
    iniset "$CINDER_CONF" service_user send_service_user_token True
    configure_keystoneauth "$CINDER_CONF" cinder service_user
}

_shim_uwsgi() {
    rm -f "$1"
    iniset "$1" uwsgi module "$2"
    iniset "$1" uwsgi processes "$API_WORKERS"
    iniset "$1" uwsgi master true
    iniset "$1" uwsgi die-on-term true
    iniset "$1" uwsgi lazy-apps true
    iniset "$1" uwsgi enable-threads true
    iniset "$1" uwsgi thunder-lock true
    iniset "$1" uwsgi buffer-size 65535
    iniset "$1" uwsgi socket-timeout 30
    iniset "$1" uwsgi add-header 'Connection: close'
}

# write_uwsgi_config FILE MODULE PATH [ADDRESS] [NAME]
write_uwsgi_config() {
    _shim_uwsgi "$1" "$2"
    if [[ -n ${4:-} ]]; then
        iniset "$1" uwsgi http "$4"
    else
        iniset "$1" uwsgi socket "/var/run/uwsgi/$5.socket"
    fi
}

apache_site_config_for() {
    echo "$APACHE_CONF_DIR/$1.conf"
}

enable_apache_site() {
    sudo a2ensite "$1"
}

disable_apache_site() {
    sudo a2dissite "$1"
}

# Processes
# ---------

# run_process SERVICE COMMAND [GROUP] [USER] [ENVIRONMENT]
run_process() {
    local unit=devstack@$1.service command=$2
    if ! is_service_enabled "$1"; then
        return
    fi
    if [[ $2 == *uwsgi* ]]; then
        command+=" --venv $DEVSTACK_VENV"
    fi
    iniset -sudo "$SYSTEMD_DIR/$unit" Service ExecStart "$command"
    iniset -sudo "$SYSTEMD_DIR/$unit" Service User "${4:-$STACK_USER}"
    iniset -sudo "$SYSTEMD_DIR/$unit" Service Environment \
        "${5:-\"PATH=$PATH\"}"
    if [[ -n ${3:-} ]]; then
        iniset -sudo "$SYSTEMD_DIR/$unit" Service Group "$3"
    fi
    $SYSTEMCTL daemon-reload
    $SYSTEMCTL enable "$unit"
    $SYSTEMCTL start "$unit"
}

stop_process() {
    local unit=devstack@$1.service
    if is_service_enabled "$1" && $SYSTEMCTL is-enabled "$unit"; then
        $SYSTEMCTL stop "$unit"
        $SYSTEMCTL disable "$unit"
    fi
}

# wait_for_service SECONDS URL
wait_for_service() {
    local end
    end=$((SECONDS + $1))
    until curl --silent --output /dev/null "$2"; do
        if [[ $SECONDS -gt $end ]]; then
            return 1
        fi
        sleep 1
    done
}

init_glance() {
    recreate_database_sqlite glance
    glance-manage --config-file "$GLANCE_API_CONF" db_sync
    glance-manage --config-file "$GLANCE_API_CONF" db_load_metadefs
}

start_glance() {
    run_process g-api "$(command -v uwsgi) --ini $GLANCE_UWSGI_CONF"
    wait_for_service "$SERVICE_TIMEOUT" "$GLANCE_URL"
}

upload_image() {
    local file=${1#file://}
    openstack --os-cloud=devstack-admin image create --public \
        --container-format bare --disk-format qcow2 --file "$file" \
        "$(basename "$file" .qcow2)"
}
