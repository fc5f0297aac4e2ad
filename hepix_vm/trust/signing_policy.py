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

"""What a CA may sign, as a folder of trust anchors says.

Two kinds of file say it: the Globus ``.signing_policy`` (an EACL, see
http://dev.globus.org/wiki/Signing_Policy) and the ``.namespaces`` of the
EUGridPMA (Namespaces Format Specification). Which CA a file speaks of is
what the file says inside, not how it is called: files of a CA lie in the
folder under its hash and under its alias, and those of a root often speak
of the CAs below it.

Both are read strictly. A statement that is not understood may be the one
that forbids, so it makes the file unusable, and with it the CA.
"""

import dataclasses
import re

from cryptography import x509

from hepix_vm.errors import MalformedError
from hepix_vm.trust import names

_COMMENT = '#'
_LONGEST_NAME = 1024  # characters of a subject; longer ones match nothing
_STATEMENT = re.compile(r'(\w+)\s+(\w+)\s+(\S.*)')
_QUOTED = re.compile(r'"([^"]*)"')
_NAMESPACE = re.compile(
    r'TO\s+Issuer\s*(?:"((?:[^"\\]|\\.)*)"|SELF)\s*(PERMIT|DENY)\s+'
    r'Subject\s*"((?:[^"\\]|\\.)*)"\s*(?:#.*)?', re.IGNORECASE)
_REPEATED_GROUP = re.compile(r'(?<!\\)(?:\\\\)*\)[*+{]')
_EXTENSION = re.compile(r'\(\?')
# Finds of whom a file speaks that cannot be read otherwise.
_MENTIONED = re.compile(
    r'''(?:access_id_CA\s+X509|TO\s+Issuer)\s*['"](/[^'"\n]*)''',
    re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One statement of a policy.

    :param issuer: the CA's one-line name; None for the CA whose file it
        is (``SELF``)
    :param permits: False for a rule that denies
    """

    issuer: str | None
    permits: bool
    subject: re.Pattern[str]


@dataclasses.dataclass(frozen=True)
class PolicyFile:
    """All rules of one file.

    :param name: one of the names that the file has in the folder
    :param stems: its names without their suffix
    """

    name: str
    stems: frozenset[str]
    rules: tuple[Rule, ...]

    def about(self, issuer: frozenset[str],
              stems: frozenset[str] = frozenset()) -> tuple[Rule, ...]:
        """Return the rules that speak of a CA.

        :param issuer: the spellings of its name
        :param stems: the names of the CA's files without their suffix
        """
        return tuple(
            rule for rule in self.rules
            if (self.stems & stems if rule.issuer is None
                else rule.issuer in issuer))


def permits(rules: tuple[Rule, ...], subject: x509.Name) -> bool:
    """Return whether rules let their CA sign for a subject.

    What no rule permits is denied, and a rule that denies outweighs any
    that permits. A subject matches if one of its spellings does; to permit,
    it must be one that is of no other name.
    """
    spellings = {True: names.unmistakable(subject),
                 False: names.spellings(subject)}
    # The patterns are the operator's, the name is not.
    if any(len(spelling) > _LONGEST_NAME for spelling in spellings[False]):
        return False
    verdicts = [rule.permits for rule in rules if any(
        map(rule.subject.fullmatch, spellings[rule.permits]))]
    return bool(verdicts) and all(verdicts)


def mentioned(data: bytes) -> tuple[str, ...]:
    """Return the CAs that a file that cannot be read seems to speak of."""
    return tuple(_MENTIONED.findall(_decode(data)))


def parse(name: str, stems: frozenset[str], data: bytes) -> PolicyFile:
    """Read a ``.signing_policy`` or ``.namespaces`` file.

    :param name: its name, which tells which of the two it is
    :param stems: all its names without their suffix
    :raises MalformedError: when any statement is not understood
    """
    read = (_Eacl().read if name.endswith('.signing_policy')
            else _read_namespaces)
    return PolicyFile(name, stems, tuple(read(_decode(data))))


def _decode(data: bytes) -> str:
    """Return the text; comments of old files are in Latin 1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode('latin-1')


class _Eacl:
    """Reads a signing policy, statement by statement."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._issuers: list[str] = []
        self._last = ''

    def read(self, text: str) -> list[Rule]:
        for number, line in enumerate(text.split('\n'), 1):
            statement = line.strip()
            if statement and not statement.startswith(_COMMENT):
                self._statement(number, statement)
        if self._last not in ('', 'cond_subjects'):
            raise MalformedError(f'It ends after {self._last}.')
        return self._rules

    def _statement(self, number: int, statement: str) -> None:
        match = _STATEMENT.fullmatch(statement)
        keyword, authority, value = match.groups() if match else ('', '', '')
        if (keyword, authority) == ('access_id_CA', 'X509') and (
                self._last != 'pos_rights'):
            if self._last == 'cond_subjects':
                self._issuers = []
            self._issuers.append(_unquoted(value))
        elif (keyword, authority, value) == (
                'pos_rights', 'globus', 'CA:sign') and (
                self._last in ('access_id_CA', 'cond_subjects')):
            pass  # what follows says for whom
        elif (keyword, authority) == ('cond_subjects', 'globus') and (
                self._last in ('pos_rights', 'cond_subjects')):
            self._add(value)
        else:
            raise MalformedError(
                f'Line {number} is not understood: {statement[:80]!r}.')
        self._last = keyword

    def _add(self, value: str) -> None:
        self._rules += [
            Rule(issuer, True, _glob(subject))
            for subject in _subjects(_unquoted(value))
            for issuer in self._issuers]


def _unquoted(value: str) -> str:
    """Return a value without the quotes around it, if there are any."""
    quote, inner = value[0], value[1:-1]
    if len(value) > 2 and value[-1] == quote and (
            quote == '\'' or (quote == '"' and quote not in inner)):
        return inner
    return value


def _subjects(value: str) -> list[str]:
    """Return the globs of a condition, each in double quotes or alone."""
    if '"' not in value:
        return [value]
    if _QUOTED.sub('', value).strip():
        raise MalformedError(f'The subjects {value[:80]!r} are not a list of '
                             'names in double quotes.')
    return _QUOTED.findall(value)


def _read_namespaces(text: str) -> list[Rule]:
    """Read the namespaces format; a backslash continues a line."""
    rules: list[Rule] = []
    statement = ''
    for number, line in enumerate(text.split('\n'), 1):
        stripped = line.strip()
        if not statement and stripped.startswith(_COMMENT):
            continue
        statement += stripped.removesuffix('\\') + ' '
        if stripped.endswith('\\'):
            continue
        if statement.strip():
            rules.append(_namespace(number, statement.strip()))
        statement = ''
    if statement:
        raise MalformedError('It ends within a statement.')
    return rules


def _namespace(number: int, statement: str) -> Rule:
    match = _NAMESPACE.fullmatch(statement)
    if match is None:
        raise MalformedError(
            f'Line {number} is not understood: {statement[:80]!r}.')
    issuer, verb, subject = match.groups()
    return Rule(issuer, verb.upper() == 'PERMIT', _regex(subject))


def _glob(source: str) -> re.Pattern[str]:
    """Return the pattern for a glob: ``*`` is any text, ``?`` any letter.

    What stands between two stars is looked for once and kept where it is
    first found, so that a name cannot make the search try again and again.
    """
    first, *others = (re.escape(piece).replace(re.escape('?'), '.')
                      for piece in source.split('*'))
    if others:
        first += ''.join(f'(?>.*?{piece})' for piece in others[:-1])
        first += '.*' + others[-1]
    return re.compile(first, re.DOTALL)


def _regex(source: str) -> re.Pattern[str]:
    """Return the pattern for a regular expression.

    A group that is repeated, as in ``(a+)+b``, is not accepted: a name of
    forty letters can keep the search busy for years.
    """
    if _REPEATED_GROUP.search(source) or _EXTENSION.search(source):
        raise MalformedError(
            f'The pattern {source[:80]!r} repeats a group, or uses (?...), '
            'which is not supported.')
    try:
        return re.compile(source, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise MalformedError(
            f'The pattern {source[:80]!r} is not understood: {error}.',
        ) from error
