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

"""The compiled context is used while it is true, and not when it is not."""

import json
import os
import re
import sys
import threading

import pytest

from hepix_vm import config
from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ContextError
from hepix_vm import paths
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext import compiler

YAML = """\
variables: {log: log.example.org}
rules:
  - {match: {}, prolog: [a.sh], files: [f]}
  - {match: {vo: vo.example.org}, epilog: [b.sh]}
"""


class Site:
    """Settings, a context and a cache in a folder."""

    def __init__(self, folder):
        self.yaml = folder / 'context.yaml'
        self.yaml.write_text(YAML)
        self.parts = folder / 'context'
        self.parts.mkdir()
        (self.parts / 'a.sh').write_text('#!/bin/sh\n# HEPIX_SITE_LOG\n')
        (self.parts / 'b.sh').write_text('#!/bin/sh\n')
        (self.parts / 'f').write_bytes(b'\0\xff')
        self.config = folder / 'hepix-vm.conf'
        self.settings()
        self.cache = folder / 'cache' / 'context.json'
        self.cache.parent.mkdir()

    def settings(self, **options):
        lines = {'context_file': self.yaml, **options}
        self.config.write_text('[hepix_vm]\n' + ''.join(
            f'{key} = {value}\n' for key, value in lines.items()))


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = Site(tmp_path)
    monkeypatch.setenv(paths.ENVIRONMENT, str(site.config))
    monkeypatch.setenv(compiled.ENVIRONMENT, str(site.cache))
    return site


def refresh():
    return compiler.refresh(config.load())


def test_without_a_cache_there_is_none(site):
    assert compiled.load() is None


def test_what_was_compiled_is_loaded(site):
    made = refresh()
    found = compiled.load()
    assert found is not None
    assert found.settings == made.settings == compiled.Settings(
        'fail', 30, '/var/lib/hepix-vm')
    server = Facts(uuid='u', name="it's")
    assert found.context(server) == made.context(server)


def test_what_a_server_gets(site):
    found = refresh()
    plain = found.context(Facts(name="it's"))
    assert plain.prolog == {'a.sh': b'#!/bin/sh\n# HEPIX_SITE_LOG\n'}
    assert plain.epilog == {}
    assert plain.files['files/f'] == (b'\0\xff', 0o644)
    variables = plain.files['variables.sh'].content.decode()
    assert "export HEPIX_SITE_LOG='log.example.org'\n" in variables
    assert "export HEPIX_SERVER_NAME='it'\\''s'\n" in variables
    of_vo = found.context(Facts(image=Image(vo='vo.example.org')))
    assert of_vo.epilog == {'b.sh': b'#!/bin/sh\n'}


def test_a_server_has_the_secrets_that_its_scripts_name(site):
    site.yaml.write_text("""\
secrets: {of_all: s3cret-1, of_vo: s3cret-2, of_none: s3cret-3}
rules:
  - {match: {}, prolog: [a.sh]}
  - {match: {vo: vo.example.org}, epilog: [b.sh]}
""")
    (site.parts / 'a.sh').write_text('#!/bin/sh\n# HEPIX_SECRET_OF_ALL\n')
    (site.parts / 'b.sh').write_text('#!/bin/sh\n# HEPIX_SECRET_OF_VO\n')
    found = refresh()
    for server, secrets in ((Facts(), {'1'}), (
            Facts(image=Image(vo='vo.example.org')), {'1', '2'})):
        text = found.context(server).files['variables.sh'].content.decode()
        assert set(re.findall(r"SECRET_OF_\w+='s3cret-(\d)'", text)) == (
            secrets)


def test_every_change_makes_it_stale(site):
    changes = [
        lambda: site.yaml.write_text(YAML + '# more\n'),
        lambda: (site.parts / 'a.sh').write_text('#!/bin/sh\n'),
        lambda: (site.parts / 'f').chmod(0o600),
        lambda: site.settings(context_failure='warn'),
        lambda: (site.parts / 'b.sh').unlink()]
    for change in changes:
        refresh()
        assert compiled.load() is not None
        change()
        assert compiled.load() is None


def test_a_folder_that_is_a_link_may_be_turned_round(site, tmp_path):
    site.parts.rename(tmp_path / 'first')
    (tmp_path / 'second').mkdir()
    for path in (tmp_path / 'first').iterdir():
        (tmp_path / 'second' / path.name).write_bytes(path.read_bytes())
    (tmp_path / 'second' / 'a.sh').write_text('#!/bin/sh\n# second\n')
    site.parts.symlink_to('first')
    assert b'second' not in refresh().context(Facts()).prolog['a.sh']
    site.parts.unlink()
    site.parts.symlink_to('second')
    assert compiled.load() is None
    assert b'second' in refresh().context(Facts()).prolog['a.sh']


def test_settings_that_come_to_be_make_it_stale(site, monkeypatch, tmp_path):
    monkeypatch.delenv(paths.ENVIRONMENT)
    monkeypatch.setattr(paths, 'DEFAULT_FILE', str(tmp_path / 'later.conf'))
    conf = config.load()
    conf.set_override('context_file', str(site.yaml), 'hepix_vm')
    compiler.refresh(conf)
    assert compiled.load() is not None
    (tmp_path / 'later.conf').write_text('[hepix_vm]\n')
    assert compiled.load() is None


def test_other_settings_have_another_context(site, monkeypatch, tmp_path):
    refresh()
    other = tmp_path / 'other.conf'
    other.write_text(site.config.read_text())
    monkeypatch.setenv(paths.ENVIRONMENT, str(other))
    assert compiled.load() is None


def test_another_version_of_a_source_makes_it_stale(site, monkeypatch,
                                                    tmp_path):
    module = tmp_path / 'site_source.py'
    module.write_text("""\
from hepix_vm.context.bundle import Bundle
from hepix_vm.sitecontext.sources import ContextSource
class Own(ContextSource):
    @staticmethod
    def compile(site):
        return [1]
    @staticmethod
    def give(compiled, facts):
        if facts.name == 'broken':
            raise KeyError('secret')
        return Bundle({f'own-{compiled[0]}': b''})
""")
    monkeypatch.syspath_prepend(tmp_path)
    import site_source  # made above

    real = compiler.loading.load
    monkeypatch.setattr(compiler.loading, 'load', lambda group, names: [
        site_source.Own if name == 'own' else real(group, [name])[0]
        for name in names])
    site.settings(context_sources='directory,template,own')
    refresh()
    assert 'own-1' in compiled.load().context(Facts()).prolog
    os.utime(module, (1, 1))
    assert compiled.load() is None
    del sys.modules['site_source']


@pytest.mark.parametrize('content', [
    b'', b'no JSON', b'[]', b'{}', b'[1, 2]', b'null',
    b'[1, "", [], [], [], [], []]', b'\xff'])
def test_a_damaged_cache_is_none(site, content):
    refresh()
    site.cache.write_bytes(content)
    assert compiled.load() is None


def test_a_cache_of_another_format_is_none(site):
    refresh()
    content = json.loads(site.cache.read_text())
    content[0] += 1
    site.cache.write_text(json.dumps(content))
    assert compiled.load() is None


def test_a_cache_that_others_could_write_is_none(site, monkeypatch):
    refresh()
    site.cache.chmod(0o660)
    assert compiled.load() is None
    site.cache.chmod(0o640)
    assert compiled.load() is not None
    if os.geteuid() == 0:
        os.chown(site.cache, 12345, -1)
    else:
        monkeypatch.setattr(os, 'geteuid', lambda: 54321)
    assert compiled.load() is None
    assert compiled.load(owner=site.cache.stat().st_uid) is not None


def test_the_group_of_the_folder_may_read_it(site):
    group = 12345 if os.geteuid() == 0 else os.getgroups()[-1]
    os.chown(site.cache.parent, -1, group)
    refresh()
    status = site.cache.stat()
    assert (status.st_gid, status.st_mode & 0o777) == (group, 0o640)


def test_where_it_cannot_be_kept_it_is_made_all_the_same(site, monkeypatch):
    monkeypatch.setenv(compiled.ENVIRONMENT, '/proc/none/context.json')
    assert refresh().context(Facts()).prolog
    assert compiled.load() is None


def test_nothing_is_left_of_one_that_could_not_be_written(site, monkeypatch):
    def full(*unused):
        raise OSError('the disk is full')

    monkeypatch.setattr(os, 'replace', full)
    refresh()
    assert [path.name for path in site.cache.parent.iterdir()] == []


def test_a_mistake_is_not_kept(site):
    refresh()
    site.yaml.write_text('rulez: []')
    with pytest.raises(ConfigError, match='rulez'):
        refresh()
    assert compiled.load() is None


@pytest.mark.parametrize('sources, message', [
    ('directory', 'context_sources lacks template'),
    ('template', 'context_sources lacks directory'),
    ('directory,template,none', 'none')])
def test_sources_that_are_missing(site, sources, message):
    site.settings(context_sources=sources)
    with pytest.raises(Exception, match=message):
        refresh()


def test_too_much_for_one_server_is_refused(site, monkeypatch):
    monkeypatch.setattr('hepix_vm.context.bundle.MAX_TOTAL', 10)
    with pytest.raises(ContextError, match='bytes'):
        refresh().context(Facts())


def saved_meanwhile(monkeypatch, path, half):
    """Let a file be half of itself when it is read, and whole after that."""
    whole = path.read_text()
    path.write_text(half)
    read = compiler.file.read

    def reading(name):
        found = read(name)
        if path.read_text() != whole:
            path.write_text(whole)
        return found

    monkeypatch.setattr(compiler.file, 'read', reading)


def test_a_file_that_is_saved_while_it_is_read(site, monkeypatch):
    saved_meanwhile(monkeypatch, site.yaml, '{}')
    assert refresh().context(Facts()).prolog


@pytest.mark.parametrize(('name', 'half'), [
    ('context.yaml', ''), ('context.yaml', 'rules: []'),
    ('context/a.sh', '')])
def test_a_file_that_an_editor_has_just_emptied(site, name, half):
    path = site.yaml.parent / name
    whole = path.read_text()
    path.write_text(half)
    saving = threading.Timer(0.05, path.write_text, (whole,))
    saving.start()
    assert refresh().context(Facts()).prolog
    saving.join()


def test_a_file_that_never_rests(site, monkeypatch):
    read = compiler.file.read

    def reading(name):
        found = read(name)
        with site.yaml.open('a') as text:
            text.write('#')
        return found

    monkeypatch.setattr(compiler, '_ATTEMPTS', 2)
    monkeypatch.setattr(compiler, '_REST', 0)
    monkeypatch.setattr(compiler.file, 'read', reading)
    with pytest.raises(ConfigError, match='all the time'):
        refresh()


def test_settings_that_are_changed_after_they_were_read(site):
    conf = config.load()
    site.settings(context_failure='warn')
    compiler.refresh(conf)
    found = compiled.load()
    assert found is not None and found.settings.failure == 'warn'


@pytest.mark.parametrize('change', [
    lambda kept: '[' * 100_000, lambda kept: '[' + ', '.join(
        json.dumps([[]] if place == 2 else value)
        for place, value in enumerate(json.loads(kept))) + ']'])
def test_a_cache_of_another_shape_is_none(site, change):
    refresh()
    site.cache.write_text(change(site.cache.read_text()))
    assert compiled.load() is None
