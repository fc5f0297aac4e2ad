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

"""What is written of the DevStack plugin is what its settings say."""

import re
import subprocess

import docutils.core
import docutils.utils
import pytest

from hepix_vm import paths
from tests.unit.test_docs import plain
from tests.unit.test_docs import ROOT

FOLDER = ROOT / 'devstack'
README = (FOLDER / 'README.rst').read_text()
SAMPLE = (FOLDER / 'local.conf.sample').read_text()
SETTINGS = (FOLDER / 'settings').read_text()
NAME, = re.findall(r'^define_plugin (.*)$', SETTINGS, re.MULTILINE)
SMALLER = re.search(r'^# Remove the # of what follows.*', SAMPLE,
                    re.MULTILINE | re.DOTALL)[0]


def knobs():
    """Return all settings, and their defaults as they stand there."""
    found = {}
    for name, value in re.findall(r'^(\w+)=(.*)$', SETTINGS, re.MULTILINE):
        default = re.fullmatch(
            rf'\$\{{{name}:-(.*)\}}|\$\(trueorfalse (\w+) {name}\)', value)
        assert default, f'{name}={value}'
        found[name] = default[1] or default[2]
    return found


def services():
    found, = re.findall(r'^enable_service (.*)$', SETTINGS, re.MULTILINE)
    return found.split()


def table(heading):
    """Return the rows of the table below a heading, without markup."""
    text = re.split(rf'^{heading}\n=+$', README, flags=re.MULTILINE)[1]
    text = re.split(r'^=+$', text, flags=re.MULTILINE)[0]
    found = re.findall(r'^   \* - (.*?)(?=^   \* - |^\S|\Z)', text,
                       re.MULTILINE | re.DOTALL)
    return [[plain(cell) for cell in re.split(
        r'^     - ', row, flags=re.MULTILINE)] for row in found][1:]


def test_there_are_settings():
    assert len(knobs()) > 10


def test_every_setting_has_its_row_and_default():
    assert {cells[0]: cells[1] for cells in table('Settings')} == {
        f'``{name}``': f'``{default}``' for name, default in knobs().items()}


def test_every_service_has_its_row():
    assert [cells[0] for cells in table('Services')] == [
        f'``{name}``' for name in services()]


def test_every_setting_that_is_named_exists():
    assert set(re.findall(r'HEPIX_VM_\w*[A-Z]', README + SAMPLE)) <= {
        *knobs(), paths.ENVIRONMENT, 'HEPIX_VM_CONF'}


def test_the_sample_has_every_setting_with_its_default():
    # What local.conf says is read before the plugin's settings.
    folder = knobs()['HEPIX_VM_CONF_DIR']
    assert dict(re.findall(
        r'^#(HEPIX_VM_\w+)=(.*)$', SAMPLE, re.MULTILINE)) == {
            name: value.replace('$HEPIX_VM_CONF_DIR', folder)
            for name, value in knobs().items()}


def said(text):
    """Return what DevStack would be told by a localrc section."""
    section = text.split('[[local|localrc]]\n')[1].split('\n# Options of ')[0]
    done = subprocess.run(['bash', '-euc', f'''
        DEST=/opt/stack DATA_DIR=/opt/stack/data ENABLED_SERVICES=usual
        enable_plugin() {{ echo "plugin $*"; }}
        disable_service() {{ for each; do echo "without $each"; done; }}
        {section}
        echo "services $ENABLED_SERVICES"
        echo "passwords $ADMIN_PASSWORD $DATABASE_PASSWORD $RABBIT_PASSWORD \
$SERVICE_PASSWORD"
        '''], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ''), done.stderr
    return done.stdout.splitlines()


def test_the_sample_is_complete_as_it_is():
    lines = said(SAMPLE)
    plugin, = (line for line in lines if line.startswith('plugin '))
    assert re.fullmatch(rf'plugin {NAME} https://\S+ main', plugin)
    assert 'services usual' in lines
    assert not {f'without {name}' for name in services()} & set(lines)


def test_the_smaller_variant():
    smaller = SAMPLE.replace(SMALLER, re.sub(
        '^#(?! |$)', '', SMALLER, flags=re.MULTILINE))
    lines = said(smaller)
    enabled = lines[-2].removeprefix('services ').split(',')
    # What the plugin puts its parts into, and what these cannot do without.
    assert {'key', 'g-api', 'n-api', 'n-sch', 'n-cpu', 'placement-api',
            'q-svc', 'mysql', 'rabbit'} <= set(enabled)
    assert 'c-api' not in enabled


@pytest.mark.parametrize('line', re.findall(
    r'^#(HEPIX_VM_\w+=.*)$', SAMPLE, re.MULTILINE))
def test_each_setting_of_the_sample_can_be_said_alone(line):
    said(SAMPLE.replace(f'#{line}', line))


def test_all_else_of_the_sample_may_be_said_too():
    said(re.sub('^#(?! |$)', '', SAMPLE, flags=re.MULTILINE))


def test_the_readme_is_sound(capsys):
    """doc8 says less: where a table has a row too short, for one."""
    docutils.core.publish_doctree(README, settings_overrides={
        'report_level': docutils.utils.Reporter.INFO_LEVEL,
        'halt_level': docutils.utils.Reporter.WARNING_LEVEL})
    assert capsys.readouterr().err == ''


def test_the_line_of_the_readme_is_that_of_the_sample():
    line = re.compile(r'^ *(enable_plugin .*)$', re.MULTILINE)
    assert line.findall(README) == line.findall(SAMPLE)
    assert line.findall((ROOT / 'README.md').read_text()) == (
        line.findall(SAMPLE))


@pytest.mark.parametrize('name', ['exercise.sh', 'local.conf.sample',
                                  'tools/test-ca.sh',
                                  'tools/endorsed_hosts.py'])
def test_files_that_the_readme_names(name):
    assert name in README
    assert (FOLDER / name).is_file()


@pytest.mark.parametrize('command', ['revoke', 'renew'])
def test_commands_of_the_test_ca(command):
    script = (FOLDER / 'tools' / 'test-ca.sh').read_text()
    assert f'/opt/stack/{NAME}/devstack/tools/test-ca.sh {command}\n' in (
        README)
    assert re.search(rf'^{command} ', script, re.MULTILINE)


@pytest.mark.parametrize('text', [README, SAMPLE])
def test_the_section_for_our_own_options(text):
    section, = re.findall(r'^\W*(\[\[hepix-vm.*\]\])$', text, re.MULTILINE)
    group, file = section.strip('[]').split('|')
    library = (FOLDER / 'lib' / 'hepix_vm').read_text()
    assert f'{group}|{file}' in library
    assert f'"{group}"' in library or f' {group} ' in library
