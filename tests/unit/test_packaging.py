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

"""What is declared for installers and services really exists."""

import configparser
import importlib
from importlib import metadata
import pathlib
import re

from pbr.hooks import files
import pytest

from tests.testbed.glance import program

ROOT = pathlib.Path(__file__).parents[2]


def declared() -> list[tuple[str, str, str]]:
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    return [
        (group, *(part.strip() for part in line.split('=')))
        for group, lines in config['entry_points'].items()
        for line in lines.split('\n') if line]


def names(file: str) -> set[str]:
    """Return the packages of a requirements file, normalised."""
    return {
        re.sub(r'[-_.]+', '-', re.split(r'[^\w.-]', line)[0]).lower()
        for line in (ROOT / file).read_text().splitlines()
        if line and not line.startswith('#')}


@pytest.mark.parametrize(('group', 'name', 'value'), declared())
def test_entry_point_is_there_and_installed(group, name, value):
    module, _, attribute = value.partition(':')
    found = importlib.import_module(module)
    # Of OpenStackClient's extensions the module is the plugin.
    assert callable(getattr(found, attribute or 'make_client'))
    found = metadata.entry_points(group=group, name=name)
    assert [point.value for point in found] == [value]


def test_requirements_are_pinned():
    wanted = (names('requirements.txt') | names('test-requirements.txt')
              | names('doc/requirements.txt'))
    assert wanted - names('constraints.txt') == set()


def test_services_are_not_requirements():
    required = metadata.requires('hepix-vm')
    assert required
    assert not [r for r in required if re.match(r'(glance|nova)\b', r)]


def installed() -> dict[str, str]:
    """Return what pbr installs beside the packages, by where from."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    hook = files.FilesConfig({'files': dict(config['files'])}, 'hepix-vm')
    hook.expand_globs()
    target, found = '', {}
    for line in filter(None, hook.data_files.splitlines()):
        if '=' in line:
            target = line.split('=')[0].strip(" '/")
        else:
            path = line.strip(" '")
            found[path] = f"{target}/{path.rpartition('/')[2]}"
    return found


def test_files_of_the_site_are_installed(monkeypatch):
    monkeypatch.chdir(ROOT)
    sources = [path.relative_to(ROOT)
               for path in (ROOT / 'etc' / 'hepix_vm').rglob('*')
               if path.is_file()]
    assert any(path.parent.name == 'context' for path in sources)
    assert {source: target for source, target in installed().items()
            if source.startswith('etc/')} == {
        str(path): str(path).replace('etc/hepix_vm', 'etc/hepix-vm', 1)
        for path in sources}


def test_the_program_for_drives_is_installed_as_it_is():
    """pip would write a first line anew that begins with #!python."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    assert config['files']['scripts'].split() == ['bin/hepix-vm-mkisofs']
    script = ROOT / 'bin' / 'hepix-vm-mkisofs'
    found = pathlib.Path(program(script.name))
    assert found.read_bytes() == script.read_bytes()
    for path in (found, script):
        assert path.stat().st_mode & 0o111 == 0o111
