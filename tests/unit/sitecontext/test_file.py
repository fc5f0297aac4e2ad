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

"""What context.yaml may say, and what is said of what it may not."""

import os

import pytest

from hepix_vm.context.bundle import File
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context.rules import Rule
from hepix_vm.errors import ConfigError
from hepix_vm.sitecontext import file

SCRIPT = '#!/bin/sh\necho "$HEPIX_SITE_SYSLOG_SERVER"\n'

# The sample of the design, whole.
WHOLE = """\
variables: {syslog_server: log.example.org, squid: "http://squid:3128"}
rules:
  - match: {}
    prolog: [10-syslog.sh]
    epilog: [20-monitoring.sh]
  - match: {vo: vo.example.org}
    epilog: [50-cvmfs.sh]
"""


@pytest.fixture
def read(tmp_path):
    """Read a context.yaml, beside which are these scripts."""
    folder = tmp_path / 'context'
    folder.mkdir()
    for name in ('10-syslog.sh', '20-monitoring.sh', '50-cvmfs.sh'):
        (folder / name).write_text(SCRIPT)

    def read(text):
        path = tmp_path / 'context.yaml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file.read(str(path))

    read.folder = folder
    return read


def test_the_sample_of_the_design(read):
    found = read(WHOLE)
    assert found.variables == {'syslog_server': 'log.example.org',
                               'squid': 'http://squid:3128'}
    assert found.rules == (
        Rule(Match(), Parts(('10-syslog.sh',), ('20-monitoring.sh',))),
        Rule(Match(vo=frozenset({'vo.example.org'})),
             Parts(epilog=('50-cvmfs.sh',))))
    assert found.scripts == dict.fromkeys(
        ('10-syslog.sh', '20-monitoring.sh', '50-cvmfs.sh'),
        SCRIPT.encode())
    assert (found.secrets, found.files, found.hostcert) == ({}, {}, None)


@pytest.mark.parametrize('text', ['', '# nothing\n', '---\n', 'null'])
def test_a_file_that_is_empty(read, text):
    with pytest.raises(ConfigError, match='It is empty'):
        read(text)


@pytest.mark.parametrize('text', ['{}', 'variables: {}', 'rules: []',
                                  'rules:', 'rules: [{match: {}}]'])
def test_a_site_that_says_nothing(read, text):
    found = read(text)
    assert found.scripts == {}


def test_values_are_what_is_written(read):
    found = read("""\
variables: {a: 010, b: 1.10, c: 22:22, d: yes, e: "", f: 2026-01-01, g: 'x y'}
secrets: {token: "0x1"}
""")
    assert found.variables == {'a': '010', 'b': '1.10', 'c': '22:22',
                               'd': 'yes', 'e': '', 'f': '2026-01-01',
                               'g': 'x y'}
    assert found.secrets == {'token': '0x1'}


def test_every_key_of_a_match(read):
    found = read("""\
rules:
  - match: {project: p, vo: [v, w], image: i, availability_zone: z, host: h}
""")
    assert found.rules[0].match == Match(*map(frozenset, (
        'p', 'vw', 'i', 'z', 'h')))


def test_files_keep_who_may_read_them(read):
    for name, mode in (('public', 0o644), ('tool', 0o755),
                       ('private', 0o640), ('secret.sh', 0o700)):
        path = read.folder / name
        path.write_bytes(b'\0\xff')
        path.chmod(mode)
    found = read('rules: [{match: {}, files: '
                 '[public, tool, private, secret.sh]}]')
    assert found.files == {
        'public': File(b'\0\xff', 0o644), 'tool': File(b'\0\xff', 0o755),
        'private': File(b'\0\xff', 0o600),
        'secret.sh': File(b'\0\xff', 0o700)}


@pytest.mark.parametrize('text, line, message', [
    ('variables: {a: b', 1, 'not YAML'),
    ('rules:\n\t- match', 2, 'not YAML'),
    ('- a', 1, 'mapping'),
    ('variabels: {}', 1, 'variabels is unknown'),
    ('variables: [a]', 1, 'mapping'),
    ('variables:\n  Log: x', 2, 'name of a variable'),
    ('variables:\n  a-b: x', 2, 'name of a variable'),
    ('variables:\n  a: [x]', 2, 'text or a number'),
    ('variables:\n  a:', 2, 'text or a number'),
    ('variables:\n  a: b\n  a: c', 3, 'stands twice'),
    ('variables:\n  a: "\\0"', 2, 'NUL'),
    ('secrets:\n  a: ' + 'x' * 32769, 2, '32769 bytes'),
    ('rules: {}', 1, 'list'),
    ('rules:\n  - prolog: []', 2, 'match is missing'),
    ('rules:\n  - match: {}\n    prologue: []', 3, 'prologue is unknown'),
    ('rules:\n  - match:\n    prolog: []', 2, 'for every server'),
    ('rules:\n  - match:\n      vm: x', 3, 'vm is unknown'),
    ('rules:\n  - match:\n      vo: []', 3, 'text'),
    ('rules:\n  - match:\n      vo: {}', 3, 'text'),
    ('rules:\n  - match: {}\n    prolog: x', 3, 'list'),
    ('rules:\n  - match: {}\n    prolog:\n      - ../x', 4, 'name of a'),
    ('rules:\n  - match: {}\n    epilog:\n      - none.sh', 4,
     'There is no .*none.sh'),
    ('rules:\n  - match: {}\n    files:\n      - none', 4,
     'There is no .*none')])
def test_mistakes_are_named_with_their_line(read, text, line, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(text)
    assert f'context.yaml:{line}: ' in caught.value.message


@pytest.mark.parametrize('value', [
    '*s3cret', '!s3cret x', '"s3cret', '!!int s3cret', '!!float s3cret',
    '{s3cret', '&a [*b]\n  s3cret', '!!timestamp s3cret', '!!binary s3cr%t',
    '!!bool s3cret', '!!null s3cret x', '!!omap s3cret', '!!set [s3cret]'])
def test_what_is_not_yaml_is_not_quoted(read, value):
    with pytest.raises(ConfigError) as caught:
        read(f'secrets:\n  token: {value}')
    assert 's3cr' not in str(caught.value)


ONE = 'rules:\n  - match: {}\n    prolog:\n      - a.sh\n'


@pytest.mark.parametrize('content, message', [
    (b'#!/bin/sh\r\n', 'Windows'), (b'echo\n', '#!'),
    (b'\x7fELF\0', 'binary'), (b'#!/bin/sh\n\xff', 'UTF-8'),
    (b'#!/bin/sh\n$HEPIX_SITE_TYPO', 'line 2: .*HEPIX_SITE_TYPO')])
def test_a_script_that_could_not_run_is_named(read, content, message):
    (read.folder / 'a.sh').write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read(ONE)
    assert str(read.folder / 'a.sh') in caught.value.message


def test_a_link_must_not_leave_the_folder(read, tmp_path):
    (tmp_path / 'shadow').write_text(SCRIPT)
    (read.folder / 'a.sh').symlink_to('../shadow')
    with pytest.raises(ConfigError, match='leaves the folder'):
        read(ONE)


def test_neither_may_a_link_in_a_folder_beside_it(read, tmp_path):
    # A name that only begins as the folder does.
    other = tmp_path / 'context-other'
    other.mkdir()
    (other / 'x').write_text(SCRIPT)
    (read.folder / 'a.sh').symlink_to(other / 'x')
    with pytest.raises(ConfigError, match='leaves the folder'):
        read(ONE)


def test_a_link_inside_the_folder_is_followed(read):
    # As Kubernetes lays out the files of a ConfigMap.
    (read.folder / '..data').mkdir()
    (read.folder / '..data' / 'a.sh').write_text('#!/bin/sh\n')
    (read.folder / 'a.sh').symlink_to('..data/a.sh')
    assert read(ONE).scripts == {'a.sh': b'#!/bin/sh\n'}


@pytest.mark.parametrize('what', ['loop', 'dangling', 'folder', 'pipe'])
def test_what_is_no_file_is_refused(read, what):
    path = read.folder / 'a.sh'
    if what == 'folder':
        path.mkdir()
    elif what == 'pipe':
        import os
        os.mkfifo(path)
    else:
        path.symlink_to('a.sh' if what == 'loop' else 'none')
    with pytest.raises(ConfigError, match=r'a\.sh'):
        read(ONE)


def test_a_script_that_everybody_may_write_is_refused(read):
    path = read.folder / 'a.sh'
    path.write_text('#!/bin/sh\n')
    path.chmod(0o777)
    with pytest.raises(ConfigError, match='Everybody may write') as caught:
        read(ONE)
    assert 'chmod' in caught.value.remedy


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read: No such file'
                       ) as caught:
        file.read(str(tmp_path / 'context.yaml'))
    assert 'sample' in caught.value.remedy


def test_a_file_that_is_too_long_is_refused(read, monkeypatch):
    monkeypatch.setattr('hepix_vm.context.bundle.MAX_SCRIPT', 100)
    with pytest.raises(ConfigError, match='longer than 100'):
        read('# ' + 'x' * 100)


def test_a_secret_that_a_public_file_replaces_is_not_public(
        read, monkeypatch):
    secret = read.folder / 'key'
    secret.write_text('secret')
    secret.chmod(0o600)
    content = file._content

    def replaced(path, limit):
        found = content(path, limit)
        if path == str(secret):
            secret.unlink()
            secret.write_text('public')
            secret.chmod(0o644)
        return found

    monkeypatch.setattr(file, '_content', replaced)
    found = read('rules: [{match: {}, files: [key]}]')
    assert found.files['key'] == File(b'secret', 0o600)


def test_a_folder_is_no_part(read):
    (read.folder / 'key').mkdir()
    before = len(os.listdir('/proc/self/fd'))
    with pytest.raises(ConfigError):
        read('rules: [{match: {}, files: [key]}]')
    assert len(os.listdir('/proc/self/fd')) == before


def test_an_empty_match_is_no_match_for_all(read):
    """Such as one whose lines were made comments."""
    with pytest.raises(ConfigError, match='for every server'):
        read('rules:\n- match:\n    # vo: x\n  files: [10-syslog.sh]\n')


@pytest.mark.parametrize('value', [
    '*hunter2', '!hunter2', '!hunter2 x', '&a x, b: &a *hunter2',
    '!!int hunter2', '!!float hunter2', '!!bool hunter2', '!!binary hunter2',
    '"\\qhunter2"', '"hunter2', '@hunter2', '%hunter2', '!!hunter2 x'])
def test_what_is_said_of_a_secret_does_not_quote_it(read, value):
    with pytest.raises(ConfigError) as caught:
        read(f'secrets: {{a: {value}}}')
    assert 'hunter2' not in str(caught.value)
