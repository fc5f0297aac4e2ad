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

"""That stack.sh ends well only if the gates hold and servers can start."""

import pytest

from tests.functional.devstack.functions import Functions

# All that is before test-config, of what the test needs.
_CONFIGURE = """\
HEPIX_VM_SAMPLES=False
ENABLED_SERVICES=hepix-vm,hepix-vendordata,placement-client,{service}
_install_hepix_vm_folders
configure_services
configure_hepix_vm
if [[ {service} == n-cpu ]]; then
    cp "$NOVA_CONF" "$NOVA_CPU_CONF"
fi
"""


@pytest.mark.parametrize('service', ['n-cpu', 'n-api-meta'])
def test_stack_ends_where_no_server_could_start(
        functions: Functions, service: str) -> None:
    # Nothing listens where the vendordata service should.
    script = (f'{_CONFIGURE.format(service=service)}'
              'verify_hepix_vm_nova\n')
    said = functions.die(f'HEPIX_VM_VENDORDATA_FATAL=True\n{script}')
    assert 'Vendordata answers' in said
    assert 'No server can be started' in said
    said = functions.run(f'HEPIX_VM_VENDORDATA_FATAL=False\n{script}')
    assert 'Vendordata answers' in said


@pytest.mark.parametrize('service, part, opened', [
    ('g-api', 'glance', (
        'iniset "$GLANCE_IMAGE_IMPORT_CONF" image_import_opts '
        'image_import_plugins "[]"')),
    ('g-api', 'glance', (
        'sed -i "s/hepix_trust rootapp/rootapp/" "$GLANCE_API_PASTE_INI"')),
    ('n-api', 'nova', 'sed -i "s/hepix_boot //" "$_HEPIX_VM_NOVA_PASTE"'),
    ('n-cpu', 'nova', (
        'iniset "$NOVA_CPU_CONF" DEFAULT mkisofs_cmd genisoimage'))])
def test_stack_ends_where_somebody_opened_a_gate(
        functions: Functions, service: str, part: str, opened: str) -> None:
    # As [[post-config|...]] of local.conf does, after the plugin.
    said = functions.die(
        'HEPIX_VM_VENDORDATA_FATAL=False\n'
        f'{_CONFIGURE.format(service=service)}'
        f'verify_hepix_vm_{part}\necho VERIFIED\n'
        f'{opened}\nverify_hepix_vm_{part}\n')
    assert 'VERIFIED' in said
    assert '| failure |' in said.partition('VERIFIED')[2]
    assert 'the gate does not hold' in said
