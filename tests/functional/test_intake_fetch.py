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
import pathlib
import subprocess
import threading
import time
import types

import pytest

from hepix_vm import deadline
from hepix_vm.errors import Code
from hepix_vm.errors import FetchError
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.exchange import fetch
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange.fetch import Validators
from hepix_vm.subscriptions import Following
from tests.functional import fetching
from tests.functional.fetching import BODY
from tests.functional.fetching import failed
from tests.functional.fetching import get
from tests.functional.fetching import LIMITS
from tests.functional.fetching import SHORT
from tests.functional.fetching import TOKEN
from tests.testbed import listserver
from tests.testbed.listserver import Answer
from tests.testbed.listserver import ListServer


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    fetching.prepare(monkeypatch)


def test_a_list_and_what_says_that_it_is_unchanged(list_server, bundle):
    url = list_server.serve('/list', BODY, headers={
        'Last-Modified': 'Sat, 21 Nov 2026 10:00:00 GMT'})
    first = get(url, bundle)
    assert first.content == BODY
    assert first.validators.etag
    assert first.validators.modified == 'Sat, 21 Nov 2026 10:00:00 GMT'
    again = get(url, bundle, validators=first.validators)
    assert again == fetch.Fetched(None, first.validators)
    assert list_server.asked[1].headers['If-Modified-Since'] == (
        first.validators.modified)
    assert list_server.asked[0].headers['Accept-Encoding'] == 'identity'
    list_server.serve('/list', BODY + b'more')
    assert get(url, bundle, validators=first.validators).content == (
        BODY + b'more')


def test_nothing_is_unchanged_that_we_do_not_have(list_server, bundle):
    url = list_server.serve('/list', b'', status=304, validated=False)
    assert 'status 304' in failed(url, bundle)


def test_validators_that_are_none(list_server, bundle):
    url = list_server.serve('/list', BODY, validated=False, headers={
        'ETag': 'x' * 2000, 'Last-Modified': 'caf\xe9'})
    assert get(url, bundle).validators == Validators()


@pytest.mark.parametrize('answer', [
    listserver.chunked(BODY), Answer(BODY, headers={
        'Content-Encoding': 'Identity'})])
def test_other_ways_to_send_it(list_server, bundle, answer):
    list_server.answers['/list'] = answer
    assert get(list_server.url('/list'), bundle).content == BODY


@pytest.mark.parametrize('answer', [
    Answer(tail=listserver.trickle), Answer(tail=listserver.silent),
    Answer(whole=listserver.slow_headers),
    Answer(whole=listserver.silent)], ids=[
        'slow body', 'no body', 'slow headers', 'silence'])
def test_who_takes_too_long_is_not_waited_for(list_server, bundle, answer):
    list_server.answers['/list'] = answer
    begin = time.monotonic()
    message = failed(list_server.url('/list'), bundle, SHORT)
    assert 'within 1 seconds' in message or 'silent' in message
    assert time.monotonic() - begin < 15


def test_nobody_is_left_behind(list_server, bundle):
    before = set(threading.enumerate())
    list_server.answers['/list'] = Answer(tail=listserver.trickle)
    failed(list_server.url('/list'), bundle, SHORT)
    end = time.monotonic() + 60
    while any(each.name == deadline.THREAD
              for each in set(threading.enumerate()) - before):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_has_no_end(list_server, bundle):
    list_server.answers['/list'] = Answer(tail=listserver.endless)
    with pytest.raises(TrustError) as caught:
        get(list_server.url('/list'), bundle)
    assert caught.value.code is Code.TOO_LARGE
    assert 'more than 100000 bytes' in caught.value.message


def test_the_longest_list(list_server, bundle):
    url = list_server.serve('/list', bytes(LIMITS.max_bytes))
    assert len(get(url, bundle).content) == LIMITS.max_bytes
    list_server.serve('/list', bytes(LIMITS.max_bytes + 1))
    with pytest.raises(TrustError, match='more than'):
        get(url, bundle)


def test_what_is_small_until_it_is_unpacked(list_server, bundle):
    list_server.answers['/list'] = listserver.bomb(50_000_000)
    with pytest.raises(MalformedError, match='compressed'):
        get(list_server.url('/list'), bundle)


@pytest.mark.parametrize('answer', [
    listserver.truncated(BODY), listserver.chunked(BODY, b''),
    listserver.chunked(BODY, b'ff\r\nshort'),
    Answer(whole=lambda handler: None)])
def test_what_breaks_off(list_server, bundle, answer):
    list_server.answers['/list'] = [answer, Answer(BODY)]
    assert 'break' in failed(list_server.url('/list'), bundle)
    list_server.answers['/list'] = [answer, Answer(BODY)]
    assert get(list_server.url('/list'), bundle, dataclasses.replace(
        LIMITS, retries=1)).content == BODY


@pytest.mark.parametrize('status', [500, 502, 503, 429])
def test_what_may_pass_is_tried_again(list_server, bundle, status):
    list_server.answers['/list'] = [Answer(status=status), Answer(BODY)]
    assert get(list_server.url('/list'), bundle, dataclasses.replace(
        LIMITS, retries=1)).content == BODY
    assert len(list_server.asked) == 2
    list_server.answers['/list'] = Answer(status=status)
    assert f'status {status}' in failed(list_server.url('/list'), bundle)
    assert len(list_server.asked) == 3


@pytest.mark.parametrize('status', [400, 403, 404, 410, 204, 206])
def test_what_will_not_pass_is_not(list_server, bundle, status):
    list_server.answers['/list'] = Answer(status=status)
    message = failed(list_server.url('/list'), bundle,
                     dataclasses.replace(LIMITS, retries=3))
    assert f'status {status}' in message
    assert len(list_server.asked) == 1


def test_servers_may_ask_for_a_pause(list_server, bundle, monkeypatch):
    slept = []
    monkeypatch.setattr(fetch, 'time', types.SimpleNamespace(
        sleep=slept.append, monotonic=time.monotonic))

    def pause(said, seconds=1000):
        slept.clear()
        list_server.answers['/list'] = [
            Answer(status=503, headers={'Retry-After': said}), Answer(BODY)]
        get(list_server.url('/list'), bundle, Limits(seconds, 1, 100_000))
        return slept

    assert pause('7') == [7]
    # A date, or what is none, is not looked at; a day is not waited for.
    assert pause('86400') == [30]
    assert pause('Sat, 21 Nov 2026 10:00:00 GMT') == [0.05]
    assert pause('-5') == [0.05]
    # There is no time for it.
    with pytest.raises(FetchError, match='503'):
        pause('20', seconds=10)


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
    fetcher = Fetcher(Following(home, ca_bundle=bundle, **{
        'internal': True, **following}), '', LIMITS)
    with fetcher.stream(url) as pieces:
        return b''.join(pieces)


def test_images_are_streamed(list_server, bundle):
    home = list_server.url('/list')
    large = bytes(LIMITS.max_bytes * 3)
    url = list_server.serve('/image', large, token=TOKEN)
    assert stream(url, home, bundle, token=TOKEN) == large
    with pytest.raises(FetchError, match='401'):
        stream(url, home, bundle)
    with ListServer(tls=False) as plain:
        plain.serve('/image', large)
        assert stream(plain.url('/image'), home, bundle,
                      token=TOKEN) == large
        assert 'Authorization' not in plain.asked[0].headers
        # From there it may become better, and not worse again.
        plain.answers['/image'] = listserver.redirect(list_server.serve(
            '/open', large))
        assert stream(plain.url('/image'), home, bundle) == large
        list_server.answers['/open'] = listserver.redirect(plain.url('/image'))
        with pytest.raises(FetchError, match='redirects'):
            stream(plain.url('/image'), home, bundle)
    list_server.answers['/image'] = listserver.truncated(large)
    with pytest.raises(FetchError, match='breaks off'):
        stream(url, home, bundle)
    for other in ('file:///etc/passwd', 'ftp://h/x', ''):
        with pytest.raises(FetchError, match='not an address'):
            stream(other, home, bundle)
    for other in ('https://', 'https://[', 'https://127.0.0.1:port/x'):
        with pytest.raises(FetchError, match='cannot be fetched'):
            stream(other, home, bundle)


def test_what_a_list_says_leads_to_no_internal_address(
        list_server, bundle, monkeypatch):
    home = list_server.url('/list')
    # From where the list itself is, images come as well.
    assert stream(list_server.serve('/image', BODY), home, bundle,
                  internal=False) == BODY
    with ListServer(authority=list_server.authority) as other, (
            ListServer(tls=False)) as plain:
        for server in (other, plain):
            url = server.serve('/image', BODY)
            localhost = url.replace('127.0.0.1', 'localhost')
            for each in (url, localhost):
                with pytest.raises(FetchError, match='internal') as caught:
                    stream(each, home, bundle, internal=False)
                assert 'internal_addresses: true' in caught.value.remedy
        # Nor does a redirect of what may be asked.
        for path in ('/list', '/image'):
            list_server.answers[path] = listserver.redirect(
                other.url('/image'))
        assert 'internal address' in failed(home, bundle, internal=False)
        with pytest.raises(FetchError, match='internal'):
            stream(list_server.url('/image'), home, bundle, internal=False)
        assert (other.asked, plain.asked) == ([], [])
        # A proxy is the site's own, and decides what may be asked.
        monkeypatch.setenv('https_proxy', plain.url('/'))
        assert stream(other.url('/image'), home, bundle,
                      internal=False) == BODY
        assert [request.path for request in plain.asked] == [
            f'127.0.0.1:{other.port}']


def test_a_stream_that_is_a_trickle(list_server, bundle, monkeypatch):
    monkeypatch.setattr(fetch, '_FIRST', 0.5)
    list_server.answers['/image'] = Answer(tail=listserver.trickle)
    with pytest.raises(FetchError, match='less than 1024 bytes a second'):
        stream(list_server.url('/image'), list_server.url('/list'), bundle)


def test_a_stream_that_takes_too_long(list_server, bundle):
    url = list_server.serve('/image', bytes(LIMITS.max_bytes * 3))
    fetcher = Fetcher(Following(list_server.url('/list'), ca_bundle=bundle),
                      '', LIMITS)
    with fetcher.stream(url, 0) as pieces, pytest.raises(
            FetchError, match='did not come within 0 seconds'):
        b''.join(pieces)


def _trailers(handler):
    handler.wfile.write(b'1\r\nx\r\n0\r\n')
    for _ in handler.alive():
        handler.wfile.write(b'X: y\r\n' * 1000)


def test_a_stream_that_ends_without_end(list_server, bundle, monkeypatch):
    list_server.answers['/image'] = Answer(
        headers={'Transfer-Encoding': 'chunked'}, tail=_trailers)
    monkeypatch.setattr(fetch, '_FIRST', 0.5)
    with pytest.raises(FetchError, match='less than 1024 bytes a second'):
        stream(list_server.url('/image'), list_server.url('/list'), bundle)
