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

"""``hepix-vm-status context``: what an operator sees before servers do."""

import json

import pytest

from hepix_vm.cmd import status
from hepix_vm.sitecontext import compiled
from tests.testbed.contexts import ContextSite

PLAIN = {'10-log.sh': '#!/bin/sh\n'}
PROJECT = '0123456789abcdef' * 2


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = ContextSite(tmp_path)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    return site


@pytest.fixture
def shown(capsys):
    """Return status, rows and errors of ``context check``."""
    def shown(*arguments):
        code = status.main(['context', 'check', '-f', 'json', *arguments])
        out, err = capsys.readouterr()
        rows = [tuple(row.values()) for row in json.loads(out)] if out else []
        return code, rows, err

    return shown


def test_what_every_server_gets(site, shown):
    assert shown() == (0, [
        ('prolog', '10-log.sh', str(site.parts / '10-log.sh')),
        ('epilog', '20-mon.sh', str(site.parts / '20-mon.sh')),
        ('variable', 'HEPIX_SITE_LOG', 'log.example.org')], '')


@pytest.mark.parametrize('key, value', [
    ('project', PROJECT), ('vo', 'v'), ('image', 'i'),
    ('availability_zone', 'z'), ('host', 'h')])
def test_what_a_server_gets_of_which_something_is_known(site, shown, key,
                                                        value):
    site.write(f'rules: [{{match: {{{key}: {value}}}, prolog: [10-log.sh], '
               f'files: [repositories]}}]', PLAIN)
    assert shown() == (0, [], '')
    option = '--' + key.replace('_', '-')
    assert shown(option, 'other') == (0, [], '')
    code, rows, err = shown(option, value)
    assert [row[:2] for row in rows] == [('prolog', '10-log.sh'),
                                         ('file', 'repositories')]
    assert (code, err) == (0, '')


def test_secrets_are_hidden(site, shown):
    site.write(
        'secrets: {token: s3cret, of_nobody: s3cret}\n'
        'rules: [{match: {}, prolog: [10-log.sh]}]',
        {'10-log.sh': '#!/bin/sh\necho "$HEPIX_SECRET_TOKEN"\n'})
    site.yaml.chmod(0o640)
    code, rows, err = shown()
    assert rows[1:] == [('secret', 'HEPIX_SECRET_TOKEN', '(hidden)')]
    assert err == ''
    site.yaml.chmod(0o644)
    code, rows, err = shown()
    assert err == (f'Warning: {site.yaml}: It has secrets, and everybody may '
                   f'read it: chmod o-r.\n')


def test_mistakes_are_one_line(site, shown):
    site.write('rules:\n  - match: {}\n    prolog: [none.sh]\n')
    code, rows, err = shown()
    assert (code, rows) == (2, [])
    assert err.startswith(f'hepix-vm-status: {site.yaml}:3: There is no ')
    assert err.count('\n') == 1


def test_what_is_most_likely_a_mistake(site, shown):
    site.write(f"""\
rules:
  - match: {{}}
  - match: {{project: [atlas, {PROJECT}]}}
    prolog: [10-log.sh]
""", PLAIN)
    code, rows, err = shown()
    assert code == 0
    assert err.splitlines() == [
        f'Warning: {site.yaml}: Rule 1 gives nothing.',
        f'Warning: {site.yaml}: Rule 2 names the project atlas, which does '
        f'not look like an id; Nova tells no names.']


def test_a_section_that_no_source_reads(site, shown):
    site.write('hostcert: {domain: vm.example.org}')
    code, rows, err = shown()
    assert (code, rows) == (0, [])
    assert err == (f'Warning: {site.yaml}: The section hostcert is not read: '
                   f'[hepix_vm] context_sources does not name hostcert.\n')


def test_it_is_compiled(site, capsys):
    assert compiled.load() is None
    assert status.main(['context', 'compile']) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f'{site.cache}: directory, template\n', '')
    assert compiled.load() is not None


def test_where_it_cannot_be_written_that_is_said(site, capsys, monkeypatch):
    monkeypatch.setenv(compiled.ENVIRONMENT, '/proc/none/context.json')
    assert status.main(['context', 'compile']) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err == ('hepix-vm-status: /proc/none/context.json: It cannot be '
                   'written: No such file or directory. Make the folder, and '
                   'let its group be that of nova-compute.\n')
