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

"""Which mode holds for an image: enforcing, permissive or disabled."""

from collections.abc import Iterable

from hepix_vm.errors import Code
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.rules import in_question
from hepix_vm.trust.settings import ModeRule
from hepix_vm.trust.verdict import Mode


# What somebody decided on an image by name.
_DECIDED = frozenset({Code.IMAGE_BLOCKED, Code.IMAGE_REVOKED,
                      Code.IMAGE_SUPERSEDED})


def mode_for(subject: Subject, rules: Iterable[ModeRule], default: Mode,
             codes: Iterable[Code] = ()) -> Mode:
    """Return the mode that the first matching rule names.

    Not everything is known of every image: who acts for another project
    knows it by its id only, and nobody knows later what roles the uploader
    had. Where a rule may be meant, the strictest of the modes in question
    holds for bytes that come and for servers that boot, and the mildest for
    an image that was let in already: what is not known changes nothing that
    was decided, unless it was decided that the image shall go.

    :param default: the mode where no rule matches
    :param codes: the reasons against the image
    """
    possible = in_question(
        ((rule.mode, _matches(rule, subject)) for rule in rules), default)
    modes = [mode for mode in Mode if mode in possible]
    strict = (subject.moment is not Moment.KEEP
              or not _DECIDED.isdisjoint(codes))
    return modes[0 if strict else -1]


def _matches(rule: ModeRule, subject: Subject) -> bool | None:
    """Return whether a rule speaks of an image; None if it may."""
    answers = []
    if rule.project:
        answers.append(rule.project in subject.projects or (
            False if subject.names_known else None))
    if rule.domain:
        answers.append(_among(rule.domain, subject.domains))
    if rule.role:
        answers.append(_among(rule.role, subject.roles))
    if rule.visibility:
        answers.append(rule.visibility == subject.visibility)
    if False in answers:
        return False
    return None if None in answers else True


def _among(value: str, known: frozenset[str] | None) -> bool | None:
    return None if known is None else value in known
