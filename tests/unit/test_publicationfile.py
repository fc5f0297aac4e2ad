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

"""The file that says what is published."""

import datetime

import pytest
import yaml

from hepix_vm.errors import ConfigError
from hepix_vm import publicationfile
from hepix_vm.publicationfile import GlanceImage
from tests.testbed.publishing import declared
from tests.testbed.publishing import IMAGE
from tests.testbed.publishing import LIST

GLANCE = '7d6b0a3c-4a43-4e0a-9a55-1b1b7a0a0001'
LEAST = {'uuid': LIST, 'uri': 'https://lists.example.org/image.list',
         'title': 'Images', 'email': 'alice@example.org'}


def parse(path='/srv/publish.yaml', **keys):
    return publicationfile.parse(yaml.safe_dump({
        key: value for key, value in {**LEAST, **keys}.items()
        if value is not None}).encode(), path)


def test_the_least():
    found = parse()
    assert (found.uuid, found.title, found.description) == (
        LIST, 'Images', 'Images')
    assert found.valid == datetime.timedelta(days=30)
    assert not found.asks_glance
    assert found.images == ()


def test_everything():
    found = parse(
        description='All', source='Example Site', vo='vo.example.org',
        creator='Alice', valid_days=7, base_url='https://images.example.org',
        glance_images=[GLANCE.upper(), {
            'id': GLANCE, 'uri': 'https://images.example.org/x'}],
        images=[declared(b'x', path='x.raw', sha512=None, size=None,
                         description='D', comments='C',
                         expires='2027-01-01T00:00:00Z',
                         extra={'ad:group': 'A', 'hv:ram_minimum': 512})])
    assert found.valid == datetime.timedelta(days=7)
    assert found.glance_images == (
        GlanceImage(GLANCE),
        GlanceImage(GLANCE, 'https://images.example.org/x'))
    assert found.asks_glance
    image, = found.images
    assert (image.path, image.measured) == ('/srv/x.raw', False)
    entry = image.entry
    assert (entry.identifier, entry.version, entry.osname) == (
        IMAGE, '1.10', 'Debian')
    assert entry.extra == {'ad:group': 'A', 'hv:ram_minimum': '512'}
    assert entry.expires == datetime.datetime(
        2027, 1, 1, tzinfo=datetime.UTC)


def test_numbers_are_taken_as_they_are_written():
    text = yaml.safe_dump({**LEAST, 'images': [declared(b'x')]})
    for written in ('1.10', '010', '1_000', '0x10'):
        found = publicationfile.parse(text.replace(
            "'1.10'", written).encode(), 'file')
        assert found.images[0].entry.version == written


@pytest.mark.parametrize('format', ['QCOW2', 'raw', 'qcow2.gz', 'tar'])
def test_formats_that_lists_have(format):
    found = parse(images=[declared(b'x', format=format)])
    assert found.images[0].entry.format == format


def test_a_key_without_value_is_named():
    with pytest.raises(ConfigError, match='uuid must be text, not null'):
        publicationfile.parse(
            b'uuid:\nuri: x\ntitle: x\nemail: x\n', 'publish.yaml')


def test_every_shareable_image():
    assert parse(glance_images='shareable').every_shareable
    assert parse(glance_images='shareable').asks_glance


@pytest.mark.parametrize('keys, what', [
    ({'uuid': None}, 'The key uuid is missing'),
    ({'email': None}, 'The key email is missing'),
    ({'uuid': 'x'}, 'uuid must be a UUID'),
    ({'title': ''}, 'title must not be empty'),
    ({'email': 'not an address'}, 'email must be an address'),
    ({'email': 'alice@'}, 'email must be an address'),
    ({'titel': 'x'}, 'The key titel is unknown'),
    ({'title': 'a\nb'}, 'must be one line'),
    ({'uri': 'https://a:b@lists.example.org/'}, 'has no password'),
    ({'valid_days': 0}, 'from 1 to 3650'),
    ({'valid_days': True}, 'from 1 to 3650'),
    ({'valid_days': '7'}, 'from 1 to 3650'),
    ({'base_url': 'file:///srv'}, 'An address such as'),
    ({'base_url': 'images.example.org'}, 'An address such as'),
    ({'base_url': 'https://[x/'}, 'An address such as'),
    ({'base_url': 'https://a:b@images.example.org'}, 'has no password'),
    ({'glance_images': 'all'}, 'shareable, or a list of ids'),
    ({'glance_images': ['x']}, 'must be a UUID'),
    ({'glance_images': [{'id': GLANCE}]}, 'The key uri is missing'),
    ({'glance_images': [{'id': GLANCE, 'uri': 'x'}]}, 'An address such as'),
    ({'images': {}}, 'A list is expected'),
    ({'images': [declared(b'x', title=None)]}, 'The key title is missing'),
    ({'images': [declared(b'x', format='QCOW3')]}, 'format must be a format'),
    ({'images': [declared(b'x', sha512=None)]}, 'given together'),
    ({'images': [declared(b'x', size=None)]}, 'given together'),
    ({'images': [declared(b'x', path='x')]}, 'no file is read'),
    ({'images': [declared(b'x', sha512='f' * 127)]}, '128 hexadecimal'),
    ({'images': [declared(b'x', size=0)]}, 'a number of bytes'),
    ({'images': [declared(b'x', uri='file:///x')]}, 'An address such as'),
    ({'images': [declared(b'x', extra={'a': ['b']})]}, 'must be text'),
    ({'images': [declared(b'x', digest='x')]}, 'The key digest is unknown'),
])
def test_what_is_refused_names_the_line(keys, what):
    with pytest.raises(ConfigError, match=what) as caught:
        parse(**keys)
    assert 'publish.yaml:' in caught.value.message


def test_an_empty_file():
    with pytest.raises(ConfigError, match='A mapping'):
        publicationfile.parse(b'', 'publish.yaml')
