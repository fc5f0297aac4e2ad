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

"""Which parts a server gets: the ordered rules of a site."""

from collections.abc import Iterable
from typing import NamedTuple

from hepix_vm.context.facts import Facts


class Match(NamedTuple):
    """What a server must be for a rule to apply; what is empty matches all.

    :param project: ids of projects
    :param image: identifiers of images, Glance's or those of endorsements
    :param host: names of compute hosts
    """

    project: frozenset[str] = frozenset()
    vo: frozenset[str] = frozenset()
    image: frozenset[str] = frozenset()
    availability_zone: frozenset[str] = frozenset()
    host: frozenset[str] = frozenset()

    def applies(self, facts: Facts) -> bool:
        """Say whether a server is meant; what is unknown matches nothing."""
        known = (
            {facts.project}, {facts.image.vo},
            {facts.image.uuid, facts.image.identifier},
            {facts.zone}, {facts.host})
        return all(not wanted or wanted & values - {''}
                   for wanted, values in zip(self, known, strict=True))


class Parts(NamedTuple):
    """Names of files in the folder of the site's context, in their order."""

    prolog: tuple[str, ...] = ()
    epilog: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Rule(NamedTuple):
    """What servers get for which it applies."""

    match: Match
    parts: Parts


def parts_for(rules: Iterable[Rule], facts: Facts) -> Parts:
    """Return what all rules that apply give, each part once."""
    chosen = [rule.parts for rule in rules if rule.match.applies(facts)]
    return Parts(*(
        tuple(dict.fromkeys(name for parts in chosen for name in parts[kind]))
        for kind in range(len(Parts._fields))))
