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

"""Ordered rules, of which the first that matches counts."""

from collections.abc import Iterable
from typing import TypeVar

_Choice = TypeVar('_Choice')


def in_question(rules: Iterable[tuple[_Choice, bool | None]],
                default: _Choice) -> frozenset[_Choice]:
    """Return what may be chosen, where not everything is known.

    :param rules: what each chooses, and whether it matches; None if it may
    :param default: what is chosen where none matches
    """
    possible = set()
    for choice, matches in rules:
        if matches is not False:
            possible.add(choice)
        if matches:
            return frozenset(possible)
    return frozenset(possible | {default})
