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

"""Many uploads at once, and uploads of one image that race."""

from collections.abc import Iterator
import concurrent.futures
import contextlib
import hashlib
import os
import select
import socket

import pytest

from tests.functional.conftest import Cloud
from tests.functional.conftest import start
from tests.functional.test_routes import assert_untouched
from tests.testbed.client import LOCK
from tests.testbed.client import message
from tests.testbed.client import replace
from tests.testbed.client import wait
from tests.testbed import images
from tests.testbed.site import entry
from tests.testbed.site import file_entry

AT_ONCE = 20
CHUNK = 65536  # bytes
SIZE = 46 * CHUNK


@pytest.fixture(scope='module', params=['uwsgi', 'gunicorn'])
def busy(request, tmp_path_factory) -> Iterator[Cloud]:
    """A cloud with two processes."""
    yield from start(tmp_path_factory.mktemp(request.param), workers=2,
                     server=request.param)


def upload(cloud: Cloud, number: int) -> tuple[str, str, bytes, str]:
    """Bring one image in: the number says by which route, and whether.

    :returns: its id, what is wrong with it if anything, the endorsed
        bytes, and what the user was told
    """
    data = os.urandom(SIZE)
    wrong = ('', 'checksum-mismatch', '', 'not-endorsed')[number % 4]
    image_id = cloud.client.create(
        **{} if wrong == 'not-endorsed'
        else {'hepix_endorsement': cloud.site.endorse(data)})
    sent = data[:-1] + bytes([data[-1] ^ 1]) if wrong == (
        'checksum-mismatch') else data
    by_import = number % 3
    if by_import == 2:
        cloud.web.contents[f'/{image_id}'] = sent
        task = cloud.client.import_and_wait(
            image_id, uri=cloud.web.url(f'/{image_id}'))
        return image_id, wrong, data, task['message'] * (
            task['status'] != 'success')
    response = cloud.client.put(image_id, sent,
                                place='stage' if by_import else 'file')
    assert response.status_code in (204, 422), response.text
    if by_import and response.status_code == 204:
        task = cloud.client.import_and_wait(image_id)
        assert task['status'] == 'success'
    return image_id, wrong, data, '' if response.status_code == 204 else (
        message(response))


def test_all_at_once_are_decided_right(busy):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda number: upload(busy, number),
                             range(AT_ONCE)))
    assert {wrong for _, wrong, _, _ in done} == {
        '', 'checksum-mismatch', 'not-endorsed'}
    for image_id, wrong, data, text in done:
        if wrong:
            assert f'[{wrong}]' in text
            assert_untouched(busy, image_id)
            continue
        assert text == ''
        image = busy.client.image(image_id)
        assert image['status'] == 'active'
        assert image['hepix_state'] == 'endorsed'
        assert image['hepix_sha512'] == entry(data).sha512
        assert busy.client.download(image_id).content == data
    judged = {record['image']: record['allowed'] for record in busy.records()
              if record['event'] == 'verdict'}
    assert judged == {image_id: not wrong for image_id, wrong, _, _ in done}


@pytest.mark.parametrize('order', [0, 1])
def test_two_uploads_race_for_one_image(busy, order):
    """The endorsed bytes and others; whoever comes first changes nothing."""
    data = os.urandom(SIZE)
    other = data[:-1] + bytes([data[-1] ^ 1])
    image_id = busy.client.create(hepix_endorsement=busy.site.endorse(data))
    slow, quick = (data, other)[::1 - 2 * order]
    with busy.client.half_upload(image_id, len(slow), slow[:-1]) as opened:
        busy.client.wait_status(image_id, 'saving')
        assert busy.client.put(image_id, quick).status_code in (409, 422)
        assert busy.client.status(image_id) != 'active'
        opened.sendall(slow[-1:])
        opened.recv(1)
    image = busy.client.wait_status(image_id, 'active', 'queued')
    if slow == data:
        assert image['status'] == 'active'
        assert busy.client.download(image_id).content == data
    else:
        assert_untouched(busy, image_id)


def test_uploads_that_start_together_store_only_endorsed_bytes(busy):
    data = os.urandom(SIZE)
    other = data[:-1] + bytes([data[-1] ^ 1])
    for _ in range(5):
        image_id = busy.client.create(
            hepix_endorsement=busy.site.endorse(data))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            codes = [response.status_code for response in pool.map(
                lambda body: busy.client.put(image_id, body),
                [data, other, data, other])]
        assert codes.count(204) <= 1
        # Glance deletes the image when a loser comes late.
        if busy.client.call(
                'GET', f'/v2/images/{image_id}').status_code == 404:
            continue
        image = busy.client.wait_status(image_id, 'active', 'queued')
        if image['status'] == 'active':
            assert busy.client.download(image_id).content == data


@pytest.mark.parametrize('chunked', [True, False],
                         ids=['chunked', 'length'])
def test_bytes_staged_after_the_verdict_are_not_imported(busy, chunked):
    """An import while the staging goes on: listed bytes, then others."""
    data = os.urandom(SIZE)
    # The site also knows a longer image, whose size may be announced.
    longer = data + bytes(2 * CHUNK)
    busy.site.accept(busy.site.image_list(entry(data), entry(longer)))
    image_id = busy.client.create()
    with busy.client.half_upload(
            image_id, len(longer), data[:CHUNK], chunked=chunked,
            place='stage') as opened:
        for start_ in range(CHUNK, SIZE, CHUNK):
            send(opened, data[start_:start_ + CHUNK], chunked)
        staged = busy.glance.staging / image_id
        wait(lambda: staged.exists() and staged.stat().st_size,
             lambda size: size == SIZE)
        response = busy.client.import_(image_id)
        assert response.status_code in (202, 409, 422)
        if response.status_code == 202:
            # The verdict is journalled right before Glance stores the
            # bytes: wait() would look too seldom. The lock ends this.
            while not judged(busy, image_id) and (
                    LOCK in busy.client.image(image_id)):
                pass
            send(opened, bytes(CHUNK), chunked)
            busy.client.wait_import(image_id)
            found = busy.client.image(image_id)
            assert found['status'] != 'active' or (
                found['os_hash_value'] == entry(data).sha512)
    busy.client.wait_status(image_id, 'queued', 'active')


def judged(cloud: Cloud, image_id: str) -> bool:
    """Return whether the journal has a verdict on an image."""
    return cloud.site.journal.exists() and image_id in (
        cloud.site.journal.read_text())


def send(opened: socket.socket, part: bytes, chunked: bool) -> None:
    """Send a part of a body."""
    opened.sendall(b'%x\r\n%b\r\n' % (len(part), part) if chunked
                   else part)


def test_formats_that_change_while_the_bytes_are_judged(busy, tmp_path):
    """They decide what Glance and Nova take the bytes for.

    Glance's PATCH writes the status that it read: one that is slow may set
    an image that the import left back to importing.
    """
    path = images.patterned_file(tmp_path / 'big', 400 * 2 ** 20, seed=7)
    image_list = busy.site.image_list(file_entry(
        images.sha512(path), path.stat().st_size))
    image_id = busy.client.create(hepix_endorsement=busy.site.encode(
        busy.site.sign(image_list, busy.site.alice)))
    with path.open('rb') as file:
        assert busy.client.stage(image_id, file).status_code == 204
    assert busy.client.import_(image_id).status_code == 202
    for _ in range(3):
        busy.client.patch(image_id, *replace(
            disk_format='vhd', container_format='ovf'))
    task = busy.client.wait_import(image_id)
    image = busy.client.image(image_id)
    if task['status'] == 'failure':
        assert '[format-mismatch]' in task['message']
        assert image['status'] in ('queued', 'importing')
    if image['status'] == 'active':
        assert (image['disk_format'], image['container_format']) == (
            'raw', 'bare')


def test_a_stage_that_fails_while_the_import_reads(busy, tmp_path):
    """Glance then removes the staged file, and lets another be made."""
    path = images.patterned_file(tmp_path / 'big', 200 * 2 ** 20, seed=8)
    digest, size = images.sha512(path), path.stat().st_size
    image_id = busy.client.create(hepix_endorsement=busy.site.encode(
        busy.site.sign(busy.site.image_list(file_entry(digest, size)),
                       busy.site.alice)))
    staged = busy.glance.staging / image_id
    with busy.client.half_upload(image_id, 0, b'\0', chunked=True,
                                 place='stage') as opened:
        with path.open('rb') as file:
            file.seek(1)
            while part := file.read(CHUNK):
                send(opened, part, chunked=True)
        wait(lambda: staged.exists() and staged.stat().st_size,
             lambda staged_size: staged_size == size)
        assert busy.client.import_(image_id).status_code == 202
        while staged.exists() and LOCK in busy.client.image(image_id):
            pass  # wait() would look too seldom
        # More than was endorsed: the upload is refused.
        send(opened, bytes(CHUNK), chunked=True)
        opened.recv(CHUNK)
        other = busy.client.stage(image_id, bytes(size))
        assert other.status_code in (204, 409, 422)
        busy.client.wait_import(image_id)
    image = busy.client.wait_status(image_id, 'active', 'queued')
    if image['status'] == 'active':
        assert image['os_hash_value'] == digest
        assert hashlib.sha512(
            busy.client.download(image_id).content).hexdigest() == digest


def restorer(stack: contextlib.ExitStack, cloud: Cloud,
             image_id: str) -> socket.socket:
    """Return a staging that puts the image back to queued when it fails.

    Its import was refused, so that the image is queued again already.
    """
    opened = stack.enter_context(cloud.client.half_upload(
        image_id, 0, b'x', chunked=True, place='stage'))
    cloud.client.wait_status(image_id, 'uploading')
    assert cloud.client.import_and_wait(image_id)['status'] == 'failure'
    assert cloud.client.status(image_id) == 'queued'
    return opened


def fail(opened: socket.socket) -> None:
    """End a staging with bytes that nobody endorsed."""
    opened.sendall(b'%x\r\n%b\r\n0\r\n\r\n' % (SIZE, bytes(SIZE)))
    opened.recv(CHUNK)


def test_an_image_put_back_to_queued_takes_no_other_bytes(busy):
    """Else its locations would hold both, behind one digest."""
    data, other = os.urandom(SIZE), os.urandom(SIZE)
    image_id = busy.client.create(hepix_endorsement=busy.site.endorse(data))
    with contextlib.ExitStack() as stack:
        opened = restorer(stack, busy, image_id)
        assert busy.client.put(image_id, data).status_code == 204
        fail(opened)
        busy.client.wait_status(image_id, 'queued')
        assert busy.client.patch(image_id, *replace(
            hepix_endorsement=busy.site.endorse(other))).status_code == 200
        for place in ('file', 'stage'):
            response = busy.client.put(
                image_id, other, {'x-image-meta-store': 'reliable'}, place)
            assert response.status_code == 409
            assert 'has data already' in message(response)
        busy.web.contents['/other'] = other
        task = busy.client.import_and_wait(
            image_id, uri=busy.web.url('/other'), stores=['reliable'])
        assert 'has data already' in task['message']
    assert busy.client.status(image_id) == 'queued'
    assert busy.client.delete(image_id).status_code == 204


def test_bytes_of_two_uploads_do_not_mix(busy):
    """An import that fails removes the file that an upload writes."""
    data, other = os.urandom(SIZE), bytes(SIZE)
    image_id = busy.client.create(hepix_endorsement=busy.site.endorse(data))
    busy.web.contents['/data'] = data
    with contextlib.ExitStack() as stack:
        opened = restorer(stack, busy, image_id)
        first = stack.enter_context(busy.client.half_upload(
            image_id, SIZE, data[:-1]))
        busy.client.wait_status(image_id, 'saving')
        fail(opened)
        busy.client.wait_status(image_id, 'queued')
        assert busy.client.put(image_id, other).status_code == 409
        busy.client.import_and_wait(image_id, uri=busy.web.url('/data'))
        second = stack.enter_context(busy.client.half_upload(
            image_id, 0, other[:CHUNK], chunked=True))
        # Where the first one's file is still there, Glance refuses.
        wait(lambda: (busy.client.status(image_id),
                      select.select([second], [], [], 0)[0]),
             lambda seen: seen[0] in ('saving', 'active') or seen[1])
        first.sendall(data[-1:])
        answer = first.recv(CHUNK)
        image = busy.client.image(image_id)
        assert image['status'] != 'active' or (
            busy.client.download(image_id).content == data)
        assert b' 409 ' in answer or b' 410 ' in answer
