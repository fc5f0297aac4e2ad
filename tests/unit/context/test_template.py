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

"""Values reach scripts as they are, and never as a command."""

import shutil
import subprocess

import hypothesis
from hypothesis import strategies
import pytest

from hepix_vm.context import facts
from hepix_vm.context import template
from hepix_vm.errors import ContextError

SHELLS = (['sh'], ['bash', '--posix'], ['busybox', 'sh'])

HOSTILE = [
    '', ' ', '$(touch x)', '`touch x`', '; touch x', "it's", "'", "''",
    "';touch x;'", '"', '"; touch x; "', '\\', "\\'", 'a\nb', '\n',
    'trailing\n', '$HOME', '${PATH}', '!!', '*', '~', '#', 'x\ty', '&& x',
    '-n', '\x1b[31m', 'Zürich 漢字', '\x7f', '\r', 'EOF\n', "$'x'"]


def shown(shell, value, script='printf %s "$HEPIX_SERVER_NAME"'):
    """Return what a script sees in a shell, after the assignments."""
    assignments = template.assignments({'HEPIX_SERVER_NAME': value})
    return subprocess.run(
        [*shell, '-c', assignments.decode() + script], check=True,
        capture_output=True, env={'PATH': '/usr/bin:/bin'}).stdout.decode()


@pytest.mark.parametrize('shell', SHELLS, ids=' '.join)
@pytest.mark.parametrize('value', HOSTILE, ids=repr)
def test_a_shell_reads_the_value(shell, value):
    assert shutil.which(shell[0])
    assert shown(shell, value) == value


@hypothesis.given(strategies.text(
    strategies.characters(exclude_characters='\0',
                          exclude_categories=['Cs']), max_size=200))
@hypothesis.settings(max_examples=60)
def test_whatever_the_value_is(value):
    assert shown(['sh'], value) == value


@pytest.mark.parametrize('use', [
    'printf %s "name: $HEPIX_SERVER_NAME"',
    'cat << END\nname: $HEPIX_SERVER_NAME\nEND',
    'x=$HEPIX_SERVER_NAME; echo "name: $x"',
    'echo "name: ${none:-$HEPIX_SERVER_NAME}"',
    'echo "name: $(printf %s "$HEPIX_SERVER_NAME")"',
    'true # $HEPIX_SERVER_NAME'])
def test_wherever_a_script_uses_it_nothing_is_run(use, tmp_path):
    mark = tmp_path / 'run'
    for value in (f'$(touch {mark})', f'`touch {mark}`', f"';touch {mark};'",
                  f'"; touch {mark}; "', f'\ntouch {mark}\n'):
        output = shown(['sh'], value, use)
        assert '#' in use or value.strip() in output
    assert not mark.exists()


@pytest.mark.parametrize('value, message', [
    ('a\0b', 'has a NUL'), ('\ud800', 'not Unicode'),
    ('x' * (template.MAX_VALUE + 1), 'is 32769 bytes long'),
    ('ü' * (template.MAX_VALUE // 2 + 1), 'is 32770 bytes long')])
def test_what_no_variable_can_be_is_refused(value, message):
    with pytest.raises(ContextError, match=message) as caught:
        template.assignments({'HEPIX_SERVER_NAME': value})
    assert 'HEPIX_SERVER_NAME' in caught.value.message


def test_the_longest_value_is_allowed():
    value = 'x' * template.MAX_VALUE
    assert shown(['sh'], value) == value


def test_every_server_has_every_variable():
    empty = template.of_server(facts.Facts())
    assert set(empty) == template.NAMES
    assert set(empty.values()) == {''}


def test_lists_are_words():
    network = facts.Network(('m1', 'm2'), ('a1', 'a2'), ('r1',), ('d',), 1400)
    values = template.of_server(facts.Facts(network=network))
    assert values['HEPIX_SERVER_MACS'] == 'm1 m2'
    assert values['HEPIX_SERVER_ADDRESSES'] == 'a1 a2'
    assert values['HEPIX_SERVER_MTU'] == '1400'


def test_lists_that_users_make_long_are_cut_between_words():
    routes = tuple(f'2001:db8:{n:x}::/64,2001:db8::1' for n in range(9000))
    value = template.of_server(facts.Facts(network=facts.Network(
        routes=routes)))['HEPIX_SERVER_ROUTES']
    kept = tuple(value.split())
    assert kept == routes[:len(kept)]
    assert len(' '.join(routes[:len(kept) + 1])) > template.MAX_VALUE
    assert shown(['sh'], value) == value


def test_a_script_may_have_a_value_of_its_own():
    script = (b'#!/bin/sh\n# HEPIX_SITE_A\n: "${HEPIX_SITE_A:=}" '
              b'${HEPIX_SITE_B-x} ${HEPIX_SITE_C:+y} $HEPIX_SITE_D '
              b'${HEPIX_SITE_E} ${HEPIX_SITE_F%x}')
    assert template.optional(script) == {
        'HEPIX_SITE_A', 'HEPIX_SITE_B', 'HEPIX_SITE_C'}


def test_the_host_is_no_variable():
    # Nova hides the names of compute hosts from users.
    values = template.of_server(facts.Facts(host='compute1'))
    assert 'compute1' not in values.values()


def test_with_dhcp_the_first_address_is_all_there_is():
    alone = facts.Facts(fixed_address='192.0.2.7')
    assert template.of_server(alone)['HEPIX_SERVER_ADDRESSES'] == '192.0.2.7'
    both = alone._replace(network=facts.Network(addresses=('192.0.2.5/24',)))
    assert template.of_server(both)[
        'HEPIX_SERVER_ADDRESSES'] == '192.0.2.5/24'


def test_variables_are_found_in_every_language():
    script = (b'#!/bin/sh\n'
              b'echo "$HEPIX_SERVER_NAME ${HEPIX_SITE_LOG:-x}"\n'
              b'python3 -c "import os; os.environ[\'HEPIX_IMAGE_VO\']"\n'
              b'XHEPIX_NO=1; echo MY_HEPIX_NO HEPIX HEPIXNO\n'
              b'# HEPIX_\n')
    assert list(template.mentioned(script)) == [
        (2, 'HEPIX_SERVER_NAME'), (2, 'HEPIX_SITE_LOG'),
        (3, 'HEPIX_IMAGE_VO'), (5, 'HEPIX_')]
