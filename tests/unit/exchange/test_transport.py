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

"""Where addresses lead, and which are of the Internet."""

import ipaddress

import pytest

from hepix_vm.errors import FetchError
from hepix_vm.exchange import transport
from hepix_vm.exchange.transport import is_public
from hepix_vm.exchange.transport import origin

HOME = 'https://lists.example.org/list'


@pytest.mark.parametrize(('url', 'same'), [
    ('https://LISTS.example.org:443/x?y', True),
    ('https://lists.example.org:8443/x', False),
    ('http://lists.example.org/x', False),
    # What requests asks is not what Python's urlsplit says.
    ('https://evil.example\\@lists.example.org/x', False),
    ('https://evil.example:8443\\@lists.example.org/x', False),
    ('https://evil.example\\\\@lists.example.org:443/x', False),
    ('https://lists.example.org\\.evil.example/x', True)])
def test_where_a_password_may_go(url, same):
    assert (origin(url) == origin(HOME)) is same


@pytest.mark.parametrize('url', [
    'https://evil.example\\@lists.example.org/x', 'https://h/a\\b',
    'https://h/a b', ' https://h/a', 'https://h\t/a', 'https://h/a\r\nb',
    'https://h/a\0', 'https://h/a\xa0b', 'https://h/a\u2028b',
    'https://alice:s3cret@h/a', 'https://alice@h/a', 'https://@h/a'])
def test_addresses_that_may_lead_elsewhere(url):
    with pytest.raises(FetchError, match='lead elsewhere') as caught:
        transport.request('GET', url, {})
    assert 's3cret' not in str(caught.value)


@pytest.mark.parametrize('url', [
    HOME, 'https://h/a%20b@c?d=@', 'https://[2001:db8::1]:8443/\xe9'])
def test_addresses_that_lead_to_one_place(url):
    assert transport.request('GET', url, {}).url.startswith(url[:20])


@pytest.mark.parametrize('address', [
    '8.8.8.8', '188.184.21.108', '2001:1458:201:e3::100:1e4',
    '192.0.1.1', '2001:200::1', '3ffe:ffff::1', '3fff:1000::1',
    '::ffff:8.8.8.8', '2002:808:808::1', '64:ff9b::808:808'])
def test_addresses_of_the_internet(address):
    assert is_public(address)


@pytest.mark.parametrize('address', [
    # Of a cloud's servers, and of what they ask for their metadata.
    '169.254.169.254', 'fe80::a9fe:a9fe', 'fe80::a9fe:a9fe%eth0',
    'fd00:ec2::254',
    '127.0.0.1', '127.8.9.1', '::1', '0.1.2.3', '::',
    '10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', 'fc00::1',
    '224.0.0.1', '255.255.255.255', 'ff02::1',
    # What carries them.
    '::ffff:127.0.0.1', '::ffff:169.254.169.254', '2002:a9fe:a9fe::1',
    '64:ff9b::a9fe:a9fe', '64:ff9b::7f00:1',
    # What some releases of Python call global; protocols, documents and
    # relays have it.
    '192.0.0.8', '192.0.0.9', '192.88.99.1', '3fff::1', '3fff:fff::1',
    '::ffff:192.0.0.9', '2002:c000:9::1',
    # What some networks take for it, and what is none any more.
    '64:ff9b:1::a9fe:a9fe', '::127.0.0.1', '::ffff:0:127.0.0.1', 'fec0::1'])
def test_addresses_within(address):
    assert not is_public(address)


@pytest.mark.parametrize('address', [
    '2001::1', '2001:1::1', '2001:20::1', '2001:1ff::1'])
def test_addresses_that_later_releases_of_python_let_pass(
        monkeypatch, address):
    monkeypatch.setattr(ipaddress.IPv6Address, 'is_global', True)
    assert not is_public(address)
