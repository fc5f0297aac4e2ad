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

"""The section ``hostcert`` of ``context.yaml``."""

import pathlib
import re
import textwrap

import pytest

from hepix_vm import config
from hepix_vm.context.facts import Facts
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ContextError
from hepix_vm import loading
from hepix_vm.sitecontext.compiled import Settings
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import file
from hepix_vm.sitecontext.hostcert import _KEYS
from hepix_vm.sitecontext.hostcert import HostCert
from hepix_vm.sitecontext import signers

UUID = '5f1c2f0e-6a3f-4c58-9a0e-6a8d1c8a0e11'
URL = 'domain: vm.example.org\nurl: https://sign.example.org/\n'


@pytest.fixture
def files(tmp_path):
    """Files that a section may name."""
    for name, mode in (('program', 0o755), ('text', 0o644),
                       ('secret', 0o600), ('open', 0o646),
                       ('open-program', 0o757)):
        path = tmp_path / name
        path.write_text('#!/bin/sh\nexit 3\n')
        path.chmod(mode)
    return tmp_path


def read(folder, text, timeout=30):
    """Return what the source makes of a section, whose lines are given."""
    path = folder / 'context.yaml'
    lines = text.replace('DIR', str(folder)).splitlines()
    path.write_text('hostcert:\n' + ''.join(f'  {line}\n' for line in lines))
    return HostCert.compile(file.read(str(path))._replace(
        settings=Settings('fail', timeout, '/var/lib/hepix-vm')))


def test_the_least(files):
    assert read(files, 'domain: vm.example.org\ncommand: [DIR/program]') == {
        'domain': 'vm.example.org', 'name': 'uuid', 'key': 'rsa',
        'lifetime': 720, 'timeout': 20,
        'command': [f'{files}/program'], 'url': '', 'ca_file': '',
        'client': [], 'state_dir': '/var/lib/hepix-vm'}


def test_all_of_it(files):
    assert read(files, URL + (
        'name: address\nkey: ec\nlifetime: 24\ntimeout: 5\n'
        'ca_file: DIR/text\nclient_certificate: DIR/text\n'
        'client_key: DIR/secret\n')) == {
        'domain': 'vm.example.org', 'name': 'address', 'key': 'ec',
        'lifetime': 24, 'timeout': 5, 'command': [],
        'url': 'https://sign.example.org/', 'ca_file': f'{files}/text',
        'client': [f'{files}/text', f'{files}/secret'],
        'state_dir': '/var/lib/hepix-vm'}


def test_arguments_of_the_command_are_kept_as_they_are(files):
    found = read(files, 'domain: a.org\ncommand: [DIR/program, --ca, "a; b"]')
    assert found['command'] == [f'{files}/program', '--ca', 'a; b']


@pytest.mark.parametrize('text, line, what', [
    ('command: [DIR/program]', 1, 'domain is missing'),
    ('domain: vm.example.org', 1, 'Exactly one of command and url'),
    (URL + 'command: [DIR/program]', 1, 'Exactly one of command and url'),
    (URL + 'password: x', 4, 'password is unknown'),
    (URL.replace('vm.', 'VM.'), 2, 'A domain such as'),
    (URL.replace('vm.', 28 * 'x' + '.'), 2, '27 are left of the 64'),
    (URL.replace('vm.example.org', '3'), 2, 'text is expected'),
    (URL + 'name: hostname', 4, 'One of uuid, address'),
    (URL + 'key: dsa', 4, 'One of rsa, ec'),
    (URL + 'lifetime: 0', 4, 'from 1 to 9600'),
    (URL + 'lifetime: 9601', 4, 'from 1 to 9600'),
    (URL + 'lifetime: true', 4, 'from 1 to 9600'),
    (URL + 'lifetime: "24"', 4, 'from 1 to 9600'),
    (URL + 'lifetime: 1.5', 4, 'from 1 to 9600'),
    (URL + 'timeout: 0', 4, 'from 1 to 3600'),
    (URL + 'timeout: 30', 4, 'must be below context_timeout, which is 30'),
    (URL.replace('https', 'http'), 3, 'begins with https://'),
    (URL.replace('https', 'file'), 3, 'begins with https://'),
    (URL.replace('https:', ''), 3, 'begins with https://'),
    (URL.replace('sign.example.org', ''), 3, 'begins with https://'),
    (URL.replace('sign', '[sign'), 3, 'begins with https://'),
    (URL.replace('.org/', '.org:port/'), 3, 'begins with https://'),
    (URL.replace('.org/', '.org:0/'), 3, 'begins with https://'),
    (URL.replace('.org/', '.org/ HTTP/1.1'), 3, 'begins with https://'),
    (URL.replace('.org/', '.org/\u00fc'), 3, 'begins with https://'),
    (URL.replace('.org/', '.org/#top'), 3, 'begins with https://'),
    (URL.replace('sign', 'me:secret@sign'), 3, 'password does not belong'),
    ('domain: a.org\ncommand: DIR/program', 3, 'list is expected'),
    ('domain: a.org\ncommand: []', 3, 'a program and its arguments'),
    ('domain: a.org\ncommand: [program]', 3, 'begins with /'),
    ('domain: a.org\ncommand: [DIR/program, 3]', 3, 'text is expected'),
    ('domain: a.org\ncommand: [DIR/none]', 3, 'No such file'),
    ('domain: a.org\ncommand: [DIR]', 3, 'is no program'),
    ('domain: a.org\ncommand: [DIR/text]', 3, 'is no program'),
    ('domain: a.org\ncommand: [DIR/open-program]', 3, 'Everybody may write'),
    ('domain: a.org\ncommand: [DIR/program]\nca_file: DIR/text', 4,
     'with url only'),
    ('domain: a.org\ncommand: [DIR/program]\nclient_key: DIR/secret', 4,
     'with url only'),
    (URL + 'ca_file: certificates.pem', 4, 'begins with /'),
    (URL + 'ca_file: DIR/none', 4, 'No such file'),
    (URL + 'ca_file: DIR', 4, 'is no file'),
    (URL + 'ca_file: DIR/open', 4, 'Everybody may write'),
    (URL + 'client_certificate: DIR/text', 4, 'expected together'),
    (URL + 'client_key: DIR/secret', 4, 'expected together'),
    (URL + 'client_certificate: DIR/text\nclient_key: DIR/text', 5,
     'Everybody may read'),
])
def test_what_is_wrong_is_named_with_its_line(files, text, line, what):
    with pytest.raises(ConfigError, match=what) as caught:
        read(files, text)
    assert f'context.yaml:{line}: ' in str(caught.value)
    assert 'secret@' not in str(caught.value)


def test_the_default_is_compared_with_context_timeout_too(files):
    with pytest.raises(ConfigError, match=r'context.yaml:1: The timeout of '
                       r'20 seconds must be below context_timeout'):
        read(files, URL, timeout=20)


def test_without_settings_nothing_is_recorded(files):
    path = files / 'context.yaml'
    path.write_text('hostcert:\n  domain: a.org\n  url: https://a.org\n')
    assert HostCert.compile(file.read(str(path)))['state_dir'] == ''


def test_a_section_is_needed(site):
    context = site.folder / 'context.yaml'
    context.write_text('variables: {a: b}\n')
    site.write_config(context_file=str(context),
                      context_sources='directory,template,hostcert')
    with pytest.raises(ConfigError, match='no section hostcert') as caught:
        compiler.compile_context(config.load())
    assert str(caught.value).startswith(f'{context}: ')
    assert 'with domain, and with command or url' in caught.value.remedy


PAGE = pathlib.Path(__file__).parents[2] / 'doc/source/admin/hostcert.rst'


def test_the_page_names_all_keys():
    rows = re.findall(r'^   \* - (``.*``)\n     -', PAGE.read_text(),
                      re.MULTILINE)
    assert {key for row in rows for key in re.findall('``(.*?)``', row)
            } - {'context/hostcert.pem', 'context/hostkey.pem'} == _KEYS


def test_the_examples_of_the_page_are_read(files):
    blocks = re.findall(r'code-block:: yaml\n\n((?:    .*\n|\n)+)',
                        PAGE.read_text())
    assert len(blocks) == 2
    (files / 'context').mkdir()
    (files / 'context' / '05-hostcert.sh').write_text('#!/bin/sh\n')
    for block in blocks:
        for path, name in (('/usr/local/sbin/sign-host', 'program'),
                           ('/etc/hepix-vm/signer-ca.pem', 'text'),
                           ('/etc/hepix-vm/signer-client.pem', 'text'),
                           ('/etc/hepix-vm/signer-client.key', 'secret')):
            block = block.replace(path, str(files / name))
        path = files / 'context.yaml'
        path.write_text(textwrap.dedent(block))
        found = HostCert.compile(file.read(str(path)))
        assert found['domain'] == 'vm.example.org'


def test_it_is_a_source():
    assert loading.load(loading.CONTEXT, ['hostcert']) == [HostCert]


def test_nobody_is_asked_for_what_has_no_name(files, monkeypatch):
    monkeypatch.setattr(signers, 'by_command', None)
    compiled = read(files, 'domain: a.org\ncommand: [DIR/program]')
    with pytest.raises(ContextError, match='no UUID'):
        HostCert.give(compiled, Facts('www'))


def test_errors_have_no_key_in_them(files):
    compiled = read(files, 'domain: a.org\ncommand: [DIR/program]')
    with pytest.raises(ContextError, match='failed with status 3') as caught:
        HostCert.give(compiled, Facts(UUID))
    assert 'PRIVATE' not in repr(vars(caught.value))
