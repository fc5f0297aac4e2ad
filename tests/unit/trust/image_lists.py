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

"""Image lists for tests, as JSON."""

from collections.abc import Callable
import datetime
import json
import pathlib
from typing import Any

from hepix_vm.trust import imagelist
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList

FIXTURES = pathlib.Path(__file__).parents[2] / 'fixtures'
LIST_UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
IMAGE_UUID = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
OTHER_UUID = '0f9d6a52-7a0e-4f7d-9b5c-0a4f8f8e2d11'
SHA512 = 'c0ffee42' * 16
BAD_TIMES = [
    '', '2026-01-31', '2026-01-31T12:00:00', '2026-01-31 12:00:00Z',
    '2026-01-31T12:00:00z', '2026-01-31t12:00:00Z', '2026-1-31T12:00:00Z',
    '2026-01-31T12:00:00+00:00', '2026-01-31T12:00:00.5Z',
    '2026-01-31T12:00Z', '20260131T120000Z', '2026-W05-6T12:00:00Z',
    '2026-01-31T24:00:00Z', '2026-01-31T23:59:60Z', '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z', '0000-01-01T00:00:00Z', '2026-01-31T12:00:00Z ',
    '2026-01-31T12:00:00Z\n', '\u0662026-01-31T12:00:00Z',
    '+026-01-31T12:00:00Z']

Json = dict[str, Any]


def an_image(**changes: Any) -> Json:
    """Return an hv:image with exactly what is required."""
    return {
        'dc:identifier': IMAGE_UUID, 'hv:size': 1048576,
        'sl:checksum:sha512': SHA512, 'hv:version': '1.0',
        'hv:uri': 'https://images.example.org/sl.qcow2',
        'hv:hypervisor': 'kvm', 'dc:title': 'SL', 'dc:description': '',
        'sl:arch': 'x86_64', 'sl:os': 'Linux', 'sl:osversion': '6.0',
        'sl:comments': ''} | changes


def a_list(*images: Json) -> Json:
    """Return what is inside hv:imagelist, with exactly what is required."""
    return {
        'dc:identifier': LIST_UUID, 'hv:version': '1.2.3',
        'dc:date:created': '2026-01-31T12:00:00Z',
        'dc:date:expires': '2027-01-31T12:00:00Z',
        'dc:title': '', 'dc:description': '', 'dc:source': '',
        'hv:uri': 'https://lists.example.org/vo/image.list',
        'hv:endorser': {'hv:x509': {
            'hv:dn': '/C=EU/O=Example Grid/CN=Alice Endorser',
            'hv:ca': '/C=EU/O=Example Grid/CN=Example Grid CA',
            'hv:email': '', 'dc:creator': ''}},
        'hv:images': [{'hv:image': image} for image in images]}


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def parse(inner: Json) -> ImageList:
    return imagelist.parse(encode({'hv:imagelist': inner}))


def parse_image(**changes: Any) -> ImageEntry:
    return parse(a_list(an_image(**changes))).images[0]


def read(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def utc(*when: int) -> datetime.datetime:
    return datetime.datetime(*when, tzinfo=datetime.UTC)  # type: ignore


def nested(depth: int, container: Callable[[Any], Any]) -> Any:
    value: Any = 'x'
    for _ in range(depth):
        value = container(value)
    return value
