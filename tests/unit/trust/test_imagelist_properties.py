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

"""Image lists: properties that hold for any list and any bytes."""

import dataclasses
import datetime
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hepix_vm.errors import HepixVmError
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from tests.unit.trust.image_lists import a_list
from tests.unit.trust.image_lists import an_image
from tests.unit.trust.image_lists import encode
from tests.unit.trust.image_lists import read

LINES = st.text(st.characters(
    blacklist_categories=('Cc', 'Cs', 'Cf', 'Zl', 'Zp')), max_size=20)
NAMES = LINES.filter(bool)
TEXTS = st.text(st.one_of(
    st.characters(blacklist_categories=('Cc', 'Cs')),
    st.sampled_from('\t\r\n')), max_size=20)
UUIDS = st.uuids().map(str)
TIMES = st.datetimes(timezones=st.just(datetime.UTC)).map(
    lambda time: time.replace(microsecond=0))
NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(-10 ** 99, 10 ** 99),
    st.floats(allow_nan=False, allow_infinity=False))
JSON = st.recursive(
    st.one_of(NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8)
EXTRA = st.dictionaries(
    NAMES.map(lambda name: f'x:{name}'), JSON, max_size=3)
ENDORSERS = st.builds(
    Endorser, dn=NAMES, ca=NAMES, email=LINES, creator=LINES)
IMAGES = st.builds(
    ImageEntry, identifier=UUIDS, size=st.integers(1, 2 ** 63 - 1),
    sha512=st.binary(min_size=64, max_size=64).map(bytes.hex),
    version=NAMES, uri=NAMES, hypervisor=NAMES, title=LINES,
    description=TEXTS, arch=LINES, os=LINES, osversion=LINES, osname=LINES,
    comments=TEXTS, format=LINES, expires=st.none() | TIMES, extra=EXTRA)


@st.composite
def models(draw: st.DrawFn) -> ImageList:
    """Draw any image list that can be written."""
    created, expires = sorted([draw(TIMES), draw(TIMES)])
    images = draw(st.lists(
        IMAGES, max_size=3, unique_by=lambda image: image.identifier))
    return ImageList(
        identifier=draw(UUIDS), version=draw(NAMES), created=created,
        expires=expires, endorser=draw(ENDORSERS), uri=draw(LINES),
        title=draw(LINES), description=draw(TEXTS), source=draw(LINES),
        vo=draw(LINES), images=tuple(images), extra=draw(EXTRA))


@given(models())
def test_what_is_written_reads_back(model: ImageList) -> None:
    whole = imagelist.complete(model)
    assert imagelist.complete(whole) == whole
    data = imagelist.serialize(model)
    assert imagelist.parse(data) == whole
    assert imagelist.serialize(whole) == data
    assert imagelist.serialize(imagelist.parse(data)) == data


@given(models())
def test_completing_changes_nothing_that_was_there(
        model: ImageList) -> None:
    whole = imagelist.complete(model)
    assert dataclasses.replace(whole, images=()) == dataclasses.replace(
        model, images=())
    for image, old in zip(whole.images, model.images, strict=True):
        assert image.expires == (old.expires or model.expires)
        assert image.extra.items() >= old.extra.items()
        assert dataclasses.replace(
            image, expires=old.expires, extra=old.extra) == old


def parse_or_refuse(data: bytes) -> ImageList | None:
    """Parse; any error but the project's own fails the test."""
    try:
        return imagelist.parse(data)
    except HepixVmError as error:
        assert error.message.isprintable()
        assert len(error.message) < 400
        return None


def must_be_sound(found: ImageList | None) -> None:
    """Check that what was accepted can be written and read again."""
    if found is not None:
        assert imagelist.parse(imagelist.serialize(found)) == (
            imagelist.complete(found))


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    assert parse_or_refuse(data) is None


@given(st.data())
def test_any_change_of_bytes(data: st.DataObject) -> None:
    good = read('cloudkeeper/imagelist01.unsigned')
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 8)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([
        b'"', b'{', b'}', b'[', b']', b'\\ud800', b'\\u0000', b'NaN',
        b'null', b'1e999', b'-1', b'\xff', b'\x00', b',', b':']))
    must_be_sound(parse_or_refuse(good[:start] + put + good[end:]))


@given(st.data())
def test_any_value_of_any_key(data: st.DataObject) -> None:
    any_text = st.text(max_size=8)  # with control characters, surrogates
    value = data.draw(JSON | any_text | st.dictionaries(any_text, any_text))
    image: dict[str, Any] = an_image(**{
        'ad:vo': 'x', 'hv:format': 'x', 'dc:date:expires':
        '2026-06-01T00:00:00Z'})
    document: dict[str, Any] = {'hv:imagelist': a_list(image)}
    inner = document['hv:imagelist']
    holder = data.draw(st.sampled_from([
        document, inner, inner['hv:endorser'],
        inner['hv:endorser']['hv:x509'], inner['hv:images'][0], image]))
    key = data.draw(st.sampled_from(sorted(holder)) | any_text)
    holder[key] = value
    must_be_sound(parse_or_refuse(encode(document)))


@given(NAMES, NAMES, NAMES)
def test_versions_have_one_order(a: str, b: str, c: str) -> None:
    compare = imagelist.compare_versions
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(st.lists(st.integers(0), min_size=1),
       st.lists(st.integers(0), min_size=1))
def test_versions_compare_as_numbers(a: list[int], b: list[int]) -> None:
    assert imagelist.compare_versions(
        '.'.join(map(str, a)), '.'.join(map(str, b))) == (a > b) - (a < b)


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False,
                    min_value=datetime.datetime(2, 1, 1),
                    max_value=datetime.datetime(9998, 12, 31)))
def test_times_read_back(time: datetime.datetime) -> None:
    again = imagelist.parse_time(imagelist.format_time(time))
    assert again == time.astimezone(datetime.UTC).replace(microsecond=0)


@given(st.text(st.sampled_from('0123456789-:TZ+. '), max_size=24))
def test_times_have_one_form(text: str) -> None:
    try:
        time = imagelist.parse_time(text)
    except HepixVmError:
        return
    assert imagelist.format_time(time) == text


def test_json_of_the_models_is_what_others_read() -> None:
    model = imagelist.parse(read('cloudkeeper/imagelist01.unsigned'))
    theirs = json.loads(read('cloudkeeper/imagelist01.unsigned'))
    ours = json.loads(imagelist.serialize(model))
    for image in theirs['hv:imagelist']['hv:images']:
        image['hv:image']['hv:size'] = int(image['hv:image']['hv:size'])
    for image in ours['hv:imagelist']['hv:images']:
        for key in ('ad:appid', 'ad:base_mpuri'):
            assert image['hv:image'].pop(key) == ''
    assert ours == theirs
