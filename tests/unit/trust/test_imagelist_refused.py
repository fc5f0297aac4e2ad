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

"""Image lists: what is refused, and what the message says."""

from collections.abc import Callable
from typing import Any

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.trust import imagelist
from tests.unit.trust.image_lists import a_list
from tests.unit.trust.image_lists import an_image
from tests.unit.trust.image_lists import BAD_TIMES
from tests.unit.trust.image_lists import encode
from tests.unit.trust.image_lists import IMAGE_UUID
from tests.unit.trust.image_lists import Json
from tests.unit.trust.image_lists import LIST_UUID
from tests.unit.trust.image_lists import nested
from tests.unit.trust.image_lists import OTHER_UUID
from tests.unit.trust.image_lists import parse_image
from tests.unit.trust.image_lists import read
from tests.unit.trust.image_lists import SHA512

AT = 'hv:imagelist/hv:images[0]/'

Change = Callable[[Json], object]


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


# The JSON


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
    (b'{"a": -' + b'9' * 101 + b'}', '100 digits'),
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


# Keys of the list


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
    (lambda x: x.update({'hv:version': ''}),
     'hv:version must not be empty'),
    (lambda x: x.update({'hv:version': 3}),
     'hv:version must be text, not a number'),
    (lambda x: x.update({'dc:identifier': 'no'}),
     "dc:identifier must be a UUID, not 'no'"),
    (lambda x: x.update({'hv:imagelist': {}}),
     'hv:imagelist/hv:imagelist is out of place'),
    (lambda x: x['hv:images'][0]['hv:image'].update({'hv:image': {}}),
     'hv:images[0]/hv:image is out of place'),
])
def test_bad_in_the_list(change: Change, message: str) -> None:
    found = list_refusal(change)
    assert message in found
    assert found.startswith('hv:imagelist/hv:') or found.startswith(
        ('hv:imagelist/dc:', 'hv:imagelist/ad:'))


@pytest.mark.parametrize('key', [
    'hv:version', 'hv:uri', 'dc:title', 'dc:source', 'ad:vo'])
def test_not_one_line_in_the_list(key: str) -> None:
    assert list_refusal(lambda x: x.update({key: 'a\nb'})) == (
        f'hv:imagelist/{key} must be one line without control characters.')


@pytest.mark.parametrize('key', [
    'hv:dn', 'hv:ca', 'hv:email', 'dc:creator'])
def test_not_one_line_in_the_endorser(key: str) -> None:
    assert list_refusal(lambda x: x['hv:endorser']['hv:x509'].update({
        key: 'a\nb'})) == (
        f'hv:imagelist/hv:endorser/hv:x509/{key} must be one line without '
        'control characters.')


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


# Values of an image


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
