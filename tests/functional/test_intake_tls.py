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

"""Whom a fetch believes, where it goes, and to whom it tells secrets."""

import dataclasses
import logging
import subprocess

import pytest

from hepix_vm.errors import FetchError
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange import transport
from hepix_vm.subscriptions import Following
from tests.functional import fetching
from tests.functional.fetching import BODY
from tests.functional.fetching import failed
from tests.functional.fetching import get
from tests.functional.fetching import LIMITS
from tests.functional.fetching import TOKEN
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed.listserver import ListServer


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    fetching.prepare(monkeypatch)


def test_a_certificate_of_nobody_we_know(list_server):
    list_server.serve('/list', BODY)
    message = failed(list_server.url('/list'), limits=dataclasses.replace(
        LIMITS, retries=5))
    assert 'its certificate is not accepted' in message
    assert 'issuer' in message


def test_a_certificate_of_another_name(tmp_path):
    with ListServer('lists.example.org') as other:
        other.serve('/list', BODY)
        message = failed(other.url('/list'), other.bundle(tmp_path))
        assert 'is not valid for' in message
        assert other.asked == []


def test_a_server_without_tls(tmp_path, bundle):
    with ListServer(tls=False) as plain:
        plain.serve('/list', BODY)
        message = failed(plain.url('/list').replace('http:', 'https:'),
                         bundle)
        assert 'TLS fails' in message
        assert plain.asked == []


def hashed(folder, pem):
    """Make a folder of one CA as IGTF has it."""
    folder.mkdir()
    (folder / 'ca.pem').write_bytes(pem)
    name = subprocess.run(
        ['openssl', 'x509', '-subject_hash', '-noout', '-in',
         folder / 'ca.pem'], capture_output=True, text=True, check=True)
    (folder / 'ca.pem').rename(folder / f'{name.stdout.strip()}.0')
    return str(folder)


def test_the_cas_of_the_grid(list_server, bundle, tmp_path):
    url = list_server.serve('/list', BODY)
    anchors = hashed(tmp_path / 'grid', list_server.authority.cert_pem.bytes())
    assert get(url, 'igtf', anchors=anchors).content == BODY
    assert get(url, anchors).content == BODY
    (tmp_path / 'empty').mkdir()
    assert 'not accepted' in failed(url, 'igtf',
                                    anchors=str(tmp_path / 'empty'))


@pytest.mark.parametrize('name', [
    'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'SSL_CERT_DIR'])
def test_the_cas_of_the_system(list_server, bundle, tmp_path, monkeypatch,
                               name):
    url = list_server.serve('/list', BODY)
    place = bundle if name != 'SSL_CERT_DIR' else hashed(
        tmp_path / 'system', list_server.authority.cert_pem.bytes())
    monkeypatch.setenv(name, place)
    assert get(url).content == BODY
    transport._context.cache_clear()
    # It stands for the system's and no others.
    (tmp_path / 'empty').mkdir()
    assert 'not accepted' in failed(url, str(tmp_path / 'empty'))


def test_the_cas_that_requests_brings_are_not_asked(
        list_server, tmp_path, monkeypatch):
    (tmp_path / 'certifi.pem').write_bytes(
        list_server.authority.cert_pem.bytes())
    monkeypatch.setattr('requests.adapters.DEFAULT_CA_BUNDLE_PATH',
                        str(tmp_path / 'certifi.pem'))
    monkeypatch.setattr('requests.certs.where',
                        lambda: str(tmp_path / 'certifi.pem'))
    list_server.serve('/list', BODY)
    assert 'not accepted' in failed(list_server.url('/list'))


@pytest.mark.parametrize('content', [None, b'', b'no certificate'])
def test_a_bundle_that_cannot_be_read(list_server, tmp_path, content):
    path = tmp_path / 'ca.pem'
    if content is not None:
        path.write_bytes(content)
    message = failed(list_server.url('/list'), str(path))
    assert f'The CA certificates in {path} cannot be read' in message


@pytest.mark.parametrize('target', [
    'http://127.0.0.1:{port}/list', 'file:///etc/passwd', 'ftp://h/x',
    'https://[::1', 'HTTP://127.0.0.1/x', 'https://:443/x', '//[', 'data:,x'])
def test_redirects_to_what_is_not_followed(list_server, bundle, target):
    list_server.answers['/list'] = listserver.redirect(
        target.format(port=list_server.port))
    message = failed(list_server.url('/list'), bundle)
    assert 'redirects to something else than another https://' in message
    assert 's3cret' not in message
    assert list_server.paths() == ['/list']


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_redirects_that_are_followed(list_server, bundle, status):
    list_server.serve('/here', BODY)
    list_server.answers['/list'] = listserver.redirect('here', status)
    assert get(list_server.url('/list'), bundle).content == BODY
    assert list_server.paths() == ['/list', '/here']


def test_redirects_without_end(list_server, bundle):
    list_server.answers['/list'] = listserver.redirect('/list')
    assert 'more than 5 times' in failed(list_server.url('/list'), bundle)
    assert len(list_server.asked) == 6


def test_the_body_of_a_redirect_is_not_read(list_server, bundle):
    list_server.serve('/here', BODY)
    list_server.answers['/list'] = listserver.redirect(
        '/here', tail=listserver.endless)
    assert get(list_server.url('/list'), bundle).content == BODY


def test_a_token_goes_to_its_own_server_only(list_server, bundle, tmp_path):
    list_server.serve('/list', BODY, token=TOKEN)
    assert get(list_server.url('/list'), bundle, token=TOKEN).content == BODY
    assert 'status 401' in failed(list_server.url('/list'), bundle)
    with ListServer(authority=list_server.authority) as other:
        other.serve('/list', BODY)
        list_server.answers['/elsewhere'] = listserver.redirect(
            other.url('/list'))
        assert get(list_server.url('/elsewhere'), bundle,
                   token=TOKEN).content == BODY
        assert 'Authorization' not in other.asked[0].headers
        # A request back home has it again.
        other.answers['/list'] = listserver.redirect(list_server.url('/list'))
        assert get(list_server.url('/elsewhere'), bundle,
                   token=TOKEN).content == BODY
        assert 'Authorization' not in other.asked[1].headers


@pytest.mark.parametrize('address', [
    'https://127.0.0.1:{other}\\@127.0.0.1:{home}/x',
    'https://user:s3cret@127.0.0.1:{home}/x',
    'https://127.0.0.1:{home}/a b', 'https://127.0.0.1:{home}/a\0b'])
def test_addresses_that_may_lead_elsewhere(list_server, bundle, address):
    """What a list or a redirect says is neither asked nor told a secret."""
    with ListServer(authority=list_server.authority) as other:
        url = address.format(other=other.port, home=list_server.port)
        home = list_server.url('/list')
        list_server.answers['/list'] = listserver.redirect(url)
        assert 'lead elsewhere' in failed(home, bundle, token=TOKEN)
        fetcher = Fetcher(Following(home, ca_bundle=bundle, token=TOKEN),
                          '', LIMITS)
        with (pytest.raises(FetchError, match='lead elsewhere') as caught,
              fetcher.stream(url)):
            raise AssertionError('it was asked')
        assert 's3cret' not in str(caught.value)
        assert (list_server.paths(), other.asked) == (['/list'], [])


def test_nobody_elses_passwords_are_sent(list_server, bundle, tmp_path,
                                         monkeypatch):
    netrc = tmp_path / '.netrc'
    netrc.write_text('machine 127.0.0.1 login me password s3cret\n')
    netrc.chmod(0o600)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('NETRC', str(netrc))
    get(list_server.serve('/list', BODY), bundle)
    assert 'Authorization' not in list_server.asked[0].headers


def test_a_token_in_a_file(list_server, bundle, tmp_path):
    url = list_server.serve('/list', BODY, token=TOKEN)
    path = tmp_path / 'token'
    path.write_text(f'{TOKEN}\n')
    path.chmod(0o640)
    assert get(url, bundle, token_file=str(path)).content == BODY
    path.chmod(0o644)
    assert 'may be read by everybody' in failed(
        url, bundle, token_file=str(path))
    path.chmod(0o640)
    for text in ('', 'password', 'a:b\nc:d', 'caf\xe9:x', ':x', 'x:'):
        path.write_text(text)
        assert 'user:password on one line' in failed(
            url, bundle, token_file=str(path))
    path.unlink()
    assert 'No such file' in failed(url, bundle, token_file=str(path))


def test_what_is_secret_stays_so(list_server, bundle, caplog):
    caplog.set_level(logging.DEBUG)
    said = [failed(list_server.url('/list?key=s3cret'), bundle, token=TOKEN)
            for list_server.answers['/list?key=s3cret'] in (
                Answer(status=500), Answer(status=403),
                listserver.redirect('file:///s3cret'),
                listserver.truncated(BODY),
                Answer(whole=lambda handler: None))]
    said.append(failed('https://127.0.0.1:1/list?key=s3cret', bundle,
                       token=TOKEN))
    assert 's3cret' not in ' '.join(said)
    assert all('/list' in message for message in said)
    ours = [record.getMessage() for record in caplog.records
            if record.levelno > logging.DEBUG]
    assert 's3cret' not in ' '.join(ours)
    assert 'cmVhZGVyOnMzY3JldA' not in caplog.text


@pytest.mark.parametrize(('url', 'shown'), [
    ('https://user:s3cret@h.example.org:8443/a?key=s3cret#s3cret',
     'https://h.example.org:8443/a'),
    ('https://h/a\r\n\x1b[1m', 'https://h/a\\x1b[1m'),
    ('https://[', 'An address'), ('x' * 500, '://' + 'x' * 197)])
def test_addresses_in_messages(url, shown):
    assert transport.shown(url) == shown


def test_proxies_of_the_environment(list_server, bundle, monkeypatch):
    url = list_server.serve('/list', BODY)
    with ListServer(tls=False) as proxy:
        monkeypatch.setenv('https_proxy', proxy.url(''))
        assert get(url, bundle).content == BODY
        assert proxy.paths() == [f'127.0.0.1:{list_server.port}']
        monkeypatch.setenv('no_proxy', '127.0.0.1')
        assert get(url, bundle).content == BODY
        assert len(proxy.asked) == 1
    monkeypatch.delenv('no_proxy')
    assert 'the proxy does not let us through' in failed(url, bundle)


def test_nobody_there():
    message = failed('https://127.0.0.1:1/list')
    assert message == ('https://127.0.0.1:1/list cannot be fetched: '
                       'Connection refused.')


def test_a_name_that_nobody_has():
    assert 'its name is not known' in failed(
        'https://nobody.invalid/list')
