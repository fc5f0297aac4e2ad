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

"""Patterns for subject names, matched in bounded time.

Python's own ``re`` tries alternatives one after the other, and a pattern
such as ``(a*)*b`` can keep it busy for years with a name of forty letters.
Here all positions that a pattern can have reached are followed at once, so
the work is bounded by the product of both lengths, a little more inside a
group.
"""

from collections.abc import Callable
from collections.abc import Set
import dataclasses
from typing import Protocol

from hepix_vm.errors import MalformedError

MAX_TEXT = 1024  # characters of a subject; longer ones match nothing
MAX_PATTERN = 1024  # characters
_QUANTIFIERS = '*+?'
_SPECIAL = r'\.[]()|*+?^$/-"#{}'
_END = ''


class _Node(Protocol):
    def ends(self, text: str, starts: Set[int]) -> Set[int]:
        """Return where a match may end that begins at one of `starts`."""


@dataclasses.dataclass(frozen=True)
class _Char:
    accepts: Callable[[str], bool]

    def ends(self, text: str, starts: Set[int]) -> Set[int]:
        return {i + 1 for i in starts
                if i < len(text) and self.accepts(text[i])}


@dataclasses.dataclass(frozen=True)
class _Sequence:
    nodes: tuple[_Node, ...]

    def ends(self, text: str, starts: Set[int]) -> Set[int]:
        for node in self.nodes:
            starts = node.ends(text, starts)
        return starts


@dataclasses.dataclass(frozen=True)
class _Choice:
    nodes: tuple[_Node, ...]

    def ends(self, text: str, starts: Set[int]) -> Set[int]:
        return {end for node in self.nodes
                for end in node.ends(text, starts)}


@dataclasses.dataclass(frozen=True)
class _Repeat:
    node: _Node
    quantifier: str

    def ends(self, text: str, starts: Set[int]) -> Set[int]:
        new = self.node.ends(text, starts)
        reached = set(new) if self.quantifier == '+' else new | starts
        while new and self.quantifier != '?':
            new = self.node.ends(text, new) - reached
            reached |= new
        return reached


@dataclasses.dataclass(frozen=True)
class Pattern:
    """What a whole subject name must look like.

    :param source: the pattern as it was written
    """

    source: str
    node: _Node

    def matches(self, text: str) -> bool:
        """Return whether the pattern covers the text from end to end."""
        return len(text) <= MAX_TEXT and (
            len(text) in self.node.ends(text, {0}))


def glob(source: str) -> Pattern:
    """Return the pattern for a glob of a Globus signing policy.

    ``*`` stands for any text, ``?`` for one character, all else for
    itself; see http://dev.globus.org/wiki/Signing_Policy.

    :raises MalformedError: when it is too long
    """
    _check_length(source)
    return Pattern(source, _Sequence(tuple(map(_glob_node, source))))


def _glob_node(char: str) -> _Node:
    if char == '*':
        return _Repeat(_Char(_anything), '*')
    return _Char(_anything if char == '?' else char.__eq__)


def regex(source: str) -> Pattern:
    """Return the pattern for a regular expression.

    Known are ``.``, ``[...]``, ``*``, ``+``, ``?``, ``|``, one level of
    ``(...)``, and a backslash before what is special. Anything else is
    refused rather than read as something that its writer did not mean.

    :raises MalformedError: for what is not known
    """
    _check_length(source)
    return Pattern(source, _RegexReader(source).read())


def _check_length(source: str) -> None:
    if len(source) > MAX_PATTERN:
        raise MalformedError(f'The pattern {source[:40]!r}... has more than '
                             f'{MAX_PATTERN} characters.')


def _anything(char: str) -> bool:
    return True


class _RegexReader:
    """Reads one regular expression."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def read(self) -> _Node:
        node = self._choice(grouped=False)
        if self._at < len(self._source):
            raise self._error('has no opening')
        return node

    def _error(self, what: str) -> MalformedError:
        return MalformedError(
            f'In the pattern {self._source!r}, what stands at character '
            f'{self._at + 1} {what}.')

    def _peek(self) -> str:
        return self._source[self._at:self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _choice(self, grouped: bool) -> _Node:
        branches = [self._sequence(grouped)]
        while self._peek() == '|':
            self._next()
            branches.append(self._sequence(grouped))
        return _Choice(tuple(branches))

    def _sequence(self, grouped: bool) -> _Node:
        nodes: list[_Node] = []
        while self._peek() not in (_END, '|', ')'):
            node = self._atom(grouped)
            if (quantifier := self._peek()) and quantifier in _QUANTIFIERS:
                self._next()
                node = _Repeat(node, quantifier)
            nodes.append(node)
        return _Sequence(tuple(nodes))

    def _atom(self, grouped: bool) -> _Node:
        char = self._next()
        if char == '(':
            return self._group(grouped)
        if char == '[':
            return _Char(self._class())
        if char == '.':
            return _Char(_anything)
        if char in '*+?{}^$':
            self._at -= 1
            raise self._error('is not supported there')
        return _Char(self._literal(char).__eq__)

    def _literal(self, char: str) -> str:
        """Return the character that is meant by one that was read."""
        if char != '\\':
            return char
        if self._peek() == _END or self._peek() not in _SPECIAL:
            raise self._error('may not follow a backslash')
        return self._next()

    def _group(self, grouped: bool) -> _Node:
        if grouped:
            raise self._error('is a group inside a group')
        node = self._choice(grouped=True)
        if self._next() != ')':
            raise self._error('should be a closing parenthesis')
        return node

    def _class(self) -> Callable[[str], bool]:
        negated = self._peek() == '^'
        if negated:
            self._next()
        ranges: list[tuple[str, str]] = []
        while not ranges or self._peek() != ']':
            low = high = self._class_member()
            if (self._peek() == '-'
                    and self._source[self._at + 1:self._at + 2] != ']'):
                self._next()
                high = self._class_member()
            if low > high:
                raise self._error('ends a range that is empty')
            ranges.append((low, high))
        self._next()
        return lambda char: negated != any(
            low <= char <= high for low, high in ranges)

    def _class_member(self) -> str:
        if self._peek() in (_END, '['):
            raise self._error('does not belong in a class')
        return self._literal(self._next())
