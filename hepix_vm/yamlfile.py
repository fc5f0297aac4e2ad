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

"""YAML files of the operator's, with a line number in every complaint.

A file is read into :class:`Node` objects that know their line; whoever
reads them asks for what the schema has and is told where something else
stands.
"""

from collections.abc import Collection
import dataclasses
import datetime
import re
from typing import Any

import yaml

from hepix_vm.errors import ConfigError

_TIME = '%Y-%m-%dT%H:%M:%SZ'
# More than a character or two, which say what is wrong.
_QUOTED = re.compile(r"""(['"]).{3,}\1""", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A value in a file.

    :param value: text, number, truth value, None, list of nodes, or
        mapping of key to node
    :param line: counted from 1
    :param written: a text, number or truth value as it stands in the file
    """

    value: Any
    path: str
    line: int
    written: str = ''

    def error(self, message: str) -> ConfigError:
        """Return an error that names the file and the line."""
        return ConfigError(message, self.path, self.line)

    def mapping(self, known: Collection[str] | None = None,
                required: Collection[str] = ()) -> dict[str, 'Node']:
        """Return it as a mapping.

        :param known: the keys that it may have; None allows any
        :param required: the keys that it must have
        :raises ConfigError: it is no mapping, or has other keys
        """
        if not isinstance(self.value, dict):
            raise self.error('A mapping (key: value) is expected here.')
        for key, node in self.value.items():
            if known is not None and key not in known:
                raise node.error(f'The key {key} is unknown; known are '
                                 f'{", ".join(sorted(known))}.')
        for key in required:
            if key not in self.value:
                raise self.error(f'The key {key} is missing.')
        return self.value

    def items(self) -> list['Node']:
        """Return it as a list; nothing is an empty list."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise self.error('A list is expected here.')
        return self.value

    def text(self) -> str:
        """Return it as a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error('A text is expected here.')
        return self.value

    def number(self, least: int = 1) -> int:
        """Return it as a whole number.

        :param least: the smallest that may stand there
        """
        # A truth value is a number to Python.
        if type(self.value) is not int or self.value < least:
            raise self.error(f'A whole number of at least {least} is '
                             f'expected here.')
        return self.value

    def truth(self) -> bool:
        """Return it as a truth value."""
        if not isinstance(self.value, bool):
            raise self.error('true or false is expected here.')
        return self.value

    def choice(self, choices: Collection[str]) -> str:
        """Return it as one of several words."""
        if not isinstance(self.value, str) or self.value not in choices:
            raise self.error(f'One of {", ".join(choices)} is expected '
                             f'here.')
        return self.value

    def time(self) -> datetime.datetime:
        """Return it as a time; a date alone is its first second, UTC."""
        text = self.text()
        for form in (_TIME, '%Y-%m-%d'):
            try:
                return datetime.datetime.strptime(text, form).replace(
                    tzinfo=datetime.UTC)
            except ValueError:
                continue
        raise self.error('A date (2027-03-31) or a time '
                         '(2027-03-31T12:00:00Z) is expected here.')


class _Loader(yaml.SafeLoader):
    """SafeLoader that leaves dates as the text that was written."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers
            if tag != 'tag:yaml.org,2002:timestamp']
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def parse(data: bytes, path: str) -> Node:
    """Read a file.

    :param data: its bytes
    :param path: its name, for messages
    :raises ConfigError: it is not YAML, or a key stands twice
    """
    try:
        loader = _Loader(data)
        try:
            return _node(loader, loader.get_single_node(), path, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f'This is not YAML: {_unquoted(error.problem or "")}.', path,
            mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:
        raise ConfigError(f'This is not YAML: {_unquoted(str(error))}.',
                          path) from error
    except ConfigError:
        raise
    except Exception as error:
        # A value that is not of the type that its tag names.
        raise ConfigError(f'This is not YAML: {type(error).__name__}.',
                          path) from error


def _unquoted(problem: str) -> str:
    """Return what is wrong without quoting the file, which may be secret."""
    return _QUOTED.sub("'...'", problem)


def _node(loader: _Loader, node: yaml.Node | None, path: str,
          above: tuple[yaml.Node, ...]) -> Node:
    if node is None:
        return Node(None, path, 1)
    line = node.start_mark.line + 1
    if node in above:
        raise ConfigError('An alias refers to itself.', path, line)
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        return Node(_pairs(loader, node, path, above), path, line)
    if isinstance(node, yaml.SequenceNode):
        return Node([_node(loader, item, path, above)
                     for item in node.value], path, line)
    return Node(loader.construct_object(node), path, line, node.value)


def _pairs(loader: _Loader, node: yaml.MappingNode, path: str,
           above: tuple[yaml.Node, ...]) -> dict[str, Node]:
    pairs: dict[str, Node] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError('A key must be a word.', path, line)
        key = key_node.value
        if key in pairs:
            raise ConfigError(f'The key {key} stands twice.', path, line)
        value = _node(loader, value_node, path, above)
        pairs[key] = dataclasses.replace(value, line=line)
    return pairs
