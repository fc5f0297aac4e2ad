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

"""Image lists: what is read, versions, times."""

import datetime
import json

import pytest

from hepix_vm.errors import MalformedError
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorser
from tests.unit.trust.image_lists import a_list
from tests.unit.trust.image_lists import an_image
from tests.unit.trust.image_lists import BAD_TIMES
from tests.unit.trust.image_lists import encode
from tests.unit.trust.image_lists import IMAGE_UUID
from tests.unit.trust.image_lists import LIST_UUID
from tests.unit.trust.image_lists import OTHER_UUID
from tests.unit.trust.image_lists import parse
from tests.unit.trust.image_lists import parse_image
from tests.unit.trust.image_lists import read
from tests.unit.trust.image_lists import SHA512
from tests.unit.trust.image_lists import utc


def test_list_of_appdb() -> None:
    found = imagelist.parse(read('cloudkeeper/imagelist01.unsigned'))
    assert found.identifier == '76fdee70-8119-5d33-aaaa-3c57e1c60df1'
    assert found.version == '20150618211400'
    assert found.created == utc(2015, 6, 18, 21, 14)
    assert found.expires == utc(2499, 12, 31, 22)
    assert found.vo == 'some1.vo.net'
    assert found.endorser == Endorser(
        dn='/DC=XXX/DC=YYY/C=ZZZ/O=Hosts/O=AA.net/CN=some.unknown.source',
        ca='/DC=XXX/DC=YYY/CN=SOME TEST CA',
        email='dontwriteme@please.net', creator='Applications Database')
    first, second = found.images
    assert first.size == 121243136
    assert first.sha512.startswith('5c548a09467df6ff')
    assert first.format == 'OVA'
    assert first.osname == 'Scientific Linux'
    assert first.comments == ''
    assert first.expires == utc(2499, 12, 31, 22)
    assert first.extra['ad:user:fullname'] == 'Bruce Wayne'
    assert first.extra['hv:ram_minimum'] == '512'
    assert 'hv:ram_minimum' not in second.extra


def test_without_the_outer_object() -> None:
    bare = imagelist.parse(read('cloudkeeper-structures/image_list07.json'))
    whole = imagelist.parse(read('cloudkeeper-structures/image_list10.json'))
    assert bare == whole
    assert len(bare.images) == 2


def test_only_what_is_required() -> None:
    found = parse(a_list(an_image()))
    assert found.vo == ''
    assert found.extra == {}
    [image] = found.images
    assert (image.format, image.osname, image.expires) == ('', '', None)
    assert image.extra == {}


def test_no_images() -> None:
    assert parse(a_list()).images == ()


@pytest.mark.parametrize('size', [
    1048576, '1048576', '0001048576'])
def test_size_is_number_or_text(size: object) -> None:
    assert parse_image(**{'hv:size': size}).size == 1048576


@pytest.mark.parametrize('number', [10 ** 99, -10 ** 99])
def test_numbers_of_100_digits(number: int) -> None:
    assert parse_image(**{'x:n': number}).extra == {'x:n': number}


def test_uuids_and_digests_in_lower_case() -> None:
    inner = a_list(an_image(**{
        'dc:identifier': IMAGE_UUID.upper(),
        'sl:checksum:sha512': SHA512.upper()}))
    inner['dc:identifier'] = LIST_UUID.upper()
    found = parse(inner)
    assert found.identifier == LIST_UUID
    assert found.images[0].identifier == IMAGE_UUID
    assert found.images[0].sha512 == SHA512


def test_expiry_of_an_image() -> None:
    image = parse_image(**{'dc:date:expires': '2026-06-01T00:00:00Z'})
    assert image.expires == utc(2026, 6, 1)


def test_two_images_of_one_digest() -> None:
    found = parse(a_list(
        an_image(), an_image(**{'dc:identifier': OTHER_UUID})))
    assert [image.sha512 for image in found.images] == [SHA512, SHA512]
    assert found.find(OTHER_UUID) is found.images[1]


def test_free_text_may_have_lines() -> None:
    image = parse_image(**{
        'dc:description': 'one\r\n\ttwo \u00fc\u00a0\U0001f600',
        'sl:comments': 'a\nb', 'ad:note': 'c\nd'})
    assert image.description == 'one\r\n\ttwo \u00fc\u00a0\U0001f600'
    assert image.comments == 'a\nb'
    assert image.extra == {'ad:note': 'c\nd'}


def test_one_line_of_any_language() -> None:
    title = 'Image n\u00b0\u00a05 \u2013 \u05d0\u200f \u65e5\u672c'
    assert parse_image(**{'dc:title': title}).title == title


def test_crlf() -> None:
    data = json.dumps({'hv:imagelist': a_list(an_image())}, indent=1)
    assert imagelist.parse(data.replace('\n', '\r\n').encode()) == parse(
        a_list(an_image()))


def test_unknown_keys_are_kept_wherever_they_are() -> None:
    inner = a_list(an_image(**{'ad:appid': 993, 'x:deep': [{'y': [1.5]}]}))
    inner['x:list'] = None
    inner['hv:images'][0]['x:beside'] = True
    inner['hv:endorser']['x:endorser'] = 'e'
    inner['hv:endorser']['hv:x509']['x:x509'] = 'c'
    document = {'$schema': 's', 'hv:imagelist': inner}
    found = imagelist.parse(encode(document))
    assert found.extra == {
        'x:list': None, 'hv:imagelist': {'$schema': 's'},
        'hv:endorser': {'x:endorser': 'e', 'hv:x509': {'x:x509': 'c'}}}
    assert found.images[0].extra == {
        'ad:appid': 993, 'x:deep': [{'y': [1.5]}],
        'hv:image': {'x:beside': True}}
    written = json.loads(imagelist.serialize(found))
    assert written['$schema'] == 's'
    assert written['hv:imagelist']['x:list'] is None
    assert written['hv:imagelist']['hv:endorser'] == inner['hv:endorser']
    [holder] = written['hv:imagelist']['hv:images']
    assert holder['x:beside'] is True
    assert holder['hv:image']['x:deep'] == [{'y': [1.5]}]


# Versions and times


@pytest.mark.parametrize(('lower', 'higher'), [
    ('1', '2'), ('9', '10'), ('1.9', '1.10'), ('1.2', '1.2.0'),
    ('1.2-rc1', '1.2.0'), ('1.0-1', '1.0-2'), ('1a', '1b'), ('1.a', '1.1'),
    ('1-a', '1-1'),
    ('20150618211400', '20150618211401'), ('', '0'), ('3.3.0-9', '3.3.0-10'),
    ('1', '1' + '0' * 10_000), ('v1.9', 'v1.10')])
def test_lower_version(lower: str, higher: str) -> None:
    assert imagelist.compare_versions(lower, higher) == -1
    assert imagelist.compare_versions(higher, lower) == 1


@pytest.mark.parametrize(('a', 'b'), [
    ('1.2', '1.2'), ('01', '1'), ('1.00', '1.0'), ('', '')])
def test_equal_version(a: str, b: str) -> None:
    assert imagelist.compare_versions(a, b) == 0
    assert imagelist.compare_versions(b, a) == 0


@pytest.mark.parametrize(('text', 'time'), [
    ('2026-01-31T12:34:56Z', utc(2026, 1, 31, 12, 34, 56)),
    ('0001-01-01T00:00:00Z', utc(1, 1, 1)),
    ('9999-12-31T23:59:59Z', utc(9999, 12, 31, 23, 59, 59)),
    ('2024-02-29T23:59:59Z', utc(2024, 2, 29, 23, 59, 59))])
def test_time(text: str, time: datetime.datetime) -> None:
    found = imagelist.parse_time(text)
    assert found == time
    assert found.utcoffset() == datetime.timedelta(0)
    assert imagelist.format_time(time) == text


@pytest.mark.parametrize('text', BAD_TIMES)
def test_bad_time(text: str) -> None:
    with pytest.raises(MalformedError, match='^A time '):
        imagelist.parse_time(text)


def test_time_of_another_zone() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    assert imagelist.format_time(datetime.datetime(
        2026, 1, 31, 20, 0, 0, 5, zone)) == '2026-02-01T01:00:00Z'


@pytest.mark.parametrize('time', [
    datetime.datetime(2026, 1, 31),
    datetime.datetime.max.replace(
        tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))])
def test_time_that_cannot_be_written(time: datetime.datetime) -> None:
    with pytest.raises(MalformedError):
        imagelist.format_time(time)
