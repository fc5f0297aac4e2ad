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

"""Image lists: what is written."""

import dataclasses
import datetime
import json
from typing import Any

import pytest

from hepix_vm.errors import MalformedError
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from tests.unit.trust.image_lists import a_list
from tests.unit.trust.image_lists import an_image
from tests.unit.trust.image_lists import IMAGE_UUID
from tests.unit.trust.image_lists import Json
from tests.unit.trust.image_lists import LIST_UUID
from tests.unit.trust.image_lists import nested
from tests.unit.trust.image_lists import read
from tests.unit.trust.image_lists import SHA512
from tests.unit.trust.image_lists import utc


def a_model(**changes: Any) -> ImageList:
    found = ImageList(
        identifier=LIST_UUID, version='7', created=utc(2026, 1, 31, 12),
        expires=utc(2027, 1, 31, 12), uri='https://lists.example.org/l',
        endorser=Endorser(dn='/CN=Alice', ca='/CN=CA'), images=(
            ImageEntry(
                identifier=IMAGE_UUID, size=5, sha512=SHA512,
                version='3.3.0-1', hypervisor='kvm',
                uri='https://images.example.org/i'),))
    return dataclasses.replace(found, **changes)


def with_image(**changes: Any) -> ImageList:
    [image] = a_model().images
    return a_model(images=(dataclasses.replace(image, **changes),))


def written_image(model: ImageList) -> Json:
    document = json.loads(imagelist.serialize(model))
    found: Json = document['hv:imagelist']['hv:images'][0]['hv:image']
    return found


@pytest.mark.parametrize('name', [
    'cloudkeeper/imagelist01.unsigned',
    'cloudkeeper-structures/image_list10.json'])
def test_what_is_written_reads_back(name: str) -> None:
    found = imagelist.parse(read(name))
    again = imagelist.parse(imagelist.serialize(found))
    assert again == imagelist.complete(found)
    for image, old in zip(again.images, found.images, strict=True):
        assert image.extra.items() >= old.extra.items()
        assert dataclasses.replace(image, extra=old.extra) == old
    assert dataclasses.replace(again, images=()) == dataclasses.replace(
        found, images=())


def test_nothing_is_added_to_a_complete_list() -> None:
    model = imagelist.complete(a_model())
    assert imagelist.complete(model) == model
    assert imagelist.parse(imagelist.serialize(model)) == model


def test_form_of_what_is_written() -> None:
    data = imagelist.serialize(with_image(title='\u00fc', extra={'a': 1}))
    assert data.isascii()
    assert data.endswith(b'}\n')
    assert b'\r' not in data
    document = json.loads(data)
    assert list(document) == ['hv:imagelist']
    assert list(document['hv:imagelist']) == sorted(
        document['hv:imagelist'])


def test_order_of_keys_makes_no_difference() -> None:
    one = with_image(extra={'a': 1, 'b': {'c': 2, 'd': 3}})
    other = with_image(extra={'b': {'d': 3, 'c': 2}, 'a': 1})
    assert imagelist.serialize(one) == imagelist.serialize(other)


def test_superset_of_all_readers() -> None:
    model = a_model(vo='vo.example.org')
    document = json.loads(imagelist.serialize(model))
    assert document['hv:imagelist'].keys() == {
        *a_list(), 'ad:vo'}
    assert document['hv:imagelist']['ad:vo'] == 'vo.example.org'
    image = written_image(model)
    assert image.keys() == {
        *an_image(), 'dc:date:expires', 'hv:format', 'sl:osname',
        'ad:mpuri', 'ad:base_mpuri', 'ad:appid', 'ad:group',
        'ad:user:fullname', 'ad:user:guid', 'ad:user:uri'}
    assert image['hv:size'] == 5
    assert image['dc:date:expires'] == '2027-01-31T12:00:00Z'
    assert image['ad:mpuri'] == (
        f'https://lists.example.org/l#{IMAGE_UUID}:3.3.0-1/')


def test_own_expiry_is_kept() -> None:
    image = written_image(with_image(expires=utc(2026, 5, 1)))
    assert image['dc:date:expires'] == '2026-05-01T00:00:00Z'


def test_own_mpuri_is_kept() -> None:
    image = written_image(with_image(extra={'ad:mpuri': 'https://x/1:2/'}))
    assert image['ad:mpuri'] == 'https://x/1:2/'


def test_mpuri_of_a_list_without_uri() -> None:
    [image] = a_model().images
    image = dataclasses.replace(image, version='SL 5.5/\u00fc')
    assert written_image(a_model(uri='', images=(image,)))['ad:mpuri'] == (
        f'urn:uuid:{LIST_UUID}#{IMAGE_UUID}:SL%205.5%2F%C3%BC/')


def test_fractions_of_a_second_are_dropped() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    model = a_model(created=datetime.datetime(
        2026, 1, 31, 14, 0, 0, 999_999, zone))
    again = imagelist.parse(imagelist.serialize(model))
    assert again.created == utc(2026, 1, 31, 12)


@pytest.mark.parametrize(('model', 'message'), [
    (a_model(identifier='x'), 'hv:imagelist/dc:identifier'),
    (a_model(identifier=LIST_UUID.upper()), 'read back'),
    (a_model(expires=utc(2020, 1, 1)), 'dc:date:expires is before'),
    (a_model(created=datetime.datetime(2026, 1, 1)), 'time zone'),
    (a_model(endorser=Endorser(dn='', ca='/CN=CA')), 'hv:dn'),
    (a_model(extra={'dc:title': 'y'}), 'read back'),
    (a_model(extra={'hv:imagelist': {}}), 'read back'),
    (with_image(size=0), 'hv:images[0]/hv:size'),
    (with_image(sha512='abc'), 'hv:images[0]/sl:checksum:sha512'),
    (with_image(version='a\nb'), 'hv:images[0]/hv:version'),
    (with_image(version='\ud800'), 'hv:images[0]/hv:version'),
    (with_image(extra={'x': '\ud800'}), "hv:images[0]/'x'"),
    (with_image(extra={'x': float('nan')}), 'JSON'),
    (with_image(extra={'x': b''}), 'JSON'),
    (with_image(extra={'x': ('a',)}), 'read back'),
    (with_image(extra={'x': {1: 'a'}}), 'read back'),
    (with_image(extra={'x': utc(2026, 1, 1)}), 'read back'),
    (with_image(extra={'hv:image': 7}), 'JSON'),
    (with_image(extra={'x': nested(17, lambda x: [x])}), 'one another'),
    (with_image(extra={'x': nested(100_000, lambda x: [x])}), 'JSON'),
    (a_model(images=a_model().images * 2), 'hv:images[1]/dc:identifier'),
])
def test_not_written(model: ImageList, message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        imagelist.serialize(model)
    assert message in caught.value.message
