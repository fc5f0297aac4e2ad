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

"""Fetching from real servers, good ones and others."""

import dataclasses
import logging
import pathlib
import subprocess
import time
import traceback
import types

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import FetchError
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import fetch
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.fetch import Validators
from hepix_vm.exchange import transport
from hepix_vm.subscriptions import Following
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed.listserver import ListServer

BODY = b'a signed list\n' * 1000
TOKEN = 'reader:s3cret'
LIMITS = Limits(30, 0, 100_000)
# Far below what a test may take, and far above what an answer takes.
SHORT = dataclasses.replace(LIMITS, seconds=1)


@pytest.fixture(scope='module')
def server():
    with ListServer() as running:
        yield running


@pytest.fixture
def bundle(server, tmp_path):
    server.asked.clear()
    return server.bundle(tmp_path)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ('http_proxy', 'https_proxy', 'all_proxy', 'no_proxy',
                 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'SSL_CERT_DIR'):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    transport._context.cache_clear()
    monkeypatch.setattr(fetch, '_PAUSE', 0.05)


def get(url, bundle='system', limits=LIMITS, validators=None, anchors='',
        **following):
    return Fetcher(Following(url, ca_bundle=bundle, **following), anchors,
                   limits).get(validators or Validators())


def failed(url, bundle='system', limits=LIMITS, **more):
    """Return what is said of a list that does not come."""
    with pytest.raises(FetchError) as caught:
        get(url, bundle, limits, **more)
    assert caught.value.remedy
    # Of what --debug shows, too.
    assert 's3cret' not in ''.join(
        traceback.format_exception(caught.value))
    return caught.value.message


def test_a_list_and_what_says_that_it_is_unchanged(server, bundle):
    url = server.serve('/list', BODY, headers={
        'Last-Modified': 'Sat, 21 Nov 2026 10:00:00 GMT'})
    first = get(url, bundle)
    assert first.content == BODY
    assert first.validators.etag
    assert first.validators.modified == 'Sat, 21 Nov 2026 10:00:00 GMT'
    again = get(url, bundle, validators=first.validators)
    assert again == fetch.Fetched(None, first.validators)
    assert server.asked[1].headers['If-Modified-Since'] == (
        first.validators.modified)
    assert server.asked[0].headers['Accept-Encoding'] == 'identity'
    server.serve('/list', BODY + b'more')
    assert get(url, bundle, validators=first.validators).content == (
        BODY + b'more')


def test_nothing_is_unchanged_that_we_do_not_have(server, bundle):
    url = server.serve('/list', b'', status=304, validated=False)
    assert 'status 304' in failed(url, bundle)


def test_validators_that_are_none(server, bundle):
    url = server.serve('/list', BODY, validated=False, headers={
        'ETag': 'x' * 2000, 'Last-Modified': 'caf\xe9'})
    assert get(url, bundle).validators == Validators()


@pytest.mark.parametrize('answer', [
    listserver.chunked(BODY), Answer(BODY, headers={
        'Content-Encoding': 'Identity'})])
def test_other_ways_to_send_it(server, bundle, answer):
    server.answers['/list'] = answer
    assert get(server.url('/list'), bundle).content == BODY


def test_a_certificate_of_nobody_we_know(server):
    server.serve('/list', BODY)
    message = failed(server.url('/list'), limits=dataclasses.replace(
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


def test_the_cas_of_the_grid(server, bundle, tmp_path):
    url = server.serve('/list', BODY)
    anchors = hashed(tmp_path / 'grid', server.authority.cert_pem.bytes())
    assert get(url, 'igtf', anchors=anchors).content == BODY
    assert get(url, anchors).content == BODY
    (tmp_path / 'empty').mkdir()
    assert 'not accepted' in failed(url, 'igtf',
                                    anchors=str(tmp_path / 'empty'))


@pytest.mark.parametrize('name', [
    'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'SSL_CERT_DIR'])
def test_the_cas_of_the_system(server, bundle, tmp_path, monkeypatch, name):
    url = server.serve('/list', BODY)
    place = bundle if name != 'SSL_CERT_DIR' else hashed(
        tmp_path / 'system', server.authority.cert_pem.bytes())
    monkeypatch.setenv(name, place)
    assert get(url).content == BODY
    transport._context.cache_clear()
    # It stands for the system's and no others.
    (tmp_path / 'empty').mkdir()
    assert 'not accepted' in failed(url, str(tmp_path / 'empty'))


def test_the_cas_that_requests_brings_are_not_asked(
        server, tmp_path, monkeypatch):
    (tmp_path / 'certifi.pem').write_bytes(
        server.authority.cert_pem.bytes())
    monkeypatch.setattr('requests.adapters.DEFAULT_CA_BUNDLE_PATH',
                        str(tmp_path / 'certifi.pem'))
    monkeypatch.setattr('requests.certs.where',
                        lambda: str(tmp_path / 'certifi.pem'))
    server.serve('/list', BODY)
    assert 'not accepted' in failed(server.url('/list'))


@pytest.mark.parametrize('content', [None, b'', b'no certificate'])
def test_a_bundle_that_cannot_be_read(server, tmp_path, content):
    path = tmp_path / 'ca.pem'
    if content is not None:
        path.write_bytes(content)
    message = failed(server.url('/list'), str(path))
    assert f'The CA certificates in {path} cannot be read' in message


@pytest.mark.parametrize('target', [
    'http://127.0.0.1:{port}/list', 'file:///etc/passwd', 'ftp://h/x',
    'https://user:s3cret@127.0.0.1:{port}/list', 'https://[::1',
    'HTTP://127.0.0.1/x', 'https://:443/x', '//[', 'data:,x'])
def test_redirects_to_what_is_not_followed(server, bundle, target):
    server.answers['/list'] = listserver.redirect(
        target.format(port=server.port))
    message = failed(server.url('/list'), bundle)
    assert 'redirects to something else than another https://' in message
    assert 's3cret' not in message
    assert server.paths() == ['/list']


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
def test_redirects_that_are_followed(server, bundle, status):
    server.serve('/here', BODY)
    server.answers['/list'] = listserver.redirect('here', status)
    assert get(server.url('/list'), bundle).content == BODY
    assert server.paths() == ['/list', '/here']


def test_redirects_without_end(server, bundle):
    server.answers['/list'] = listserver.redirect('/list')
    assert 'more than 5 times' in failed(server.url('/list'), bundle)
    assert len(server.asked) == 6


def test_the_body_of_a_redirect_is_not_read(server, bundle):
    server.serve('/here', BODY)
    server.answers['/list'] = listserver.redirect(
        '/here', tail=listserver.endless)
    assert get(server.url('/list'), bundle).content == BODY


def test_a_token_goes_to_its_own_server_only(server, bundle, tmp_path):
    server.serve('/list', BODY, token=TOKEN)
    assert get(server.url('/list'), bundle, token=TOKEN).content == BODY
    assert 'status 401' in failed(server.url('/list'), bundle)
    with ListServer(authority=server.authority) as other:
        other.serve('/list', BODY)
        server.answers['/elsewhere'] = listserver.redirect(
            other.url('/list'))
        assert get(server.url('/elsewhere'), bundle,
                   token=TOKEN).content == BODY
        assert 'Authorization' not in other.asked[0].headers
        # A request back home has it again.
        other.answers['/list'] = listserver.redirect(server.url('/list'))
        assert get(server.url('/elsewhere'), bundle,
                   token=TOKEN).content == BODY
        assert 'Authorization' not in other.asked[1].headers


def test_nobody_elses_passwords_are_sent(server, bundle, tmp_path,
                                         monkeypatch):
    netrc = tmp_path / '.netrc'
    netrc.write_text('machine 127.0.0.1 login me password s3cret\n')
    netrc.chmod(0o600)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('NETRC', str(netrc))
    get(server.serve('/list', BODY), bundle)
    assert 'Authorization' not in server.asked[0].headers


def test_a_token_in_a_file(server, bundle, tmp_path):
    url = server.serve('/list', BODY, token=TOKEN)
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


def test_what_is_secret_stays_so(server, bundle, caplog):
    caplog.set_level(logging.DEBUG)
    said = [failed(server.url('/list?key=s3cret'), bundle, token=TOKEN)
            for server.answers['/list?key=s3cret'] in (
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


@pytest.mark.parametrize('answer', [
    Answer(tail=listserver.trickle), Answer(tail=listserver.silent),
    Answer(whole=listserver.slow_headers),
    Answer(whole=listserver.silent)], ids=[
        'slow body', 'no body', 'slow headers', 'silence'])
def test_who_takes_too_long_is_not_waited_for(server, bundle, answer):
    server.answers['/list'] = answer
    begin = time.monotonic()
    message = failed(server.url('/list'), bundle, SHORT)
    assert 'within 1 seconds' in message or 'silent' in message
    assert time.monotonic() - begin < 15


def test_what_has_no_end(server, bundle):
    server.answers['/list'] = Answer(tail=listserver.endless)
    with pytest.raises(TrustError) as caught:
        get(server.url('/list'), bundle)
    assert caught.value.code is Code.TOO_LARGE
    assert 'more than 100000 bytes' in caught.value.message


def test_the_longest_list(server, bundle):
    url = server.serve('/list', bytes(LIMITS.max_bytes))
    assert len(get(url, bundle).content) == LIMITS.max_bytes
    server.serve('/list', bytes(LIMITS.max_bytes + 1))
    with pytest.raises(TrustError, match='more than'):
        get(url, bundle)


def test_what_is_small_until_it_is_unpacked(server, bundle):
    server.answers['/list'] = listserver.bomb(50_000_000)
    with pytest.raises(MalformedError, match='compressed'):
        get(server.url('/list'), bundle)


@pytest.mark.parametrize('answer', [
    listserver.truncated(BODY), listserver.chunked(BODY, b''),
    listserver.chunked(BODY, b'ff\r\nshort'),
    Answer(whole=lambda handler: None)])
def test_what_breaks_off(server, bundle, answer):
    server.answers['/list'] = [answer, Answer(BODY)]
    assert 'break' in failed(server.url('/list'), bundle)
    server.answers['/list'] = [answer, Answer(BODY)]
    assert get(server.url('/list'), bundle, dataclasses.replace(
        LIMITS, retries=1)).content == BODY


@pytest.mark.parametrize('status', [500, 502, 503, 429])
def test_what_may_pass_is_tried_again(server, bundle, status):
    server.answers['/list'] = [Answer(status=status), Answer(BODY)]
    assert get(server.url('/list'), bundle, dataclasses.replace(
        LIMITS, retries=1)).content == BODY
    assert len(server.asked) == 2
    server.answers['/list'] = Answer(status=status)
    assert f'status {status}' in failed(server.url('/list'), bundle)
    assert len(server.asked) == 3


@pytest.mark.parametrize('status', [400, 403, 404, 410, 204, 206])
def test_what_will_not_pass_is_not(server, bundle, status):
    server.answers['/list'] = Answer(status=status)
    message = failed(server.url('/list'), bundle,
                     dataclasses.replace(LIMITS, retries=3))
    assert f'status {status}' in message
    assert len(server.asked) == 1


def test_servers_may_ask_for_a_pause(server, bundle, monkeypatch):
    slept = []
    monkeypatch.setattr(fetch, 'time', types.SimpleNamespace(
        sleep=slept.append, monotonic=time.monotonic))

    def pause(said, seconds=1000):
        slept.clear()
        server.answers['/list'] = [
            Answer(status=503, headers={'Retry-After': said}), Answer(BODY)]
        get(server.url('/list'), bundle, Limits(seconds, 1, 100_000))
        return slept

    assert pause('7') == [7]
    # A date, or what is none, is not looked at; a day is not waited for.
    assert pause('86400') == [30]
    assert pause('Sat, 21 Nov 2026 10:00:00 GMT') == [0.05]
    assert pause('-5') == [0.05]
    # There is no time for it.
    with pytest.raises(FetchError, match='503'):
        pause('20', seconds=10)


def test_nobody_there():
    message = failed('https://127.0.0.1:1/list')
    assert message == ('https://127.0.0.1:1/list cannot be fetched: '
                       'Connection refused.')


def test_a_name_that_nobody_has():
    assert 'its name is not known' in failed(
        'https://nobody.invalid/list')


def test_proxies_of_the_environment(server, bundle, monkeypatch):
    url = server.serve('/list', BODY)
    with ListServer(tls=False) as proxy:
        monkeypatch.setenv('https_proxy', proxy.url(''))
        assert get(url, bundle).content == BODY
        assert proxy.paths() == [f'127.0.0.1:{server.port}']
        monkeypatch.setenv('no_proxy', '127.0.0.1')
        assert get(url, bundle).content == BODY
        assert len(proxy.asked) == 1
    monkeypatch.delenv('no_proxy')
    assert 'the proxy does not let us through' in failed(url, bundle)


def test_files(tmp_path):
    path = tmp_path / 'a list'
    path.write_bytes(BODY)
    assert get(path.as_uri()).content == BODY
    path.write_bytes(bytes(LIMITS.max_bytes + 1))
    with pytest.raises(TrustError) as caught:
        get(path.as_uri())
    assert caught.value.code is Code.TOO_LARGE
    path.unlink()
    assert 'No such file' in failed(path.as_uri())
    subprocess.run(['mkfifo', path], check=True)
    assert 'is not a file' in failed(path.as_uri())
    assert 'Is a directory' in failed(pathlib.Path('/').as_uri())
    assert 'is not a file' in failed('file:///dev/zero')


def stream(url, home, bundle, **following):
    fetcher = Fetcher(Following(home, ca_bundle=bundle, **following), '',
                      LIMITS)
    with fetcher.stream(url) as pieces:
        return b''.join(pieces)


def test_images_are_streamed(server, bundle):
    home = server.url('/list')
    large = bytes(LIMITS.max_bytes * 3)
    url = server.serve('/image', large, token=TOKEN)
    assert stream(url, home, bundle, token=TOKEN) == large
    with pytest.raises(FetchError, match='401'):
        stream(url, home, bundle)
    with ListServer(tls=False) as plain:
        plain.serve('/image', large)
        assert stream(plain.url('/image'), home, bundle,
                      token=TOKEN) == large
        assert 'Authorization' not in plain.asked[0].headers
        # From there it may become better, and not worse again.
        plain.answers['/image'] = listserver.redirect(server.serve(
            '/open', large))
        assert stream(plain.url('/image'), home, bundle) == large
        server.answers['/open'] = listserver.redirect(plain.url('/image'))
        with pytest.raises(FetchError, match='redirects'):
            stream(plain.url('/image'), home, bundle)
    server.answers['/image'] = listserver.truncated(large)
    with pytest.raises(FetchError, match='breaks off'):
        stream(url, home, bundle)
    for other in ('file:///etc/passwd', 'ftp://h/x', ''):
        with pytest.raises(FetchError, match='not an address'):
            stream(other, home, bundle)


def test_a_stream_that_is_a_trickle(server, bundle, monkeypatch):
    monkeypatch.setattr(fetch, '_FIRST', 0.5)
    server.answers['/image'] = Answer(tail=listserver.trickle)
    with pytest.raises(FetchError, match='less than 1024 bytes a second'):
        stream(server.url('/image'), server.url('/list'), bundle)

