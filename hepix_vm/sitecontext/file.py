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

"""Reading ``context.yaml`` and the scripts that it names.

The scripts are in the folder ``context/`` beside it.
"""

from collections.abc import Mapping
import os
import re
import stat
from typing import NamedTuple

from hepix_vm.context import bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.rules import Match
from hepix_vm.context.rules import Parts
from hepix_vm.context.rules import Rule
from hepix_vm.context import template
from hepix_vm.errors import ConfigError
from hepix_vm.errors import ContextError
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext.compiled import Settings
from hepix_vm.sitecontext.compiled import Stamp
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

FOLDER = 'context'

_VARIABLE = re.compile(r'[a-z][a-z0-9_]{0,63}')
# As Keystone makes the ids of projects.
_PROJECT = re.compile(r'[0-9a-f]{32}')


class SiteContext(NamedTuple):
    """What a site tells its servers.

    :param variables: by their names in the file
    :param secrets: the same, for the drive only
    :param scripts: those that a rule names
    :param files: those that a rule names
    :param stamps: the state of all files before they were read
    :param hostcert: what stands under ``hostcert``
    :param settings: of the making of drives, where there are any
    :param private: scripts that only some may read on this host
    """

    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    rules: tuple[Rule, ...]
    scripts: Mapping[str, bytes]
    files: Mapping[str, File]
    stamps: list[Stamp]
    hostcert: Node | None
    settings: Settings | None = None
    private: frozenset[str] = frozenset()


def read(path: str) -> SiteContext:
    """Read ``context.yaml`` and all that it names.

    :raises ConfigError: something cannot be read, is not of the schema, or
        could not run in a guest
    """
    stamps = [compiled.stamp(path)]
    root = yamlfile.parse(_content(path, bundle.MAX_SCRIPT)[0], path)
    if root.value is None:
        # What is left where a disk was full, or is half of a file.
        raise ConfigError('It is empty.', path, remedy='Write it; a site '
                          'that tells its servers nothing writes {}.')
    keys = root.mapping({'variables', 'secrets', 'rules', 'hostcert'})
    empty = Node({}, path, root.line)
    variables = _variables(keys.get('variables', empty), template.SITE)
    secrets = _variables(keys.get('secrets', empty), template.SECRET)
    nodes = keys['rules'].items() if 'rules' in keys else []
    known = {*template.NAMES, *template.of_site(variables, template.SITE),
             *template.of_site(secrets, template.SECRET)}
    folder = _Folder(os.path.join(os.path.dirname(path), FOLDER))
    scripts = folder.read(nodes, bundle.MOMENTS)
    for name, file in scripts.items():
        try:
            bundle.check_script(name, file.content, known)
        except ContextError as error:
            raise ConfigError(error.message, folder.path(name),
                              remedy=error.remedy) from error
    return SiteContext(
        variables, secrets, tuple(map(_rule, nodes)),
        {name: file.content for name, file in scripts.items()},
        folder.read(nodes, ('files',)), [*stamps, *folder.stamps],
        keys.get('hostcert'),
        private=frozenset(name for name, file in scripts.items()
                          if not file.mode & 0o004))


def looks_like_a_project(text: str) -> bool:
    """Return whether a text may be the id of a project."""
    return bool(_PROJECT.fullmatch(text))


def _variables(node: Node, prefix: str) -> dict[str, str]:
    values = {}
    for name, value in node.mapping().items():
        if not _VARIABLE.fullmatch(name):
            raise value.error(
                f'{name} cannot be the name of a variable: small letters, '
                f'digits and underlines are possible, at most 64, the first '
                f'a letter.')
        if value.value is None or isinstance(value.value, dict | list):
            raise value.error('A text or a number is expected here; the '
                              'empty text is written as two quotes.')
        values[name] = value.written
        try:
            template.assignments(template.of_site({name: value.written},
                                                  prefix))
        except ContextError as error:
            raise value.error(error.message) from error
    return values


def _rule(node: Node) -> Rule:
    keys = node.mapping({'match', *Parts._fields}, required=('match',))
    matched = keys['match']
    if matched.value is None:
        # A comment sign too many, and the parts of a VO would be everybody's.
        raise matched.error('A mapping is expected here; for every server '
                            'write {}.')
    wanted = matched.mapping(set(Match._fields))
    return Rule(
        Match(**{key: _words(value) for key, value in wanted.items()}),
        Parts(**{kind: tuple(item.text() for item in keys[kind].items())
                 for kind in Parts._fields if kind in keys}))


def _words(node: Node) -> frozenset[str]:
    items = node.items() if isinstance(node.value, list) else [node]
    if not items:
        raise node.error('A text, or a list of texts, is expected here.')
    return frozenset(item.text() for item in items)


class _Folder:
    """The folder of the parts."""

    def __init__(self, path: str) -> None:
        # As it is named: the state of a part is also that of the links on
        # the way to it, which another release may be put in place by.
        self._path = path
        self.stamps: list[Stamp] = []

    def path(self, name: str) -> str:
        """Return where a part is."""
        return os.path.join(self._path, name)

    def read(self, rules: list[Node], kinds: tuple[str, ...],
             ) -> dict[str, File]:
        """Return the parts of some kinds that the rules name."""
        parts: dict[str, File] = {}
        for rule in rules:
            keys = rule.mapping()
            for kind in kinds:
                for item in keys[kind].items() if kind in keys else []:
                    name = item.text()
                    if name not in parts:
                        parts[name] = self._part(item, name)
        return parts

    def _part(self, node: Node, name: str) -> File:
        try:
            bundle.check_name(name)
        except ContextError as error:
            raise node.error(error.message) from error
        path = self.path(name)
        if not os.path.realpath(path).startswith(
                os.path.realpath(self._path) + os.sep):
            raise node.error(f'{path} is a link that leaves the folder; copy '
                             f'the file into it.')
        if not os.path.lexists(path):
            raise node.error(f'There is no {path}.')
        self.stamps.append(compiled.stamp(path))
        content, mode = _content(path, bundle.MAX_SCRIPT)
        return File(content, _mode(path, mode))


def _mode(path: str, mode: int) -> int:
    """Return the permissions in a guest.

    What only some may read on this host is root's alone in a guest.
    """
    if mode & 0o002:
        raise ConfigError(
            'Everybody may write it, and it runs as root in every server.',
            path, remedy='Take that away: chmod o-w.')
    runnable = 0o755 if mode & 0o100 else 0o644
    return runnable if mode & 0o004 else runnable & 0o700


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe would let it wait."""
    return os.open(path, flags | os.O_NONBLOCK)


def _content(path: str, limit: int) -> tuple[bytes, int]:
    """Return what is in a file, and its mode.

    Both are of one and the same file, whatever is put in its place
    meanwhile: a secret with the mode of what followed it would be public.
    """
    try:
        with open(path, 'rb', opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError('This is no file.', path)
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(
            f'It cannot be read: {error.strerror}.', path, remedy=(
                'Write it (etc/hepix_vm/context.yaml of the source is a '
                'sample), or set [hepix_vm] context_file.'
                if isinstance(error, FileNotFoundError)
                else 'Let the user of nova-compute read it.')) from error
    if len(content) > limit:
        raise ConfigError(f'It is longer than {limit} bytes.', path)
    return content, mode
