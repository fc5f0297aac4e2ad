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

"""What Nova's files say of a server, in Nova's own form and in others."""

import json

import pytest

from hepix_vm.context import facts
from hepix_vm.context.facts import Image
from hepix_vm.context.facts import Network
from hepix_vm.errors import ContextError

META_DATA = {
    'uuid': '83679162-1378-4288-a2d4-70e13ec132aa', 'name': 'it\'s $(x)',
    'hostname': 'it-s-x', 'project_id': 'f7ac731cc11f40efbc03a9f9e1d1d21f',
    'availability_zone': 'nova', 'launch_index': 0, 'meta': {'a': 'b'},
    'admin_pass': 'secret'}
# As nova/virt/netutils.py writes it: an IPv4 and an IPv6 subnet on one
# port, and a port on a network with DHCP.
NETWORK_DATA = {
    'links': [
        {'id': 'tap1', 'type': 'ovs', 'mtu': 9000,
         'ethernet_mac_address': 'fa:16:3e:00:00:01'},
        {'id': 'tap2', 'type': 'ovs', 'mtu': 1450,
         'ethernet_mac_address': 'fa:16:3e:00:00:02'},
        {'id': 'tap3', 'type': 'ovs', 'mtu': None,
         'ethernet_mac_address': 'fa:16:3e:00:00:02'}],
    'networks': [
        {'id': 'network0', 'type': 'ipv4', 'link': 'tap1',
         'ip_address': '192.0.2.5', 'netmask': '255.255.255.240',
         'routes': [{'network': '0.0.0.0', 'netmask': '0.0.0.0',  # noqa: S104
                     'gateway': '192.0.2.1'},
                    {'network': '198.51.100.0', 'netmask': '255.255.255.0',
                     'gateway': '192.0.2.2'}],
         'services': [{'type': 'dns', 'address': '192.0.2.53'}]},
        {'id': 'network1', 'type': 'ipv6', 'link': 'tap1',
         'ip_address': '2001:db8::5', 'netmask': 'ffff:ffff:ffff:ffff::',
         'routes': [{'network': '::', 'netmask': '::',
                     'gateway': '2001:db8::1'}]},
        {'id': 'network2', 'type': 'ipv4_dhcp', 'link': 'tap2'}],
    'services': [{'type': 'dns', 'address': '192.0.2.53'},
                 {'type': 'ntp', 'address': '192.0.2.123'},
                 {'type': 'dns', 'address': '2001:db8::53'}]}
IMAGE = {'uuid': 'glance', 'identifier': 'dc', 'endorser': '/CN=Alice',
         'vo': 'vo.example.org'}


def read(meta_data=META_DATA, network_data=NETWORK_DATA, vendor_data=None):
    vendor_data = {} if vendor_data is None else vendor_data
    return facts.from_drive(*(
        data if isinstance(data, bytes) else json.dumps(data).encode()
        for data in (meta_data, network_data, vendor_data)), 'compute1')


def test_a_server_of_nova():
    found = read(vendor_data={'hepix_vm': {'version': 1, 'image': IMAGE}})
    assert found == facts.Facts(
        uuid=META_DATA['uuid'], name='it\'s $(x)', hostname='it-s-x',
        project=META_DATA['project_id'], zone='nova', launch_index='0',
        network=Network(
            macs=('fa:16:3e:00:00:01', 'fa:16:3e:00:00:02'),
            addresses=('192.0.2.5/28', '2001:db8::5/64'),
            routes=('0.0.0.0/0,192.0.2.1', '198.51.100.0/24,192.0.2.2',
                    '::/0,2001:db8::1'),
            dns=('192.0.2.53', '2001:db8::53'), mtu=1450),
        image=Image('glance', 'dc', '/CN=Alice', 'vo.example.org'),
        host='compute1')


def test_what_nova_does_not_say_is_empty():
    assert read({}, b'', b'') == facts.Facts(host='compute1')
    assert read({'availability_zone': None}).zone == ''


@pytest.mark.parametrize('vendor_data', [
    b'', {}, {'cloud-init': 'x'}, {'hepix_vm': {}}, {'hepix_vm': None}])
def test_without_an_answer_of_the_service_no_image_is_known(vendor_data):
    assert read(vendor_data=vendor_data).image == Image()


@pytest.mark.parametrize('answer', [
    'text', ['list'], 7, '', [], 0, False, {'image': None}, {'image': 'x'},
    {'image': {'vo': ['list']}}, {'version': 1}])
def test_another_answer_is_refused(answer):
    with pytest.raises(ContextError, match=r'vendor_data2\.json'):
        read(vendor_data={'hepix_vm': answer})


@pytest.mark.parametrize('data', [
    b'no JSON: secret', b'["secret"]', b'"secret"', b'\xff\xfe', b'[' * 99999,
    b'{"uuid": "secret'])
@pytest.mark.parametrize('which', ['meta', 'network', 'vendor'])
def test_a_file_that_is_not_nova_s_is_refused_without_quoting_it(data, which):
    with pytest.raises(ContextError) as caught:
        read(**{f'{which}_data': data})
    assert f'openstack/latest/{which}' in caught.value.message
    assert 'JSON' in caught.value.message
    assert 'secret' not in str(caught.value)


@pytest.mark.parametrize('key', [
    'uuid', 'name', 'hostname', 'project_id', 'availability_zone'])
def test_a_value_that_is_no_text_is_refused(key):
    with pytest.raises(ContextError, match=f'{key} is not a text'):
        read({**META_DATA, key: ['secret']})


@pytest.mark.parametrize('network_data', [
    {'links': 'x'}, {'links': ['x']}, {'networks': {}},
    {'networks': [{'routes': 'x'}]}, {'services': [3]},
    {'links': [{'ethernet_mac_address': 5}]},
    {'networks': [{'ip_address': '192.0.2.5', 'netmask': '255.x.0.0'}]},
    {'networks': [{'ip_address': '2001:db8::', 'netmask': 'fffg::'}]}])
def test_a_network_of_the_wrong_shape_is_refused(network_data):
    with pytest.raises(ContextError, match='network_data.json'):
        read(network_data=network_data)
