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


"""The property protections that are shipped, and how they are merged."""

import configparser
import json
import pathlib
import re

import hypothesis
from hypothesis import strategies as st
import pytest

from hepix_vm.errors import ConfigError
from hepix_vm import protections

ETC = pathlib.Path(__file__).parents[2] / 'etc' / 'hepix_vm'
SITE = """\
# Rules of this site; ask Eve before you change them.

; Licences
[^licence$]
create = admin,licensing
read = @
update = admin,licensing
# never by users
delete = admin

[^hepix_size$]
create = @
read = @
update = @
delete = @

[.*]
create = @
read = @
update = @
delete = @
# the end
"""


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


def decides(text: str, name: str) -> str:
    """Return who may update a property, as Glance finds it."""
    parser = parsed(text)
    return next((parser[section]['update'] for section in parser.sections()
                 if re.compile(section).search(name)), '!')


def test_the_shipped_file():
    assert (ETC / 'property-protections.conf').read_text() == (
        protections.shipped())


def test_what_is_written_is_known():
    metadefs = json.loads(
        (ETC / 'metadefs' / 'hepix-endorsement.json').read_text())
    assert set(protections.WRITTEN) == (
        set(metadefs['properties']) - {'hepix_endorsement'}
        | {'hepix_ledger'})


@pytest.mark.parametrize(('name', 'who'), [
    ('hepix_endorsement', '@'), ('HEPIX_ENDORSEMENT', 'admin'),
    ('hepix_endorsement\n', 'admin'), ('hepix_endorsement_x', 'admin'),
    ('Hepix_State', 'admin'), ('hepix_ledger', 'admin'),
    ('hepix_', 'admin'), ('my_hepix_state', '@'), ('hepix', '@'),
    ('trait:custom_hepix_endorsed', 'admin'), ('trait:CUSTOM_GPU', '@'),
    ('kernel_id', 'admin'), ('KERNEL_ID', 'admin'), ('kernel_id2', '@'),
    ('bdm_v2', 'admin'), ('os_distro', '@'), ('', '@'), ('\n', '@')])
def test_who_may_write(name, who):
    assert decides(protections.shipped(), name) == who


def test_ours_come_first_and_the_rest_is_kept():
    merged = protections.merge(SITE, 'admin')
    assert merged.text.endswith(SITE)
    assert decides(merged.text, 'hepix_size') == 'admin'
    assert decides(SITE, 'hepix_size') == '@'
    assert decides(merged.text, 'licence') == 'admin,licensing'
    assert merged.warnings == (
        '[^hepix_size$] does not decide over hepix_size any more.',)


def test_a_merged_file_stays_as_it_is():
    for allowed in ('admin', 'admin,operators'):
        once = protections.merge(SITE, allowed).text
        assert protections.merge(once, allowed).text == once


def test_without_rules_of_a_site():
    merged = protections.merge('', 'admin')
    assert merged.text == protections.shipped()
    assert merged.warnings == ()
    assert protections.merge(merged.text, 'admin') == merged


def test_another_operator_role_is_written_anew():
    before = protections.merge(SITE, 'admin').text
    after = protections.merge(before, 'admin,operators').text
    assert after == protections.merge(SITE, 'admin,operators').text
    assert decides(after, 'hepix_state') == 'admin,operators'
    assert decides(after, 'hepix_endorsement') == '@'


def test_a_catch_all_is_added():
    site = SITE[:SITE.index('[.*]')]
    merged = protections.merge(site, 'admin')
    assert decides(site, 'os_distro') == '!'
    assert decides(merged.text, 'os_distro') == '@'
    assert any('Glance denies what none matches' in warning
               for warning in merged.warnings)
    assert protections.merge(merged.text, 'admin').text == merged.text


@pytest.mark.parametrize('name', ['.*', '.', '^.+$', '', '^x'])
def test_a_catch_all_of_the_site_is_kept(name):
    site = ('[{}]\ncreate = !\nread = @\nupdate = !\n'
            'delete = !\n').format(name or '(?:)')
    merged = protections.merge(site, 'admin')
    assert decides(merged.text, protections.ORDINARY) == '!'
    assert merged.warnings == ()


def test_what_is_said_above_our_sections_goes_and_the_rest_stays():
    text = protections.merge(SITE, 'admin').text.replace(
        '# What hepix-vm alone writes.',
        '# By order of Eve.\n\n# What hepix-vm alone writes.')
    again = protections.merge(text, 'admin').text
    assert again.count('# What hepix-vm alone writes.') == 1
    assert '# By order of Eve.' in again
    assert again.count('# Protection of the properties') == 1
    assert protections.merge(again, 'admin').text == again


@pytest.mark.parametrize(('role', 'rule_format', 'who'), [
    ('admin', 'roles', 'admin'), ('Admin', 'roles', 'admin'),
    ('ops', 'roles', 'admin,ops'), ('admin', 'policies', 'context_is_admin'),
    ('ops', 'policies', 'hepix_operator')])
def test_writers(role, rule_format, who):
    assert protections.writers(role, rule_format) == who


def test_rules_that_name_policies():
    site = SITE.replace('admin,licensing', 'licensing')
    merged = protections.merge(site, 'context_is_admin', 'policies').text
    assert 'property_protection_rule_format = policies' in merged
    assert decides(merged, 'hepix_state') == 'context_is_admin'
    assert protections.merge(merged, 'context_is_admin', 'policies'
                             ).text == merged
    with pytest.raises(ConfigError, match='names one policy'):
        protections.merge(SITE, 'context_is_admin', 'policies')
    # The other header goes as well, if the format was changed.
    assert protections.merge(merged, 'admin').text == (
        protections.merge(site, 'admin').text)


def test_defaults_of_sections_are_kept():
    site = ('[DEFAULT]\nread = @\n\n[^mine$]\ncreate = admin\n'
            'update = admin\ndelete = admin\n')
    text = protections.merge(site, 'admin').text
    assert parsed(text)['^mine$']['read'] == '@'
    assert decides(text, 'hepix_state') == 'admin'
    assert protections.merge(text, 'admin').text == text


@pytest.mark.parametrize(('text', 'message'), [
    ('nonsense', 'no section headers'),
    ('[(]\n' + SITE[SITE.index('create'):], 'is no regular expression'),
    ('[^(?i)a]\ncreate = @\nread = @\nupdate = @\ndelete = @\n',
     'is no regular expression'),
    ('[a]\ncreate = @\n', "No option 'read'"),
    (SITE + SITE, 'already exists'),
    ('  [a]\n' + SITE[SITE.index('create'):], 'cannot be told apart')])
def test_what_glance_could_not_read(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        protections.merge(text, 'admin', path='/etc/site.conf')
    assert str(caught.value).startswith('/etc/site.conf: ')
    assert '\n' not in str(caught.value)


_LINES = st.lists(st.sampled_from([
    '# a comment', '; another', '', '# What hepix-vm alone writes.']),
    max_size=4)
_NAMES = st.lists(st.sampled_from([
    'a', '^b$', 'hepix_', '(?i)^hepix_', r'^hepix_endorsement\Z', '.*',
    '(?i)^trait:CUSTOM_HEPIX_', 'x[0-9]']), unique=True, max_size=6)


@hypothesis.given(st.data(), _NAMES)
def test_any_file_is_merged_once(data, names):
    text = ''.join(
        ''.join(f'{line}\n' for line in data.draw(_LINES))
        + f'[{name}]\ncreate = admin\n'
        + ''.join(f'{line}\n' for line in data.draw(_LINES))
        + 'read = @\nupdate = admin\ndelete = admin\n' for name in names)
    merged = protections.merge(text, 'admin').text
    assert protections.merge(merged, 'admin').text == merged
    sections = parsed(merged).sections()
    assert sections[:4] == parsed(protections.shipped()).sections()[:4]
    assert [name for name in names if name in sections[4:]] == [
        name for name in sections[4:] if name in names]
    for name in (*protections.WRITTEN, *protections.BOOT):
        assert decides(merged, name) == 'admin'
