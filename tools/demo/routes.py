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

"""The routes by which people bring bytes to Glance."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import pathlib

import requests

from tests.testbed.client import message
from tools.demo.cloud import Cloud

# uWSGI refuses chunks of 1 MiB and more.
_CHUNK = 512 * 1024  # bytes


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the user is told at the end.

    :param kind: ``HTTP`` and the status of an upload, ``task`` and the
        status of an import
    :param text: word for word what it says
    """

    kind: str
    text: str = ''


ACCEPTED = ('HTTP 204', 'task success')
REFUSED = ('HTTP 422', 'task failure')


@dataclasses.dataclass(frozen=True)
class Route:
    """One route.

    :param name: what the table calls it
    :param how: the calls it consists of
    :param bring: brings the bytes of a file for an image
    """

    name: str
    how: str
    bring: Callable[[Cloud, str, pathlib.Path], Answer]


def _direct(cloud: Cloud, image_id: str, path: pathlib.Path) -> Answer:
    with path.open('rb') as body:
        return _answer(cloud.client.put(image_id, body))


def _chunked(cloud: Cloud, image_id: str, path: pathlib.Path) -> Answer:
    return _answer(cloud.client.put(image_id, _chunks(path)))


def _staged(cloud: Cloud, image_id: str, path: pathlib.Path) -> Answer:
    with path.open('rb') as body:
        answer = _answer(cloud.client.stage(image_id, body))
    if answer.kind not in ACCEPTED:
        return answer
    return _outcome(cloud.client.import_and_wait(image_id))


def _web(cloud: Cloud, image_id: str, path: pathlib.Path) -> Answer:
    cloud.web.contents[f'/{image_id}'] = path
    return _outcome(cloud.client.import_and_wait(
        image_id, uri=cloud.web.url(f'/{image_id}')))


def _answer(response: requests.Response) -> Answer:
    return Answer(f'HTTP {response.status_code}', message(response))


def _outcome(task: dict[str, str]) -> Answer:
    return Answer(f'task {task["status"]}', task['message'])


def _chunks(path: pathlib.Path) -> Iterator[bytes]:
    with path.open('rb') as body:
        while chunk := body.read(_CHUNK):
            yield chunk


ROUTES = (
    Route('direct upload', 'PUT /file with its length', _direct),
    Route('chunked upload', 'PUT /file in chunks', _chunked),
    Route('staged import', 'PUT /stage, then an import by glance-direct',
          _staged),
    Route('web-download', 'an import that Glance fetches by itself', _web),
)
