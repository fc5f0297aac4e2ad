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

"""Image lists: what is read, what is refused, what is written."""

from collections.abc import Callable
import dataclasses
import datetime
import json
import pathlib
from typing import Any

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList

FIXTURES = pathlib.Path(__file__).parents[2] / 'fixtures'
LIST_UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
IMAGE_UUID = '2b9c0a7e-51d5-4a55-8f6e-3d0f0c1e9b42'
OTHER_UUID = '0f9d6a52-7a0e-4f7d-9b5c-0a4f8f8e2d11'
SHA512 = 'c0ffee42' * 16
AT = 'hv:imagelist/hv:images[0]/'

Json = dict[str, Any]
Change = Callable[[Json], object]


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


def refusal(data: bytes, max_bytes: int | None = None) -> MalformedError:
    """Return the error with which the data are refused."""
    with pytest.raises(MalformedError) as caught:
        if max_bytes is None:
            imagelist.parse(data)
        else:
            imagelist.parse(data, max_bytes)
    return caught.value


def image_refusal(**changes: Any) -> str:
    return refusal(encode({'hv:imagelist': a_list(
        an_image(**changes))})).message


def list_refusal(change: Change) -> str:
    inner = a_list(an_image())
    change(inner)
    return refusal(encode({'hv:imagelist': inner})).message


def read(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def utc(*when: int) -> datetime.datetime:
    return datetime.datetime(*when, tzinfo=datetime.UTC)  # type: ignore


# What is read


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


# What is refused: the JSON


def test_too_long() -> None:
    data = encode({'hv:imagelist': a_list(an_image())})
    assert imagelist.parse(data, len(data)).identifier == LIST_UUID
    error = refusal(data, len(data) - 1)
    assert error.code is Code.TOO_LARGE
    assert f'{len(data)} bytes' in error.message


def test_too_many_values() -> None:
    error = refusal(b'[' + b'[],' * 2_000_000 + b'[]]')
    assert error.code is Code.TOO_LARGE
    assert 'values' in error.message


@pytest.mark.parametrize(('data', 'message'), [
    (b'', 'not JSON'),
    (b'\xef\xbb\xbf{}', 'byte order mark'),
    ('{"\u00fc": 1}'.encode('latin-1'), 'not UTF-8 at byte 2'),
    (b'{"a": "\xed\xa0\x80"}', 'not UTF-8'),
    ('{}'.encode('utf-16'), 'not UTF-8'),
    (b'{"a": 1} {}', 'Extra data, line 1, column 10'),
    (b'{"a": 1,}', 'not JSON'),
    (b'{"a": "\n"}', 'control character'),
    (b'{"a": {"hv:size": 1, "hv:size": 2}}', "'hv:size' appears twice"),
    (b'{"a": NaN}', 'NaN'),
    (b'{"a": -Infinity}', '-Infinity'),
    (b'{"a": 1e999}', 'out of range'),
    (b'{"a": ' + b'9' * 101 + b'}', '100 digits'),
    (b'{"a": ' + b'9' * 5000 + b'}', '100 digits'),
    (b'[' * 100_000, 'inside one another'),
    (b'{"a":' * 100_000, 'inside one another'),
    (b'[]', 'The document must be an object, not an array.'),
    (b'"x"', 'not text'),
    (b'7', 'not a number'),
    (b'null', 'not null'),
])
def test_not_strict_json(data: bytes, message: str) -> None:
    error = refusal(data)
    assert message in error.message
    assert error.code is Code.MALFORMED


def test_a_key_twice_in_a_list() -> None:
    data = encode({'hv:imagelist': a_list(an_image())}).replace(
        b'"hv:size": 1048576', b'"hv:size": 1, "hv:size": 1048576')
    assert "'hv:size' appears twice" in refusal(data).message


def test_a_key_twice_in_a_large_object() -> None:
    # A search that takes the square of the number of keys would not end.
    keys = ''.join(f'"{n}":0,' for n in range(100_000))
    assert "'x' appears twice" in refusal(
        f'{{{keys}"x":0,"x":0}}'.encode()).message


# What is refused: keys of the list


@pytest.mark.parametrize('key', [
    'dc:identifier', 'hv:version', 'dc:date:created', 'dc:date:expires',
    'dc:title', 'dc:description', 'dc:source', 'hv:uri', 'hv:endorser',
    'hv:images'])
def test_missing_in_the_list(key: str) -> None:
    assert list_refusal(lambda x: x.pop(key)) == (
        f'hv:imagelist/{key} is missing.')


@pytest.mark.parametrize('key', [
    'hv:dn', 'hv:ca', 'hv:email', 'dc:creator'])
def test_missing_in_the_endorser(key: str) -> None:
    assert list_refusal(
        lambda x: x['hv:endorser']['hv:x509'].pop(key)) == (
        f'hv:imagelist/hv:endorser/hv:x509/{key} is missing.')


@pytest.mark.parametrize('key', sorted(an_image()))
def test_missing_in_an_image(key: str) -> None:
    inner = a_list(an_image(), an_image(**{'dc:identifier': OTHER_UUID}))
    del inner['hv:images'][1]['hv:image'][key]
    error = refusal(encode({'hv:imagelist': inner}))
    assert error.message == (
        f'hv:imagelist/hv:images[1]/{key} is missing.')


def test_path_without_the_outer_object() -> None:
    assert refusal(encode(a_list(an_image(**{
        'hv:size': 0})))).message.startswith('hv:images[0]/hv:size must be')


def test_incomplete_list_of_cloudkeeper() -> None:
    assert 'hv:version is missing' in refusal(
        read('cloudkeeper-structures/image_list05.json')).message


@pytest.mark.parametrize(('change', 'message'), [
    (lambda x: x.update({'hv:images': {}}),
     'hv:images must be an array, not an object'),
    (lambda x: x.update({'hv:images': [7]}),
     'hv:images[0] must be an object, not a number'),
    (lambda x: x.update({'hv:images': [{}]}),
     'hv:images[0]/hv:image is missing'),
    (lambda x: x.update({'hv:images': [{'hv:image': 'x'}]}),
     'hv:images[0] must be an object, not text'),
    (lambda x: x.update({'hv:endorser': True}),
     'hv:endorser must be an object, not true'),
    (lambda x: x.update({'hv:endorser': {}}),
     'hv:endorser/hv:x509 is missing'),
    (lambda x: x['hv:endorser'].update({'hv:x509': None}),
     'hv:endorser/hv:x509 must be an object, not null'),
    (lambda x: x['hv:endorser']['hv:x509'].update({'hv:dn': ''}),
     'hv:x509/hv:dn must not be empty'),
    (lambda x: x['hv:endorser']['hv:x509'].update({'hv:ca': ''}),
     'hv:x509/hv:ca must not be empty'),
    (lambda x: x['hv:endorser']['hv:x509'].update({'hv:dn': '/CN=a\n'}),
     'hv:x509/hv:dn must be one line'),
    (lambda x: x.update({'hv:version': ''}),
     'hv:version must not be empty'),
    (lambda x: x.update({'hv:version': 3}),
     'hv:version must be text, not a number'),
    (lambda x: x.update({'dc:identifier': 'no'}),
     "dc:identifier must be a UUID, not 'no'"),
    (lambda x: x.update({'ad:vo': 'a\u0000'}), 'ad:vo must be one line'),
    (lambda x: x.update({'hv:imagelist': {}}),
     'hv:imagelist/hv:imagelist is out of place'),
    (lambda x: x['hv:images'][0]['hv:image'].update({'hv:image': {}}),
     'hv:images[0]/hv:image is out of place'),
])
def test_bad_in_the_list(change: Change, message: str) -> None:
    found = list_refusal(change)
    assert message in found
    assert found.startswith('hv:imagelist/hv:')  or found.startswith(
        ('hv:imagelist/dc:', 'hv:imagelist/ad:'))


def test_outer_object_of_another_type() -> None:
    assert refusal(b'{"hv:imagelist": []}').message == (
        'hv:imagelist must be an object, not an array.')


def test_expiry_before_creation() -> None:
    assert list_refusal(lambda x: x.update({
        'dc:date:expires': '2026-01-31T11:59:59Z'})) == (
        'hv:imagelist/dc:date:expires is before dc:date:created.')


def test_two_images_of_one_uuid() -> None:
    inner = a_list(an_image(), an_image(**{
        'dc:identifier': IMAGE_UUID.upper()}))
    message = refusal(encode({'hv:imagelist': inner})).message
    assert message.startswith(
        f'hv:imagelist/hv:images[1]/dc:identifier {IMAGE_UUID} ')


@pytest.mark.parametrize('wrap', [
    lambda x: x, lambda x: {'hv:imagelist': x}])
def test_pre_standard_list(wrap: Callable[[Json], Json]) -> None:
    document = {'images': [{'metadata': {'vmi_uuid': IMAGE_UUID}}]}
    message = refusal(encode(wrap(document))).message
    assert 'before the HEPiX standard' in message
    assert 'vmi_*' in message


# What is refused: values of an image


@pytest.mark.parametrize('size', [
    0, -1, '0', '-1', '', ' 1', '1 ', '1_0', '+1', '1.0', '1e3', '0x10',
    '\u0661', 1.0, 1.5, True, False, None, [], {}, 2 ** 63, str(2 ** 63),
    '1' * 5000])
def test_bad_size(size: object) -> None:
    message = image_refusal(**{'hv:size': size})
    assert message.startswith(f'{AT}hv:size must be a number of bytes')
    assert len(message) < 200


@pytest.mark.parametrize('uuid', [
    '', IMAGE_UUID[:-1], f'{IMAGE_UUID}0', f'{{{IMAGE_UUID}}}',
    IMAGE_UUID.replace('-', ''), f'urn:uuid:{IMAGE_UUID}',
    f'{IMAGE_UUID}\n', IMAGE_UUID.replace('-', '\u2010'),
    'c0482bc2-bf41-5d49-gggg-a750174a186b', '../../etc/passwd', 7, None])
def test_bad_uuid(uuid: object) -> None:
    assert image_refusal(**{'dc:identifier': uuid}).startswith(
        f'{AT}dc:identifier must be ')


@pytest.mark.parametrize('digest', [
    '', SHA512[:-1], f'{SHA512}0', f'{SHA512}\n', 'g' * 128,
    '\uff10' * 128, 'd41d8cd98f00b204e9800998ecf8427e', None, 5])
def test_bad_digest(digest: object) -> None:
    assert image_refusal(**{'sl:checksum:sha512': digest}).startswith(
        f'{AT}sl:checksum:sha512 must be ')


BAD_TIMES = [
    '', '2026-01-31', '2026-01-31T12:00:00', '2026-01-31 12:00:00Z',
    '2026-01-31T12:00:00z', '2026-01-31t12:00:00Z', '2026-1-31T12:00:00Z',
    '2026-01-31T12:00:00+00:00', '2026-01-31T12:00:00.5Z',
    '2026-01-31T12:00Z', '20260131T120000Z', '2026-W05-6T12:00:00Z',
    '2026-01-31T24:00:00Z', '2026-01-31T23:59:60Z', '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z', '0000-01-01T00:00:00Z', '2026-01-31T12:00:00Z ',
    '2026-01-31T12:00:00Z\n', '\u0662026-01-31T12:00:00Z',
    '+026-01-31T12:00:00Z']


@pytest.mark.parametrize('time', [*BAD_TIMES, 1769860800, None])
def test_bad_expiry_of_an_image(time: object) -> None:
    assert image_refusal(**{'dc:date:expires': time}).startswith(
        f'{AT}dc:date:expires ')


@pytest.mark.parametrize('key', ['dc:date:created', 'dc:date:expires'])
def test_bad_time_of_a_list(key: str) -> None:
    assert list_refusal(lambda x: x.update({key: 'soon'})) == (
        f'hv:imagelist/{key} must be a UTC time such as '
        "2030-01-31T12:00:00Z, not 'soon'.")


ONE_LINE = ['hv:version', 'hv:uri', 'hv:hypervisor', 'dc:title', 'sl:arch',
            'sl:os', 'sl:osversion', 'sl:osname', 'hv:format']


@pytest.mark.parametrize('key', ONE_LINE)
@pytest.mark.parametrize('bad', [
    '\x00', '\n', '\r', '\t', '\x1b', '\x7f', '\x85', '\x9b', '\u2028',
    '\u2029', '\u202e', '\u2066', '\ud800', '\udfff'])
def test_not_one_line(key: str, bad: str) -> None:
    assert image_refusal(**{key: f'a{bad}b'}) == (
        f'{AT}{key} must be one line without control characters.')


@pytest.mark.parametrize('key', ['dc:description', 'sl:comments'])
@pytest.mark.parametrize('bad', [
    '\x00', '\x07', '\x0b', '\x1b', '\x7f', '\x9b', '\ud800'])
def test_not_free_text(key: str, bad: str) -> None:
    assert image_refusal(**{key: f'a{bad}b'}).startswith(
        f'{AT}{key} must not hold control characters')


@pytest.mark.parametrize('key', [
    *ONE_LINE, 'dc:description', 'sl:comments'])
@pytest.mark.parametrize('value', [7, None, True, ['x'], {'x': 'y'}])
def test_not_text(key: str, value: object) -> None:
    assert image_refusal(**{key: value}).startswith(
        f'{AT}{key} must be text, not ')


@pytest.mark.parametrize('key', ['hv:version', 'hv:uri', 'hv:hypervisor'])
def test_empty(key: str) -> None:
    assert image_refusal(**{key: ''}) == f'{AT}{key} must not be empty.'


@pytest.mark.parametrize('value', [
    'a\x00', '\ud800', ['\ud800'], {'k': {'l': '\x1b'}}, {'\udc00': 1}])
def test_bad_text_in_an_unknown_key(value: object) -> None:
    assert image_refusal(**{'ad:note': value}).startswith(
        f"{AT}'ad:note' must not hold control characters")


@pytest.mark.parametrize('key', ['a\n', 'a\x00', '\ud800'])
def test_unknown_key_is_no_line(key: str) -> None:
    message = image_refusal(**{key: 1})
    assert 'must be one line' in message
    assert message.isprintable()
    assert message.isascii()


def nested(depth: int, container: Callable[[Any], Any]) -> Any:
    value: Any = 'x'
    for _ in range(depth):
        value = container(value)
    return value


@pytest.mark.parametrize('container', [lambda x: [x], lambda x: {'k': x}])
def test_nesting_of_an_unknown_key(
        container: Callable[[Any], Any]) -> None:
    deepest = nested(16, container)
    assert parse_image(**{'x:n': deepest}).extra == {'x:n': deepest}
    for depth in (17, 150):
        assert 'inside one another' in image_refusal(
            **{'x:n': nested(depth, container)})


@pytest.mark.parametrize('value', [
    'x' * 100_000, '\u00fc' * 100_000, '\n' * 100_000])
def test_messages_are_short_and_plain(value: str) -> None:
    for message in (image_refusal(**{'dc:identifier': value}),
                    image_refusal(**{value: 'a\x00'})):
        assert len(message) < 200
        assert message.isprintable()


# What is written


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
    (a_model(created=datetime.datetime(2026, 1, 1)), 'time zone'),  # noqa: DTZ001
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


# Versions and times


@pytest.mark.parametrize(('lower', 'higher'), [
    ('1', '2'), ('9', '10'), ('1.9', '1.10'), ('1.2', '1.2.0'),
    ('1.2-rc1', '1.2.0'), ('1.0-1', '1.0-2'), ('1a', '1b'), ('1.a', '1.1'),
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
    datetime.datetime(2026, 1, 31),  # noqa: DTZ001
    datetime.datetime.max.replace(
        tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))])
def test_time_that_cannot_be_written(time: datetime.datetime) -> None:
    with pytest.raises(MalformedError):
        imagelist.format_time(time)
