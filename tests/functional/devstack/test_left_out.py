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

"""What is left out where a service is not on a host, and what is kept."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import pathlib

import pytest

from tests.functional.devstack.files import parsed
from tests.functional.devstack.files import values
from tests.functional.devstack.files import words
from tests.functional.devstack.machine import Machine
from tests.functional.devstack.machine import SERVICES

_OPERATOR = """\
iniset "$GLANCE_IMAGE_IMPORT_CONF" image_import_opts image_import_plugins \
    '[image_conversion]'
printf '[site_.*]\\ncreate = admin\\nread = admin,member\\nupdate = admin\\n\
delete = admin\\n[.*]\\ncreate = admin,member\\nread = admin,member\\n\
update = admin,member\\ndelete = admin,member\\n' > "$MACHINE/site.conf"
iniset "$GLANCE_API_CONF" DEFAULT property_protection_file \
    "$MACHINE/site.conf"
iniset "$GLANCE_API_CONF" DEFAULT property_protection_rule_format roles
iniset "$NOVA_CONF" DEFAULT non_inheritable_image_properties site_secret
iniset "$NOVA_CONF" filter_scheduler enabled_filters \
    ComputeFilter,JsonFilter
iniset_multiline "$NOVA_CONF" filter_scheduler available_filters \
    nova.scheduler.filters.all_filters site.Filter
iniset "$CINDER_CONF" DEFAULT glance_core_properties name,site_core
mkdir -p "$HEPIX_VM_CONF_DIR"
echo 'endorsers: []  # of the operator' > "$HEPIX_VM_CONF_DIR/policy.yaml"
"""


@pytest.fixture(scope='module')
def make(keystone, tmp_path_factory) -> Iterator[Callable[..., Machine]]:
    """Make machines that are configured, on which nothing runs."""
    with contextlib.ExitStack() as stack:
        def make(operator: str = '', **options) -> Machine:
            folder = tmp_path_factory.mktemp('host') / 'm'
            machine = stack.enter_context(
                Machine(folder, keystone, **options))
            (folder / 'operator.sh').write_text(operator)
            return machine
        yield make


def left_out(said: str, what: str, service: str) -> bool:
    return any(
        what in line and 'left out' in line and f' {service} ' in line
        for line in said.splitlines())


@pytest.fixture(scope='module')
def compute(make):
    """A host that has nova-compute and nothing else."""
    machine = make(services=('n-cpu', 'placement-client'))
    return machine, machine.stack('post-config')


def test_a_compute_host_has_the_context_alone(compute):
    machine, said = compute
    nova = machine.root / 'etc/nova/nova.conf'
    assert values(nova, 'DEFAULT', 'mkisofs_cmd') == [
        str(machine.venv / 'bin/hepix-vm-mkisofs')]
    assert values(nova, 'DEFAULT', 'force_config_drive') == ['True']
    assert 'EndorsedImageFilter' not in nova.read_text()
    assert not (machine.root / 'etc/glance').exists()
    assert not (machine.root / 'etc/cinder').exists()
    assert left_out(said, 'the gate in Glance', 'g-api')
    assert left_out(said, 'the gate in nova-api', 'n-api')
    assert left_out(said, 'the scheduler filter', 'n-sch')
    assert left_out(said, 'the policy of volumes', 'c-api')


def test_a_compute_host_makes_no_accounts(compute):
    machine, _ = compute
    assert machine.recorded('openstack') == []


@pytest.fixture(scope='module')
def images(make):
    """A host that has Glance and Keystone."""
    machine = make(services=('key', 'g-api', 'rabbit', 'sqlite'),
                   disabled=('hepix-sync',))
    return machine, machine.stack('post-config')


def test_without_nova_and_cinder_glance_has_its_gate(images):
    machine, said = images
    assert words(machine.root / 'etc/glance/glance-image-import.conf',
                 'image_import_opts', 'image_import_plugins') == [
                     'hepix_trust']
    assert not (machine.root / 'etc/nova').exists()
    assert not (machine.root / 'etc/cinder').exists()
    assert left_out(said, 'the gate in Nova', 'nova')
    assert left_out(said, 'vendordata', 'nova')
    assert left_out(said, 'the policy of volumes', 'c-api')
    assert left_out(said, 'follows lists', 'hepix-sync')


@pytest.fixture(scope='module')
def kept(make):
    """A host whose operator has set things, and has no Neutron."""
    machine = make(
        operator=_OPERATOR, disabled=('hepix-vendordata',),
        services=tuple(name for name in SERVICES if name != 'q-svc'))
    return machine, machine.stack('post-config')


def test_import_plugins_follow_ours(kept):
    machine, _ = kept
    assert words(machine.root / 'etc/glance/glance-image-import.conf',
                 'image_import_opts', 'image_import_plugins') == [
                     'hepix_trust', 'image_conversion']


def test_property_protections_follow_ours(kept):
    machine, _ = kept
    path, = values(machine.root / 'etc/glance/glance-api.conf', 'DEFAULT',
                   'property_protection_file')
    sections = list(parsed(pathlib.Path(path)))
    assert sections.index('site_.*') > sections.index(
        next(name for name in sections if 'hepix' in name))
    assert sections[-1] == '.*'


def test_filters_and_lists_of_properties_are_kept(kept):
    machine, _ = kept
    nova = machine.root / 'etc/nova/nova.conf'
    assert words(nova, 'filter_scheduler', 'enabled_filters') == [
        'ComputeFilter', 'JsonFilter', 'EndorsedImageFilter']
    assert {'nova.scheduler.filters.all_filters', 'site.Filter'} < set(
        values(nova, 'filter_scheduler', 'available_filters'))
    assert {'site_secret', 'hepix_state'} < set(words(
        nova, 'DEFAULT', 'non_inheritable_image_properties'))
    assert {'site_core', 'hepix_state'} < set(words(
        machine.root / 'etc/cinder/cinder.conf', 'DEFAULT',
        'glance_core_properties'))


def test_without_the_vendordata_service_nova_does_not_ask_it(kept):
    machine, said = kept
    nova = machine.root / 'etc/nova/nova.conf'
    assert 'vendordata' not in nova.read_text()
    assert left_out(said, 'told of their image', 'hepix-vendordata')


def test_what_the_operator_wrote_outlives_the_plugin(kept):
    machine, _ = kept
    policy = machine.conf / 'policy.yaml'
    assert 'of the operator' in policy.read_text()
    machine.unstack()
    machine.clean()
    assert 'of the operator' in policy.read_text()
    before = machine.record / 'stack-1/before'
    for name in ('glance/glance-api.conf', 'glance/glance-image-import.conf',
                 'nova/nova.conf', 'cinder/cinder.conf'):
        assert parsed(machine.root / 'etc' / name) == parsed(before / name)
