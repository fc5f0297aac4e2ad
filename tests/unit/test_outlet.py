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

"""Where lists are put, and how images are measured there."""

import hashlib
import os
import stat

from cryptography.hazmat.primitives import serialization
import pytest

from hepix_vm.errors import ConfigError
from hepix_vm.errors import FetchError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange import measure
from hepix_vm.exchange.outlet import Archive
from hepix_vm.exchange.outlet import FileOutlet
from hepix_vm.exchange.outlet import WebOutlet
from hepix_vm.publicationfile import Declared
from tests.testbed import pki
from tests.testbed.publishing import https
from tests.testbed.publishing import IMAGE
from tests.testbed.publishing import LIST
from tests.testbed.site import file_entry

LONGEST = 1000


@pytest.fixture
def server(tmp_path):
    with https(tmp_path) as server:
        yield server


def web(server, path='/image.list', **more):
    return WebOutlet(server.url + path, LONGEST, **{'ca': server.ca, **more})


def test_a_file_is_replaced_at_once(tmp_path, monkeypatch):
    path = tmp_path / 'image.list'
    place = FileOutlet(str(path), LONGEST)
    assert place.current() is None
    place.put(b'1')
    assert place.current() == b'1'
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    inode = path.stat().st_ino
    place.put(b'2')
    assert path.stat().st_ino != inode

    def fail(descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(ConfigError, match='No space left'):
        place.put(b'3')
    assert place.current() == b'2'
    assert [each.name for each in tmp_path.iterdir()] == ['image.list']


def test_a_file_that_cannot_be_used(tmp_path):
    for path in (tmp_path / 'none' / 'x', tmp_path):
        with pytest.raises(ConfigError, match='cannot be used'):
            FileOutlet(str(path), LONGEST).put(b'1')
    with pytest.raises(ConfigError, match='cannot be used'):
        FileOutlet(str(tmp_path), LONGEST).current()


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(ConfigError, match='No such file'):
        FileOutlet(str(tmp_path / 'none' / 'x'), LONGEST).current()


def test_one_publishes_a_list_at_a_time(tmp_path):
    archive = Archive(str(tmp_path), LIST)
    with archive.alone():
        with (pytest.raises(ServiceError, match='Somebody else publishes'),
              Archive(str(tmp_path), LIST).alone()):
            raise AssertionError('two publish one list')
        with Archive(str(tmp_path), IMAGE).alone():
            archive.keep('1', b'1')
    with archive.alone():
        assert archive.versions() == ['1']
    (tmp_path / 'file').touch()
    with (pytest.raises(ConfigError, match='cannot be used'),
          Archive(str(tmp_path / 'file'), LIST).alone()):
        raise AssertionError('a file is no folder')


def test_a_long_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / 'image.list'
    path.write_bytes(bytes(LONGEST * 3))
    assert len(FileOutlet(str(path), LONGEST).current()) == LONGEST + 1


def test_an_archive(tmp_path):
    archive = Archive(str(tmp_path / 'published'), LIST)
    assert archive.versions() == []
    kept = archive.keep('1.10', b'1')
    assert archive.keep('2', b'2') != kept
    (tmp_path / 'published' / LIST / '.new-x.smime').touch()
    assert sorted(archive.versions()) == ['1.10', '2']
    assert open(kept, 'rb').read() == archive.read('1.10') == b'1'
    (tmp_path / 'file').touch()
    broken = Archive(str(tmp_path / 'file'), LIST)
    for ask in (broken.versions, lambda: broken.keep('1', b''),
                lambda: archive.read('3')):
        with pytest.raises(ConfigError, match='cannot be used'):
            ask()


def test_a_list_is_sent_by_https(server):
    place = web(server)
    assert place.current() is None
    place.put(b'1')
    assert server.contents == {'/image.list': b'1'}
    assert place.current() == b'1'
    assert [method for method, _, _ in server.asked] == ['GET', 'PUT', 'GET']
    server.contents['/image.list'] = bytes(10**6)
    assert LONGEST < len(place.current()) <= LONGEST + 10**5


@pytest.mark.parametrize('secret, sent', [
    ('', ''), ('s3cret', 'Bearer s3cret'),
    ('alice:s3cret', 'Basic YWxpY2U6czNjcmV0')])
def test_the_secret(server, secret, sent, monkeypatch, tmp_path):
    netrc = tmp_path / 'netrc'
    netrc.write_text('machine 127.0.0.1 login eve password other\n')
    monkeypatch.setenv('NETRC', str(netrc))
    place = web(server, secret=secret)
    place.put(b'1')
    assert server.asked == [('PUT', '/image.list', sent)]


@pytest.mark.parametrize('url, what', [
    ('http://lists.example.org/x', 'https:// only'),
    ('file:///srv/x', 'https:// only'), ('https:///x', 'https:// only'),
    ('https://alice:s3cret@lists.example.org/x', 'has no password')])
def test_addresses_that_are_not_used(url, what):
    with pytest.raises(ConfigError, match=what) as caught:
        WebOutlet(url, LONGEST)
    assert 's3cret' not in str(caught.value)


@pytest.mark.parametrize('path', ['/a b', '\\x', '/a\tb'])
def test_addresses_that_may_lead_elsewhere(server, path):
    place = web(server, path, secret='s3cret')
    for ask in (place.current, lambda: place.put(b'1')):
        with pytest.raises(FetchError, match='lead elsewhere') as caught:
            ask()
        assert 'subscriptions.yaml' not in caught.value.remedy
    assert server.asked == []


@pytest.mark.parametrize('method', ['GET', 'PUT'])
@pytest.mark.parametrize('status, what', [
    (301, 'redirects'), (307, 'redirects'), (401, 'answers'),
    (500, 'answers')])
def test_what_is_no_good_answer(server, method, status, what):
    """A redirect is not followed, with a secret least of all."""
    server.status[method] = status
    place = web(server, '/image.list?sig=s3cret', secret='alice:t0ken')
    ask = place.current if method == 'GET' else lambda: place.put(b'1')
    with pytest.raises(ServiceError, match=rf'{what} \({status}\)') as caught:
        ask()
    assert len(server.asked) == 1
    for secret in ('s3cret', 't0ken'):
        assert secret not in str(caught.value) + caught.value.remedy


def refuses(place):
    for ask in (place.current, lambda: place.put(b'1')):
        with pytest.raises(FetchError, match='cannot be fetched') as caught:
            ask()
        assert 's3cret' not in str(caught.value)
        assert 'subscriptions.yaml' not in caught.value.remedy
    return True


def test_a_server_whose_ca_is_not_known(server):
    assert refuses(web(server, '/?x=s3cret', ca=''))
    assert server.contents == {}


def test_a_server_of_another_name(tmp_path):
    with https(tmp_path, 'lists.example.org') as server:
        assert refuses(web(server, '/?x=s3cret'))
        assert server.asked == []


def test_nobody_there(server):
    assert refuses(WebOutlet('https://127.0.0.1:1/?s3cret', LONGEST,
                             ca=server.ca))


def test_the_cas_of_the_system(server, monkeypatch):
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', server.ca)
    place = web(server, ca='')
    place.put(b'1')
    assert server.contents == {'/image.list': b'1'}


@pytest.mark.parametrize('content, words', [
    (None, 'No such file'), (b'nonsense', 'does not hold')])
def test_a_certificate_of_ours_that_is_none(server, tmp_path, content,
                                            words):
    path = tmp_path / 'ours.pem'
    if content:
        path.write_bytes(content)
    with pytest.raises(FetchError, match=words):
        web(server, certificate=str(path))


def test_a_key_of_ours_with_a_passphrase(server, tmp_path):
    """Nobody is asked for it in the midst of things."""
    authority = pki.Authority.create('/CN=CA of users')
    key = authority.issue('/CN=alice').key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b's3cret'))
    path = tmp_path / 'ours.pem'
    path.write_bytes(authority.pem + key)
    with pytest.raises(FetchError, match='has a passphrase'):
        web(server, certificate=str(path))


DATA = os.urandom(3000)


def declared(uri='', path='', sha512='', size=0):
    return Declared(file_entry(sha512, size, uri=uri), path)


def test_images_are_measured(server, tmp_path):
    path = tmp_path / 'x.raw'
    path.write_bytes(DATA)
    server.contents['/x.raw?sig=s3cret'] = DATA
    for each in (declared('https://images.example.org/', str(path)),
                 declared(f'{server.url}/x.raw?sig=s3cret')):
        found = measure.measure(each, server.ca)
        assert (found.sha512, found.size) == (
            hashlib.sha512(DATA).hexdigest(), len(DATA))
    known = declared('https://images.example.org/', '', 'ab' * 64, 7)
    assert measure.measure(known) is known.entry


@pytest.mark.parametrize('limit, value, what', [
    ('LARGEST', len(DATA) - 1, 'has more than 2999 bytes'),
    ('LONGEST', -1.0, 'takes longer than')])
def test_a_server_that_goes_on_without_end(server, monkeypatch, limit, value,
                                           what):
    server.contents['/x.raw'] = DATA
    monkeypatch.setattr(measure, limit, value)
    with pytest.raises(FetchError, match=what) as caught:
        measure.measure(declared(f'{server.url}/x.raw'), server.ca)
    assert 'sha512' in caught.value.remedy


def test_what_cannot_be_measured(server, tmp_path):
    (tmp_path / 'empty').touch()
    server.contents |= {'/empty': b'', '/cut': b'half of it'}
    for uri, path, what in (
            ('', '/none', 'No such file'),
            ('', str(tmp_path / 'empty'), 'without data'),
            (f'{server.url}/empty', '', 'without data'),
            (f'{server.url}/none?s3cret', '', 'status 404'),
            (f'{server.url}/cut', '', 'cannot be fetched'),
            ('https://127.0.0.1:1/?s3cret', '', 'cannot be fetched'),
            ('http://images.example.org/x', '', 'cannot be measured')):
        with pytest.raises((ConfigError, FetchError),
                           match=what) as caught:
            measure.measure(declared(uri, path), server.ca)
        assert 's3cret' not in str(caught.value)
