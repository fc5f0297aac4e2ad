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

"""What the bytes on the wire may look like, well formed or not.

Whatever a client sends, an image becomes active with exactly the bytes
that were endorsed, or it does not become active.
"""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import re
import socket

import pytest

from tests.functional.conftest import Cloud
from tests.functional.test_routes import assert_untouched
from tests.functional.test_routes import PAST
from tests.testbed.client import LOCK
from tests.testbed.client import message
from tests.testbed.client import wait
from tests.testbed import images
from tests.testbed.site import entry
from tests.testbed.site import file_entry

DATA = os.urandom(100_000)
MIB = 1024 * 1024
LENGTH = f'Content-Length: {len(DATA)}'
CHUNKED = 'Transfer-Encoding: chunked'
PLACES = ['file', 'stage']


def chunks(*parts: bytes) -> bytes:
    """Return parts as chunks, with the last one (RFC 9112, 7.1)."""
    return b''.join(b'%x\r\n%b\r\n' % (len(part), part)
                    for part in (*parts, b''))


WHOLE = chunks(DATA[:65536], DATA[65536:])


@contextlib.contextmanager
def connection(cloud: Cloud, image_id: str, place: str,
               lines: list[str]) -> Iterator[socket.socket]:
    """Send the head of a PUT with exactly these header lines besides."""
    head = [f'PUT /v2/images/{image_id}/{place} HTTP/1.1',
            f'Host: 127.0.0.1:{cloud.glance.port}', 'Connection: close',
            'Content-Type: application/octet-stream', *lines]
    head += [f'{name}: {value}' for name, value in
             cloud.client.identity.headers().items()]
    with socket.create_connection(('127.0.0.1', cloud.glance.port),
                                  timeout=60) as opened:
        opened.sendall('\r\n'.join((*head, '', '')).encode())
        yield opened


def answer(opened: socket.socket) -> str:
    """Return all that the server says until it closes."""
    received = []
    with contextlib.suppress(ConnectionResetError):
        while data := opened.recv(65536):
            received.append(data)
    return b''.join(received).decode(errors='replace')


def send(cloud: Cloud, image_id: str, place: str, lines: list[str],
         body: bytes) -> str:
    """Send a whole request, then nothing more, and return the answer."""
    with connection(cloud, image_id, place, lines) as opened:
        # A server that refuses may close before all is sent.
        with contextlib.suppress(OSError):
            opened.sendall(body)
            opened.shutdown(socket.SHUT_WR)
        return answer(opened)


def code(text: str) -> int:
    """Return the status code of an answer; 0 when there is none."""
    found = re.match(r'HTTP/1\.[01] (\d{3}) ', text)
    return int(found[1]) if found else 0


def endorsed(cloud: Cloud) -> str:
    return cloud.client.create(hepix_endorsement=cloud.site.endorse(DATA))


def listed(cloud: Cloud) -> str:
    cloud.site.accept(cloud.site.image_list(entry(DATA)))
    return cloud.client.create()


EMPTY = {
    'length-0': (['Content-Length: 0'], b''),
    'no-length': ([], b''),
    'no-chunk': ([CHUNKED], chunks()),
}


@pytest.mark.parametrize('spelling', EMPTY)
@pytest.mark.parametrize('place', PLACES)
def test_an_empty_body_is_judged(either, place, spelling):
    for image_id, reason in (
            (either.client.create(), 'not-endorsed'),
            (endorsed(either), 'size-mismatch')):
        text = send(either, image_id, place, *EMPTY[spelling])
        assert code(text) == 422
        assert f'[{reason}]' in text
        assert_untouched(either, image_id)


SPELLINGS = {
    'gzip': (['Transfer-Encoding: gzip'], DATA),
    'gzip-with-length': (['Transfer-Encoding: gzip', LENGTH], DATA),
    'identity': (['Transfer-Encoding: identity', LENGTH], DATA),
    'gzip-chunked': (['Transfer-Encoding: gzip, chunked'], WHOLE),
    'chunked-gzip': (['Transfer-Encoding: chunked, gzip'], WHOLE),
    'chunked-twice': (['Transfer-Encoding: chunked, chunked'], WHOLE),
    'chunked-two-lines': ([CHUNKED, CHUNKED], WHOLE),
    'chunked-then-identity': ([CHUNKED, 'Transfer-Encoding: identity'],
                              WHOLE),
    'xchunked': (['Transfer-Encoding: xchunked'], WHOLE),
    'xchunked-with-length': (['Transfer-Encoding: xchunked', LENGTH], DATA),
    'capitals': (['Transfer-Encoding: CHUNKED'], WHOLE),
    'blanks': (['Transfer-Encoding: \t chunked '], WHOLE),
    'underscore': (['Transfer_Encoding: chunked', LENGTH], DATA),
    'length-0-chunked': (['Content-Length: 0', CHUNKED], WHOLE),
    'length-chunked': ([LENGTH, CHUNKED], WHOLE),
    'two-lengths': ([LENGTH, f'Content-Length: {len(DATA) + 4}'],
                    DATA + b'more'),
    'two-lengths-zero-first': (['Content-Length: 0', LENGTH], DATA),
    'two-lengths-zero-last': ([LENGTH, 'Content-Length: 0'], DATA),
    'length-abc': (['Content-Length: abc'], DATA),
    'length-negative': (['Content-Length: -1'], DATA),
    'length-plus': ([f'Content-Length: +{len(DATA)}'], DATA),
    'length-hex': ([f'Content-Length: 0x{len(DATA):x}'], DATA),
    'length-list': ([f'{LENGTH}, {len(DATA)}'], DATA),
    'length-huge': ([f'Content-Length: {2 ** 70}'], DATA),
    'length-and-more': ([LENGTH], DATA + b'more'),
    'length-of-more': ([f'Content-Length: {len(DATA) + 4}'], DATA),
    'first-size-garbage': ([CHUNKED], b'zz\r\n' + WHOLE),
    'later-size-garbage': ([CHUNKED], WHOLE[:-5] + b'zz\r\n\r\n'),
    'size-negative': ([CHUNKED], b'-5\r\n' + WHOLE),
    'size-huge': ([CHUNKED], b'f' * 20 + b'\r\n' + WHOLE),
    'chunk-extension': ([CHUNKED], WHOLE.replace(b'\r\n', b';a=b\r\n', 1)),
    'trailer': ([CHUNKED], WHOLE[:-2] + b'Content-Length: 5\r\n\r\n'),
    'no-last-chunk': ([CHUNKED], WHOLE[:-5]),
    'data-after-last-chunk': ([CHUNKED], WHOLE + chunks(b'more')),
    'one-chunk-more': ([CHUNKED], WHOLE[:-5] + chunks(b'more')),
    'lying-image-size': ([LENGTH, 'x-openstack-image-size: 5'], DATA),
    'lying-image-size-chunked': ([CHUNKED, 'x-openstack-image-size: 5'],
                                 WHOLE),
    'lying-image-size-more': ([CHUNKED, 'x-openstack-image-size: '
                               f'{len(DATA)}'],
                              WHOLE[:-5] + chunks(b'more')),
}


@pytest.mark.parametrize('place, image', [
    ('file', endorsed), ('file', listed), ('stage', listed)])
@pytest.mark.parametrize('spelling', SPELLINGS)
def test_no_spelling_brings_other_bytes(either, place, image, spelling):
    image_id = image(either)
    text = send(either, image_id, place, *SPELLINGS[spelling])
    found = either.client.wait_status(
        image_id, 'queued', 'deactivated',
        'active' if place == 'file' else 'uploading')
    assert 'Traceback' not in text
    assert '.py' not in text
    if found['status'] == 'queued':
        assert not 200 <= code(text) < 300
        assert_untouched(either, image_id)
        return
    assert code(text) == 204
    path, = (path for path in either.glance.stored_files()
             if path.name == image_id)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize('lines', [
    [f'Content-Length: {100 * MIB}'], [CHUNKED]], ids=['length', 'chunked'])
@pytest.mark.parametrize('place', PLACES)
def test_an_early_refusal_does_not_wait_for_the_body(either, place, lines):
    image_id = either.client.create(hepix_endorsement='bm90IHNpZ25lZA==')
    with connection(either, image_id, place, lines) as opened:
        text = answer(opened)
    assert code(text) == 422
    assert '[unsigned]' in text
    assert_untouched(either, image_id)


@pytest.mark.parametrize('chunked', [False, True],
                         ids=['length', 'chunked'])
@pytest.mark.parametrize('place', PLACES)
def test_an_early_refusal_reaches_who_sends_on(
        either, tmp_path, place, chunked):
    path = images.patterned_file(tmp_path / 'image', 100 * MIB)
    image_id = either.client.create(
        hepix_endorsement=either.site.endorse(DATA, expires=PAST))
    either.glance.reset_peak_rss()
    before = either.glance.server_rss()
    with path.open('rb') as file:
        body = iter(lambda: file.read(65536), b'') if chunked else file
        response = either.client.put(image_id, body, place=place)
        sent = file.tell()
    assert response.status_code == 422
    assert '[list-expired]' in message(response)
    # What fits into the buffers between client and server is lost.
    assert sent < 32 * MIB
    assert either.glance.server_peak_rss() - before < 4 * MIB
    assert_untouched(either, image_id)


@pytest.mark.parametrize('chunked', [False, True],
                         ids=['length', 'chunked'])
@pytest.mark.parametrize('place', PLACES)
def test_a_proxy_that_sends_all_before_it_looks_gets_the_refusal(
        either, place, chunked):
    data = bytes(8 * MIB)
    parts = [data[at:at + 65536] for at in range(0, len(data), 65536)]
    lines = [CHUNKED if chunked else f'Content-Length: {len(data)}',
             'X-Forwarded-For: 192.0.2.1']
    image_id = either.client.create()
    with connection(either, image_id, place, lines) as opened:
        opened.sendall(chunks(*parts) if chunked else data)
        text = answer(opened)
    assert code(text) == 422
    assert '[not-endorsed]' in text
    assert_untouched(either, image_id)


@pytest.mark.parametrize('chunked', [False, True],
                         ids=['length', 'chunked'])
def test_memory_is_flat(either, tmp_path, chunked):
    def upload(size: int) -> int:
        """Bring an image in by both routes; return the peak in bytes."""
        path = images.patterned_file(tmp_path / str(size), size)
        image = file_entry(images.sha512(path), size)
        text = either.site.encode(either.site.sign(
            either.site.image_list(image), either.site.alice))
        either.glance.reset_peak_rss()
        for place in PLACES:
            image_id = either.client.create(hepix_endorsement=text)
            with path.open('rb') as file:
                body = iter(lambda: file.read(65536), b'')
                assert either.client.put(
                    image_id, body if chunked else file,
                    place=place).status_code == 204
            if place == 'stage':
                task = either.client.import_and_wait(image_id)
                assert task['status'] == 'success'
            assert either.client.status(image_id) == 'active'
            assert either.client.delete(image_id).status_code == 204
        return either.glance.server_peak_rss()

    small = upload(8 * MIB)
    assert upload(96 * MIB) - small < 20 * MIB


@pytest.mark.parametrize('chunked', [False, True],
                         ids=['length', 'chunked'])
@pytest.mark.parametrize('place', PLACES)
def test_a_client_that_is_cut_off(either, place, chunked):
    image_id = endorsed(either)
    with either.client.half_upload(image_id, len(DATA), DATA[:65536],
                                   chunked=chunked, place=place):
        wait(lambda: _stored(either, image_id), bool)
    either.client.wait_status(image_id, 'queued')
    wait(lambda: _stored(either, image_id), lambda paths: not paths)
    # The status comes first, and the filter's own mark goes last.
    wait(lambda: either.client.image(image_id),
         lambda image: LOCK not in image)
    assert_untouched(either, image_id)
    assert either.client.put(image_id, DATA,
                             place=place).status_code == 204
    if place == 'stage':
        assert either.client.import_and_wait(image_id)['status'] == 'success'
    assert either.client.download(image_id).content == DATA


def _stored(cloud: Cloud, image_id: str) -> list[pathlib.Path]:
    return [path for path in cloud.glance.stored_files()
            if image_id in path.name]
