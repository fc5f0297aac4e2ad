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

"""Completion in bash, by what ``openstack complete`` prints."""

import subprocess

import pytest

from tests.testbed.openstack import OpenStack

# Of the package bash-completion, for words without colons.
_WORDS = """
_get_comp_words_by_ref() {
    words=("${COMP_WORDS[@]}")
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
}
"""
_COMPLETE = """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_openstack
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope='module')
def script():
    ran = OpenStack(None)('complete --name openstack')
    assert ran.status == 0, ran.err
    return ran.out


@pytest.mark.parametrize(('typed', 'offered'), [
    ('image endorsement ', {'audit', 'create', 'list', 'renew', 'revoke',
                            'set', 'show', 'verify'}),
    ('image catalog ', {'list', 'publish', 'show', 'sync', 'verify'}),
    ('image end', {'endorsement', 'endorser'}),
    ('server context ', {'show'}),
    ('image catalog sync --dr', {'--dry-run'}),
    ('image endorsement create --image-v', {'--image-version'}),
    ('server context show --av', {'--availability-zone'}),
])
def test_what_bash_offers(script, typed, offered):
    done = subprocess.run(
        ['bash', '--norc', '-s', '--', 'openstack', *typed.split(' ')],
        input=f'{_WORDS}{script}{_COMPLETE}', capture_output=True,
        text=True, timeout=60, check=True)
    assert set(done.stdout.split()) == offered
