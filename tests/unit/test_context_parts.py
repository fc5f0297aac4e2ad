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

"""The ready parts of the context: what holds for all of them."""

import re
import shutil
import subprocess

import pytest
import yaml

from hepix_vm.context import template
from hepix_vm.sitecontext import file
from tests.unit.parts import all_variables
from tests.unit.parts import CONTEXT
from tests.unit.parts import PARTS
from tests.unit.parts import ROOT
from tests.unit.parts import SHELLS
from tests.unit.parts import variables

SAMPLE = ROOT / 'etc' / 'hepix_vm' / 'context.yaml'
PAGE = ROOT / 'doc' / 'source' / 'admin' / 'context-parts.rst'


def split(part: str) -> tuple[str, str]:
    """Return the comment at the head of a part, and the rest."""
    text = (CONTEXT / part).read_text()
    head, found, rest = text.partition('\nset -euf\n')
    assert found
    assert all(line[:1] in ('#', '') for line in head.splitlines())
    return head, rest


def sections() -> dict[str, str]:
    """Return what the page says of each part."""
    found = re.split(r'^``(\S+\.sh)``\n=+\n', PAGE.read_text(),
                     flags=re.MULTILINE)
    return {part: re.split(r'^.+\n=+\n', text, flags=re.MULTILINE)[0]
            for part, text in zip(found[1::2], found[2::2], strict=True)}


def sample() -> dict[str, str]:
    """Return the variables of the sample, by their names in parts."""
    text = yaml.safe_load(SAMPLE.read_text())
    return {f'HEPIX_{kind}_{name.upper()}': value
            for kind, key in (('SITE', 'variables'), ('SECRET', 'secrets'))
            for name, value in text[key].items()}


@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('shell', SHELLS.values(), ids=SHELLS)
def test_each_shell_can_read_it(shell, part):
    subprocess.run([*shell, '-n', CONTEXT / part], check=True, timeout=20)


@pytest.mark.parametrize('part', PARTS)
def test_form(part):
    content = (CONTEXT / part).read_bytes()
    assert content.startswith(b'#!/bin/sh\n# Licensed under the Apache')
    assert b'\r' not in content
    assert content.decode().isascii()
    lines = content.decode().splitlines()
    assert max(map(len, lines)) <= 79
    assert len(lines) <= 400


@pytest.mark.parametrize('part', PARTS)
def test_variables_are_documented_where_they_are_used(part):
    head, rest = split(part)
    assert variables(head) == variables(rest) != set()
    assert variables(sections()[part]) == variables(rest)


def test_the_page_has_every_part():
    assert list(sections()) == PARTS


def test_variables_are_those_of_the_sample():
    assert all_variables() - template.NAMES == set(sample())


def test_the_sample_sets_nothing():
    assert set(sample().values()) == {''}


def test_the_sample_says_which_part_a_variable_is_for():
    text, = re.findall(r'^variables:\n(.*?)^secrets:\n(.*?)^# Which',
                       SAMPLE.read_text(), re.MULTILINE | re.DOTALL)
    for part, lines in re.findall(r'# (\d\d-[\w-]+\.sh).*?\n(.*?)(?=\n\n|\Z)',
                                  '\n\n'.join(text), re.DOTALL):
        kinds = {f'HEPIX_{kind}_{name.upper()}' for kind in ('SITE', 'SECRET')
                 for name in re.findall(r'^  (\w+):', lines, re.MULTILINE)}
        assert kinds & set(sample()) == kinds & variables(
            (CONTEXT / part).read_text()) != set()


def rules(text: str) -> list[dict[str, list[str]]]:
    found = yaml.safe_load(text)['rules']
    assert all(set(rule) <= {'match', 'prolog', 'epilog', 'files'}
               for rule in found)
    return found


def test_rules_of_the_sample():
    """Those that count, and those that are only to be uncommented."""
    text = SAMPLE.read_text()
    assert rules(text) == [{
        'match': {},
        'prolog': ['10-syslog.sh', '30-time.sh', '40-block-user.sh'],
        'epilog': ['20-monitoring.sh']}]
    all_rules = rules(re.sub(r'^  #(?=- |  \w+:)', '  ', text,
                             flags=re.MULTILINE))
    assert len(all_rules) > 1
    assert {name for rule in all_rules for kind in ('prolog', 'epilog')
            for name in rule.get(kind, ())} == set(PARTS)


def test_the_sample_is_read_as_it_is_installed(tmp_path):
    shutil.copytree(CONTEXT, tmp_path / 'context')
    (tmp_path / 'context' / 'collector-ca.pem').write_text('a CA')
    text = SAMPLE.read_text()
    path = tmp_path / 'context.yaml'
    for content in (text, re.sub(r'^  #(?=- |  \w+:)', '  ', text,
                                 flags=re.MULTILINE)):
        path.write_text(content)
        found = file.read(str(path))
        assert found.rules
    assert set(found.scripts) == set(PARTS)


def when(part: str) -> str:
    found = re.search(r'^# In the (prolog|epilog):',
                      (CONTEXT / part).read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_parts_run_when_they_say():
    for rule in rules(re.sub(r'^  #(?=- |  \w+:)', '  ', SAMPLE.read_text(),
                             flags=re.MULTILINE)):
        for kind in ('prolog', 'epilog'):
            for part in rule.get(kind, ()):
                assert when(part) == kind
    for part, text in sections().items():
        assert f'In the **{when(part)}**' in text


def test_functions_of_one_name_are_the_same_everywhere():
    """Parts share no file, so that a site can take one; but no drift."""
    known: dict[str, str] = {}
    for part in PARTS:
        for text, name in re.findall(
                r'^((?:# .*\n)*(\w+)\(\) \{\n(?:.*\n)*?\}\n)',
                (CONTEXT / part).read_text(), re.MULTILINE):
            if name in ('say', 'fail', 'put', 'drop', 'restart', 'is_host'):
                assert known.setdefault(name, text) == text
    assert len(known) == 6
