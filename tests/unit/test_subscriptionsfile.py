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

"""subscriptions.yaml: what is read, what is refused, and its JSON Schema."""

import json
import pathlib
from typing import Any

import jsonschema
import pytest
import yaml

from hepix_vm.errors import ConfigError
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import Properties
from hepix_vm.subscriptions import Selection
from hepix_vm.subscriptions import Share
from hepix_vm.subscriptions import Subscriptions
from hepix_vm import subscriptionsfile

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = json.loads(
    (ROOT / 'etc' / 'hepix_vm' / 'subscriptions.schema.json').read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
UUID = '8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11'
OTHER = '0f9d6a52-7a0e-4f7d-9b5c-0a4f8f8e2d11'
URL = 'https://lists.example.org/vo.example.org/image.list'
ALICE = {'dn': '/C=EU/CN=Alice', 'ca': '/C=EU/CN=CA'}
BOB = {'dn': '/C=EU/CN=Bob', 'ca': '/C=EU/CN=CA'}
HAND = {'uuid': UUID, 'endorsers': [ALICE]}
FETCHED = {**HAND, 'url': URL, 'projects': {'vo.example.org': 'atlas'}}

# The sample of the design, whole.
DESIGN = b"""
lists:
  - url: https://lists.example.org/vo.example.org/image.list
    uuid: 8D1C6F6E-6a0a-4b7c-9d67-0f6f5d9d7a11
    endorsers:
      - {dn: /C=EU/CN=Alice, ca: /C=EU/CN=CA}
    projects: {vo.example.org: atlas}
    share: members               # members | community | public | private
    images: all
    approve: by-operator
    prefix: "EGI "
    compatibility: [atrope]
"""
WHOLE = b"""
max_bytes: 2 TiB
lists:
  - url: https://lists.example.org:8443/image.list?x=1
    uuid: 8d1c6f6e-6a0a-4b7c-9d67-0f6f5d9d7a11
    endorsers:
      - {dn: /C=EU/CN=Alice, ca: /C=EU/CN=CA}
      - {dn: /C=EU/CN=Bob, ca: /C=EU/CN=CA}
    agree: 2
    projects: {vo.example.org: [atlas, cms], other: one}
    share: community
    images:
      ids: [0F9D6A52-7a0e-4f7d-9b5c-0a4f8f8e2d11]
      os: [Debian, Rocky]
      architecture: x86_64
      hypervisor: [KVM]
    token: reader:s3cret
    ca_bundle: igtf
    stores: [fast, slow]
    compatibility: [atrope, cloudkeeper]
    superseded: {keep: 2}
    max_bytes: 1024
    evict_after: 90
    internal_addresses: true
"""


def parse(*blocks: Any, **keys: Any) -> Subscriptions:
    text = yaml.safe_dump({'lists': list(blocks), **keys})
    return subscriptionsfile.parse(text.encode(), 's')


def following(**keys: Any) -> Following:
    block, = parse({**FETCHED, **keys}).blocks
    assert block.following
    return block.following


def test_the_sample_of_the_design():
    found = subscriptionsfile.parse(DESIGN, 's')
    block, = found.blocks
    assert block.subscription.uuid == UUID
    assert block.subscription.endorsers[0].dn == '/C=EU/CN=Alice'
    assert not block.subscription.approved
    assert block.subscription.agree == 1
    assert found.following(UUID) == Following(
        URL, projects={'vo.example.org': ('atlas',)}, prefix='EGI ',
        compatibility=frozenset({Properties.ATROPE}))
    assert found.following(OTHER) is None
    assert found.max_bytes is None


def test_all_keys():
    found = subscriptionsfile.parse(WHOLE, 's')
    block, = found.blocks
    assert found.max_bytes == 2 * 2 ** 40
    assert block.subscription.agree == 2
    assert block.following == Following(
        'https://lists.example.org:8443/image.list?x=1',
        token='reader:s3cret', ca_bundle='igtf',
        projects={'vo.example.org': ('atlas', 'cms'), 'other': ('one',)},
        share=Share.COMMUNITY, images=Selection(
            frozenset({OTHER}), frozenset({'debian', 'rocky'}),
            frozenset({'x86_64'}), frozenset({'kvm'})),
        stores=('fast', 'slow'), compatibility=frozenset(Properties),
        keep=2, max_bytes=1024, evict_after=90, internal=True)
    assert 's3cret' not in repr(found)


def test_nothing_is_followed():
    assert subscriptionsfile.parse(b'', 's') == Subscriptions()
    assert parse() == Subscriptions()


def test_a_list_that_is_brought_by_hand():
    block, = parse({**HAND, 'approve': 'by-operator'}).blocks
    assert block.following is None


def test_capitals_of_an_address():
    found = following(url='HTTPS://Lists.example.org/X', token='a:b')
    assert found.url == 'https://Lists.example.org/X'
    assert following(url='FILE:///X').url == 'file:///X'


def test_words_for_superseded_images():
    assert following(superseded='hide').keep is None
    assert following(superseded='delete').keep == 0


def test_selections():
    assert following(images='all').images == Selection()
    assert following(images=[UUID.upper()]).images == Selection(
        frozenset({UUID}))
    # The list counts for the gate, and none of its images is brought in.
    assert following(images=[]).images == Selection(frozenset())


ACCEPTED = [
    FETCHED, HAND,
    {**FETCHED, 'url': 'file:///var/lib/lists/image.list'},
    {**FETCHED, 'url': 'HTTPS://lists.example.org'},
    {**FETCHED, 'url': 'https://[::1]:8443/image.list'},
    {**FETCHED, 'share': 'private'},
    {**FETCHED, 'share': 'private', 'projects': {'a': ['b'], 'c': 'd'}},
    {**HAND, 'url': URL, 'share': 'public'},
    {**FETCHED, 'token_file': '/etc/hepix-vm/token'},
    {**FETCHED, 'ca_bundle': '/etc/ssl/ca.pem'},
    {**FETCHED, 'ca_bundle': 'system'},
    {**FETCHED, 'superseded': {'keep': 0}},
    {**FETCHED, 'max_bytes': '500 GiB'}, {**FETCHED, 'max_bytes': '5MiB'},
    {**FETCHED, 'stores': 'fast'}, {**FETCHED, 'compatibility': None},
    {**FETCHED, 'images': {'ids': []}},
    {**HAND, 'agree': 1, 'approve': 'automatically'},
]
REFUSED = [
    ({'uuid': UUID}, 'endorsers is missing'),
    ({'endorsers': [ALICE]}, 'uuid is missing'),
    ({**HAND, 'endorsers': []}, 'At least one endorser'),
    ({**HAND, 'endorsers': [{'dn': '/CN=a'}]}, 'ca is missing'),
    ({**HAND, 'endorsers': [{'dn': 'CN=a', 'ca': '/CN=b'}]}, 'distinguished'),
    ({**HAND, 'uuid': 'x'}, 'UUID'),
    ({**HAND, 'approve': 'perhaps'}, 'automatically, by-operator'),
    ({**HAND, 'agree': 0}, 'at least 1'), ({**HAND, 'agree': True}, 'number'),
    ({**HAND, 'agree': '1'}, 'number'),
    ({**HAND, 'urls': URL}, 'urls is unknown'),
    ({**FETCHED, 'url': 'http://lists.example.org/x'}, 'https://HOST'),
    ({**FETCHED, 'url': 'https://a:b@lists.example.org/x'}, 'token_file'),
    ({**FETCHED, 'url': 'https:///x'}, 'https://HOST'),
    ({**FETCHED, 'url': 'https://h/x#y'}, 'https://HOST'),
    ({**FETCHED, 'url': 'https://h/a b'}, 'https://HOST'),
    ({**FETCHED, 'url': ' https://h/x'}, 'https://HOST'),
    ({**FETCHED, 'url': 'file://host/x'}, 'absolute path'),
    ({**FETCHED, 'url': 'file:x'}, 'absolute path'),
    ({**FETCHED, 'url': 'ftp://h/x'}, 'https://HOST'),
    ({**HAND, 'url': URL}, 'members needs projects'),
    ({**FETCHED, 'projects': {}}, 'members needs projects'),
    ({**FETCHED, 'projects': {'vo': []}}, 'At least one'),
    ({**FETCHED, 'projects': 'atlas'}, 'mapping'),
    ({**HAND, 'url': URL, 'share': 'private'}, 'private needs projects'),
    ({**FETCHED, 'share': 'private', 'projects': {'vo': ['a', 'b']}},
     'exactly one project'),
    ({**FETCHED, 'share': 'all'}, 'members, community'),
    ({**FETCHED, 'token': 'password'}, 'user:password'),
    ({**FETCHED, 'token': ':password'}, 'user:password'),
    ({**FETCHED, 'token': 'user:'}, 'user:password'),
    ({**FETCHED, 'token_file': 'token'}, 'absolute path'),
    ({**FETCHED, 'token': 'a:b', 'token_file': '/t'}, 'is enough'),
    ({**FETCHED, 'url': 'file:///x', 'token': 'a:b'}, 'https:// addresses'),
    ({**FETCHED, 'url': 'file:///x', 'token_file': '/t'}, 'https:// addr'),
    ({**FETCHED, 'url': 'file:///x', 'ca_bundle': 'igtf'}, 'https:// addr'),
    ({**FETCHED, 'ca_bundle': 'ca.pem'}, 'absolute path'),
    ({**FETCHED, 'prefix': ' '}, 'text is expected'),
    ({**FETCHED, 'prefix': 'x' * 101}, '100 characters'),
    ({**FETCHED, 'images': 'some'}, 'all'),
    ({**FETCHED, 'images': ['x']}, 'UUID'),
    ({**FETCHED, 'images': {}}, 'architecture'),
    ({**FETCHED, 'images': {'title': 'x'}}, 'title is unknown'),
    ({**FETCHED, 'images': {'os': []}}, 'At least one'),
    ({**FETCHED, 'stores': []}, 'At least one'),
    ({**FETCHED, 'compatibility': ['vmcatcher']}, 'atrope, cloudkeeper'),
    ({**FETCHED, 'superseded': 'keep'}, 'hide, delete'),
    ({**FETCHED, 'superseded': {'keep': -1}}, 'at least 0'),
    ({**FETCHED, 'superseded': {}}, 'keep is missing'),
    ({**FETCHED, 'max_bytes': '5 GB'}, '500 GiB'),
    ({**FETCHED, 'max_bytes': 0}, 'at least 1'),
    ({**FETCHED, 'max_bytes': 1.5}, 'whole number'),
    ({**FETCHED, 'evict_after': 0}, 'at least 1'),
    ({**FETCHED, 'internal_addresses': 1}, 'true or false'),
    *(({**HAND, key: value}, f'{key} is for a list that is fetched')
      for key, value in {
          'projects': {'vo': 'p'}, 'share': 'public', 'images': 'all',
          'prefix': 'x', 'token': 'a:b', 'token_file': '/t',
          'ca_bundle': 'system', 'stores': ['x'], 'compatibility': [],
          'superseded': 'hide', 'max_bytes': 1, 'evict_after': 1,
          'internal_addresses': True}.items()),
]
# What a schema cannot say.
READER_ONLY = [
    ({**HAND, 'agree': 2}, 'agree asks for 2 endorsers, but 1 are'),
    ({**HAND, 'agree': 2, 'endorsers': [ALICE, ALICE]}, 'but 1 are pinned'),
    ({**FETCHED, 'prefix': 'a\nb'}, '100 characters'),
    ({**FETCHED, 'token': 'a:b\r\nX: y'}, 'user:password'),
    ({**FETCHED, 'url': 'https://h:port/x'}, 'https://HOST'),
    ({**FETCHED, 'url': 'https://h:0/x'}, 'https://HOST'),
    ({**FETCHED, 'url': 'https://h/\N{LATIN SMALL LETTER E WITH ACUTE}'},
     'https://HOST'),
]


def valid(*blocks: Any) -> bool:
    return bool(VALIDATOR.is_valid({'lists': list(blocks)}))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize('block', ACCEPTED, ids=str)
def test_reader_and_schema_accept(block):
    assert len(parse(block).blocks) == 1
    assert valid(block)


@pytest.mark.parametrize(('block', 'what'), REFUSED, ids=str)
def test_reader_and_schema_refuse(block, what):
    with pytest.raises(ConfigError, match=what):
        parse(block)
    assert not valid(block)


@pytest.mark.parametrize(('block', 'what'), READER_ONLY, ids=str)
def test_the_reader_refuses(block, what):
    with pytest.raises(ConfigError, match=what):
        parse(block)


@pytest.mark.parametrize('text', [
    'list: []', 'lists: {}', 'lists: []\nmax_bytes: much', '[]', '{}'])
def test_both_refuse_other_files(text):
    with pytest.raises(ConfigError):
        subscriptionsfile.parse(text.encode(), 's')
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


# What may stand anywhere by mistake.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1.0, 1.5, '', ' ', 'x', 'all', 'a:b',
    '/p', 'hide', 'igtf', 'public', 'private', 'members', '5 GiB', '12:30',
    UUID, 'x' * 101, 'a\tb', 'https://h/x', ' https://h/x', 'HTTPS://h',
    'https://h:99999/x', 'https://h@/x', 'https://h?x', 'file://',
    'file:///', 'file:///x?y', 'file:///x#y', [], ['x'], [None], [''], [1],
    [UUID], [True], ['atrope'], {}, {'a': 'b'}, {'a': ['b']},
    {'a': ['b', 'c']}, {'a': None}, {'a': 1}, {'keep': 1}, {'keep': True},
    {'keep': None}, {'keep': 1, 'x': 2}, {'ids': [UUID]}, {'ids': None},
    {'ids': UUID}, {'os': 'x'}, {'os': None}, {'os': [None]}, [ALICE],
    [{**ALICE, 'vo': None}], [{**ALICE, 'projects': None}],
    [{**ALICE, 'projects': 'x'}], [{**ALICE, 'email': ''}],
    [{**ALICE, 'x': ''}]]


def accepted(block: Any) -> bool:
    try:
        parse(block)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize('key', SCHEMA['$defs']['list']['properties'])
def test_what_the_reader_accepts_the_schema_does(key):
    different = []
    for value in VALUES:
        for block in (HAND, FETCHED):
            changed = {**block, key: value}
            if accepted(changed) is not valid(changed):
                different.append((accepted(changed), value))
    # The reader alone knows that 1.0 is no number of anything, how many
    # endorsers there are, what a line is, and which ports there are.
    assert not any(reader for reader, value in different)
    assert {value for _, value in different} <= {
        1.0, 2, 'a\tb', 'https://h:99999/x'}


def test_both_accept_whole_files():
    for data in (DESIGN, WHOLE, b'', b'lists:'):
        subscriptionsfile.parse(data, 's')
        VALIDATOR.validate(yaml.safe_load(data))


def test_a_list_stands_once():
    with pytest.raises(ConfigError, match='subscribed twice'):
        parse(FETCHED, {**HAND, 'uuid': UUID.upper()})


def test_the_schema_has_the_keys_of_the_reader_and_describes_them():
    block = SCHEMA['$defs']['list']
    assert set(block['properties']) == (
        subscriptionsfile._OF_ALL | subscriptionsfile._FOLLOWING)
    assert set(block['dependentRequired']) == (
        subscriptionsfile._FOLLOWING - {'url'})
    assert all('description' in key for key in block['properties'].values())


def test_what_is_wrong_is_named_with_its_line_and_without_secrets():
    text = WHOLE.replace(b'reader:s3cret', b's3cret').decode()
    with pytest.raises(ConfigError) as caught:
        subscriptionsfile.parse(text.encode(), '/etc/s.yaml')
    line = text.split('\n').index('    token: s3cret') + 1
    assert caught.value.message.startswith(f'/etc/s.yaml:{line}: ')
    assert 's3cret' not in str(caught.value)
