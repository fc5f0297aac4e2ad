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

"""What everybody in a server may see, and what nobody is shown."""

import pytest

from hepix_vm import config
from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import sources

FACTS = Facts(uuid='u', project='p', image=Image('i', 'x', 'e', 'vo'))


@pytest.fixture
def public(site):
    """Write context.yaml with one rule, and return what it gives."""
    def public(facts=FACTS, match=None, **keys):
        parts = {kind: keys.pop(kind) for kind in (
            'prolog', 'epilog', 'files') if kind in keys}
        site.write_context(
            rules=[{'match': match or {}, **parts}], **keys)
        return compiler.compile_context(config.load()).public(facts)
    return public


def test_scripts_files_and_variables(site, public):
    site.write_script('a.sh')
    site.write_script('b.sh')
    site.write_script('data', 'data', 0o644)
    given = public(prolog=['a.sh'], epilog=['b.sh'], files=['data'],
                   variables={'squid': 's'})
    assert (list(given.prolog), list(given.epilog)) == (['a.sh'], ['b.sh'])
    assert given.files['files/data'].content == b'data'
    variables = given.files['variables.sh'].content
    assert b"export HEPIX_SITE_SQUID='s'\n" in variables
    assert b"export HEPIX_IMAGE_VO='vo'\n" in variables


def test_secrets_are_no_variables(site, public):
    site.write_script('a.sh')
    given = public(prolog=['a.sh'], variables={'squid': 's'},
                   secrets={'password': 'hunter2'})
    assert b'hunter2' not in repr(given).encode()
    assert b'SECRET' not in given.files['variables.sh'].content
    # The drive has them, where a script names them.
    site.write_script('a.sh', '#!/bin/sh\n# ${HEPIX_SECRET_PASSWORD}\n')
    found = compiler.compile_context(config.load()).context(FACTS)
    assert b"export HEPIX_SECRET_PASSWORD='hunter2'\n" in (
        found.files['variables.sh'].content)


def test_a_script_that_names_a_secret_is_left_out(site, public):
    site.write_script('a.sh', '#!/bin/sh\n# ${HEPIX_SECRET_PASSWORD}\n')
    site.write_script('b.sh')
    given = public(prolog=['a.sh', 'b.sh'], epilog=['b.sh', 'a.sh'],
                   secrets={'password': 'hunter2'})
    assert (list(given.prolog), list(given.epilog)) == (['b.sh'], ['b.sh'])


@pytest.mark.parametrize('mode', [0o700, 0o750, 0o600])
def test_what_only_some_may_read_is_left_out(site, public, mode):
    site.write_script('a.sh', mode=mode)
    site.write_script('b.sh')
    site.write_script('data', 'data', mode & 0o640)
    given = public(prolog=['a.sh', 'b.sh'], epilog=['b.sh', 'a.sh'],
                   files=['data'])
    assert (list(given.prolog), list(given.epilog)) == (['b.sh'], ['b.sh'])
    assert list(given.files) == ['variables.sh']
    found = compiler.compile_context(config.load()).context(FACTS)
    assert list(found.prolog) == ['a.sh', 'b.sh']
    assert 'files/data' in found.files


@pytest.mark.parametrize(('match', 'applies'), [
    ({}, True), ({'vo': 'vo'}, True), ({'image': 'x'}, True),
    ({'image': 'i'}, True), ({'project': 'p'}, True), ({'vo': 'w'}, False),
    ({'host': 'h'}, False), ({'availability_zone': 'nova'}, False),
    ({'vo': 'vo', 'host': 'h'}, False)])
def test_rules_by_what_is_known_here(site, public, match, applies):
    site.write_script('a.sh')
    given = public(match=match, prolog=['a.sh'])
    assert bool(given.prolog) is applies


def test_a_source_shows_nothing_unless_it_says_so():
    class Certificate(sources.ContextSource):
        @staticmethod
        def compile(site):
            """Return nothing."""

        @staticmethod
        def give(compiled, facts):
            """Return what is secret."""
            return sources.Bundle(files={'key': sources.File(b'key')})

    assert Certificate.public(None, FACTS) == sources.Bundle()


def test_a_change_is_noticed(site, public):
    site.write_script('a.sh')
    public(prolog=['a.sh'])
    found = compiler.compile_context(config.load())
    assert found.current()
    (site.scripts / 'a.sh').chmod(0o700)
    assert not found.current()
