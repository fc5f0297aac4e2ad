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

"""Settings of Nova as it has them, and what is found of them."""

from collections.abc import Mapping
import pathlib

from nova.conf import api
from nova.conf import compute
from nova.conf import configdrive
from nova.conf import libvirt
from nova.conf import scheduler
from nova.conf import service_token
from nova.conf import vendordata
from oslo_config import cfg

from hepix_vm.findings import Severity
from hepix_vm.nova_ctx import preflight
from hepix_vm.nova_ctx.preflight import Part
from tests.testbed.glance import program
from tests.testbed import service

TARGET = 'hepix_vm@http://127.0.0.1:9755/hepix_vm'
_MODULES = (api, compute, configdrive, libvirt, scheduler, service_token,
            vendordata)
_GOOD = {
    'DEFAULT': {'mkisofs_cmd': program('hepix-vm-mkisofs'),
                'force_config_drive': 'true'},
    'api': {'vendordata_providers': 'StaticJSON,DynamicJSON',
            'vendordata_dynamic_targets': TARGET,
            'vendordata_dynamic_failure_fatal': 'true'},
    # Of no Keystone. Nova's group keeps what an auth_type registers.
    'vendordata_dynamic_auth': {
        'auth_type': 'admin_token', 'endpoint': 'http://127.0.0.1:1',
        'token': 'secret'}}


def nova(folder: pathlib.Path,
         **groups: Mapping[str, str]) -> cfg.ConfigOpts:
    """Return Nova's options as they should be, but for these."""
    path = folder / 'nova.conf'
    path.write_text(service.ini({
        name: {**_GOOD.get(name, {}), **groups.get(name, {})}
        for name in _GOOD.keys() | groups.keys()}))
    conf = cfg.ConfigOpts()
    for module in _MODULES:
        module.register_opts(conf)
    conf([], project='nova', default_config_files=[str(path)],
         default_config_dirs=[])
    return conf


def bad(conf: cfg.ConfigOpts, *parts: Part) -> dict[
        str, list[tuple[Severity, str]]]:
    """Return what is found that is not as it should be, by check."""
    found: dict[str, list[tuple[Severity, str]]] = {}
    for finding in preflight.check(conf, parts):
        # No service runs here; its tests have one.
        if finding.severity is not Severity.OK and (
                finding.what != 'Vendordata answers'):
            found.setdefault(finding.what, []).append(
                (finding.severity, finding.message))
    return found
