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
from typing import Any

from hepix_vm.context import bundle
from hepix_vm.context.bundle import Bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.facts import Facts
from hepix_vm.context import rules
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context.rules import Rule
from hepix_vm.context import template

# The compiler reads it; a drive is made without.
SiteContext = Any


class ContextSource(abc.ABC):
    """What a plugin of ``hepix_vm.context_sources`` implements."""

    @staticmethod
    @abc.abstractmethod
    def compile(site: SiteContext) -> Any:
        """Return what can be known before there is a server.

        :param site: a :class:`hepix_vm.sitecontext.file.SiteContext`
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


class Directory(ContextSource):
    """The scripts and files that the rules of ``context.yaml`` choose."""

    @staticmethod
    def compile(site: SiteContext) -> Any:
        """Return the rules, and all that they name."""
        return {
            'rules': [[[sorted(wanted) for wanted in rule.match], rule.parts]
                      for rule in site.rules],
            'scripts': {name: content.decode()
                        for name, content in site.scripts.items()},
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


class Template(ContextSource):
    """The variables that the scripts name."""

    @staticmethod
    def compile(site: SiteContext) -> Any:
        """Return the variables of the site."""
        return {**template.of_site(site.variables, template.SITE),
                **template.of_site(site.secrets, template.SECRET)}

    @staticmethod
    def give(compiled: Any, facts: Facts) -> Bundle:
        """Return the file that sets the variables."""
        return Bundle(files={bundle.VARIABLES: bundle.variables_file(
            {**template.of_server(facts), **compiled})})


def _rules(compiled: Any) -> list[Rule]:
    return [Rule(Match(*map(frozenset, match)), Parts(*map(tuple, parts)))
            for match, parts in compiled['rules']]
