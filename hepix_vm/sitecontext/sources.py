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

"""Where a server's context comes from.

A source is asked twice: once when the site's files are compiled, for all
that is the same for every server, and then for each server. The second
time is on the way of every boot: what it needs to import, it imports
there.
"""

import abc
import base64
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.facts import Facts
from hepix_vm.context import rules
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context.rules import Rule
from hepix_vm.context import template

if TYPE_CHECKING:
    # The compiler reads it; a drive is made without.
    from hepix_vm.sitecontext.file import SiteContext

_FOR_ALL = 0o004  # everybody may read


class ContextSource(abc.ABC):
    """What a plugin of ``hepix_vm.context_sources`` implements."""

    @staticmethod
    @abc.abstractmethod
    def compile(site: 'SiteContext') -> Any:
        """Return what can be known before there is a server.

        :returns: values that JSON has
        :raises ConfigError: the source cannot work with these settings
        """

    @staticmethod
    @abc.abstractmethod
    def give(compiled: Any, facts: Facts) -> Bundle:
        """Return what a server gets.

        :param compiled: what :meth:`compile` returned
        :raises ContextError: it cannot be made
        """

    @staticmethod
    def public(compiled: Any, facts: Facts) -> Bundle:
        """Return what everybody in the server may see.

        The metadata service shows it to every process of a guest, so it
        has no secrets. By default a source gives nothing.

        :param compiled: what :meth:`compile` returned
        :param facts: without host, zone, name and network
        :raises ContextError: it cannot be made
        """
        del compiled, facts
        return Bundle()


class Directory(ContextSource):
    """The scripts and files that the rules of ``context.yaml`` choose."""

    @staticmethod
    def compile(site: 'SiteContext') -> Any:
        """Return the rules, and all that they name."""
        return {
            'rules': _compiled(site.rules),
            'scripts': {name: content.decode()
                        for name, content in site.scripts.items()},
            'private': sorted({*site.private, *(
                name for name, content in site.scripts.items()
                if _secrets_in(content))}),
            'files': {name: [base64.b64encode(file.content).decode(),
                             file.mode]
                      for name, file in site.files.items()}}

    @staticmethod
    def give(compiled: Any, facts: Facts) -> Bundle:
        """Return what the rules choose."""
        parts = rules.parts_for(_rules(compiled), facts)
        scripts, files = compiled['scripts'], compiled['files']
        return Bundle(
            {name: scripts[name].encode() for name in parts.prolog},
            {name: scripts[name].encode() for name in parts.epilog},
            {f'files/{name}': File(base64.b64decode(files[name][0]),
                                   files[name][1])
             for name in parts.files})

    @staticmethod
    def public(compiled: Any, facts: Facts) -> Bundle:
        """Return what the rules choose and is no secret.

        A script that names a secret could not run without it, and what
        only some may read on this host is not for everybody in a guest.
        """
        given = Directory.give(compiled, facts)
        private = compiled['private']
        return Bundle(
            {name: content for name, content in given.prolog.items()
             if name not in private},
            {name: content for name, content in given.epilog.items()
             if name not in private},
            {path: file for path, file in given.files.items()
             if file.mode & _FOR_ALL})


class Template(ContextSource):
    """The variables that the scripts name."""

    @staticmethod
    def compile(site: 'SiteContext') -> Any:
        """Return the variables of the site, and who names which secrets."""
        return {'variables': template.of_site(site.variables, template.SITE),
                'secrets': template.of_site(site.secrets, template.SECRET),
                'rules': _compiled(site.rules),
                'named': {name: _secrets_in(content)
                          for name, content in site.scripts.items()
                          if _secrets_in(content)}}

    @staticmethod
    def give(compiled: Any, facts: Facts) -> Bundle:
        """Return the file that sets the variables.

        Root in a server has its secrets, so it gets those alone that its
        own scripts name.
        """
        parts = rules.parts_for(_rules(compiled), facts)
        return _setting(facts, {**compiled['variables'], **{
            name: compiled['secrets'][name]
            for script in (*parts.prolog, *parts.epilog)
            for name in compiled['named'].get(script, ())}})

    @staticmethod
    def public(compiled: Any, facts: Facts) -> Bundle:
        """Return the file that sets those that are no secrets."""
        return _setting(facts, compiled['variables'])


def _setting(facts: Facts, of_site: Mapping[str, str]) -> Bundle:
    return Bundle(files={bundle.VARIABLES: bundle.variables_file(
        {**template.of_server(facts), **of_site})})


def _secrets_in(script: bytes) -> list[str]:
    return sorted({name for _, name in template.mentioned(script)
                   if name.startswith(template.SECRET)})


def _compiled(found: Iterable[Rule]) -> Any:
    return [[[sorted(wanted) for wanted in rule.match], rule.parts]
            for rule in found]


def _rules(compiled: Any) -> list[Rule]:
    return [Rule(Match(*map(frozenset, match)), Parts(*map(tuple, parts)))
            for match, parts in compiled['rules']]
