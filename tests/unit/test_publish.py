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

"""Versions of a published list."""

import dataclasses
import datetime
import types

import pytest

from hepix_vm.errors import Code
from hepix_vm.errors import TrustError
from hepix_vm.exchange import publish
from hepix_vm.publicationfile import Publication
from hepix_vm.trust import anchors
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust import imagelist
from tests.testbed import pki
from tests.testbed.publishing import LIST
from tests.testbed.site import entry
from tests.testbed.site import Site

NOW = pki.utcnow()
DAY = datetime.timedelta(days=1)
WHAT = Publication(LIST, 'https://lists.example.org/image.list', 'Images',
                   'alice@example.org', valid=10 * DAY)


@pytest.mark.parametrize('known, version', [
    ([], '1'), (['1'], '2'), (['9', '10'], '11'), (['1.9', '1.10'], '1.11'),
    (['2026.11'], '2026.12'), (['1.2-rc1'], '1.2-rc2'), (['a'], 'a.1'),
    (['1.9', '2'], '3'), (['007'], '8'), (['9' * 18], f'1{"0" * 18}')])
def test_the_next_version_is_higher_than_all(known, version):
    assert publish.next_version(known) == version
    for each in known:
        assert imagelist.compare_versions(version, each) > 0


def test_a_version_that_the_endorser_gives():
    assert publish.next_version(['1'], '2.5') == '2.5'
    assert publish.next_version([], '2.5') == '2.5'
    for wanted in ('1', '0.9', '1.0'):
        with pytest.raises(TrustError) as caught:
            publish.next_version(['1.1', '1.0'], wanted)
        assert caught.value.code is Code.LIST_ROLLBACK


@pytest.mark.parametrize('known, wanted', [
    ([], '../x'), ([], 'a/b'), ([], '.1'), ([], '1 2'), ([], 'x' * 101),
    ([], '1\n'), (['1/2'], ''), (['1,2'], '')])
def test_what_is_no_version(known, wanted):
    """It is the name of a file, too."""
    with pytest.raises(TrustError, match='is no version'):
        publish.next_version(known, wanted)


def build(*images, **changes):
    return publish.build(
        dataclasses.replace(WHAT, **changes), images,
        Site.image_list().endorser, '7', NOW)


def test_dates():
    late, early = NOW + 99 * DAY, NOW + DAY
    found = build(entry(b'a'), entry(b'b', expires=early),
                  entry(b'c', expires=late))
    assert (found.created, found.expires) == (NOW, NOW + 10 * DAY)
    assert [image.expires for image in found.images] == [
        found.expires, early, found.expires]
    # As it will be read, so that it can be compared.
    assert imagelist.parse(imagelist.serialize(found)) == found
    assert found.version == '7'


def test_an_end_is_not_shifted():
    end = NOW + 3 * DAY
    assert build(entry(b'a'), end=end).expires == end


def said(old, new):
    return list(publish.differences(old, new))


def test_what_a_version_changes():
    kept, gone = entry(b'a'), entry(b'b')
    changed, renamed = entry(b'c'), entry(b'd')
    old = dataclasses.replace(
        build(kept, gone, changed, renamed, title='Old\x1b[2J'),
        version='6')
    fresh = entry(b'e', title='New')
    new = build(
        dataclasses.replace(kept, expires=NOW + DAY),
        dataclasses.replace(entry(b'C'), identifier=changed.identifier),
        dataclasses.replace(renamed, title='Renamed'), fresh)
    lines = said(old, new)
    assert lines[0] == (
        f'list {LIST} version 6 -> 7, 4 images, until '
        f'{imagelist.format_time(new.expires)}')
    assert lines[1] == '~ title: Old [2J -> Images'
    found = {line.split()[1]: line for line in lines[2:]}
    assert found[kept.identifier].endswith(
        f'expires {imagelist.format_time(NOW + DAY)}, and not with the list')
    assert found[fresh.identifier].startswith('+ ')
    assert found[changed.identifier].endswith('other bytes than 1.0')
    assert found[renamed.identifier].endswith('the same bytes')
    assert found[gone.identifier].startswith('- ')
    assert found[gone.identifier].endswith('revoked at all subscribers')
    assert len(lines) == 7


def test_an_image_that_expired_is_not_published():
    with pytest.raises(TrustError, match='expired at') as caught:
        build(dataclasses.replace(entry(b'a'), expires=NOW))
    assert caught.value.code is Code.IMAGE_EXPIRED


def test_what_was_shown_is_what_was_signed(site):
    shown = imagelist.complete(site.image_list(entry(b'a')))
    at = types.SimpleNamespace(
        trust=TrustSettings(), anchors=pki_anchors(site))
    publish.verify(site.sign(shown, site.alice), shown, at, pki.utcnow())
    other = dataclasses.replace(shown, title='Other')
    with pytest.raises(TrustError, match='not the one that was shown'):
        publish.verify(site.sign(other, site.alice), shown, at, pki.utcnow())


def pki_anchors(site):
    return anchors.load({path.name: path.read_bytes()
                         for path in site.anchors.iterdir()})


@pytest.mark.parametrize('number, words', [
    (0, ', no images, until'), (1, ', 1 image, until'),
    (2, ', 2 images, until')])
def test_a_version_without_changes(number, words):
    images = [entry(bytes([each])) for each in range(number)]
    lines = said(build(*images), build(*images))
    assert words in lines[0]
    assert lines[1:] == ['no image changes']


def test_the_first_version():
    assert said(None, build())[0].startswith(f'list {LIST} version none -> 7')
