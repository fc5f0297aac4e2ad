#!/usr/bin/env python3
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

"""What the helpers of DevStack cannot do with INI files.

They neither read nor replace values that go over several lines, and cannot say
what an option was before it was set. It needs nothing but the standard
library, since it runs when the package is not there yet, or no longer.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
import re
import sys

_SECTION = re.compile(r'\[([^\]]+)\]\s*$')
_OPTION = re.compile(r'([^\s#;=:\[][^=:]*?)\s*[=:]\s*(.*)$')

# The lines of each option that is there, by section and option: one text for
# each place where it is set.
Options = dict[str, dict[str, list[str]]]
# What was changed in each of them.
Changes = dict[str, dict[str, dict[str, list[str]]]]


class IniFile:
    """An INI file whose other lines stay as they are."""

    def __init__(self, path: str) -> None:
        """Read it.

        :raises OSError: it cannot be read
        """
        self.path = path
        # Of each piece: its section, its option or nothing, its lines.
        self.pieces: list[tuple[str, str, str]] = []
        section, last = '', -1  # the option that may go on, if any
        with open(path, encoding='utf-8') as stream:
            for line in stream:
                header, option = _SECTION.match(line), _OPTION.match(line)
                if header or not line.strip():
                    section = header[1] if header else section
                    last = -1
                elif option:
                    last = len(self.pieces)
                elif line[0] in ' \t' and last >= 0:
                    line = ''.join(piece[2] for piece in self.pieces[last:]
                                   ) + line
                    del self.pieces[last + 1:]
                    self.pieces[last] = (*self.pieces[last][:2], line)
                    continue
                self.pieces.append(
                    (section, option[1] if option else '', line))

    def options(self) -> Options:
        """Return what is set, and the sections."""
        found: Options = {}
        for section, option, lines in self.pieces:
            if section:
                options = found.setdefault(section, {})
                if option:
                    options.setdefault(option, []).append(lines)
        return found

    def replace(self, section: str, option: str,
                lines: Sequence[str]) -> None:
        """Set an option to lines as ``options`` returns them."""
        places = [number for number, piece in enumerate(self.pieces)
                  if piece[:2] == (section, option)]
        if not places:  # below the header, as DevStack does
            places = [number + 1 for number, piece in enumerate(self.pieces)
                      if piece[0] == section][:1]
        if not places:
            self.pieces.append((section, '', f'\n[{section}]\n'))
            places = [len(self.pieces)]
        first = places[0]
        self.pieces = [
            *self.pieces[:first],
            *((section, option, each) for each in lines),
            *(piece for piece in self.pieces[first:]
              if piece[:2] != (section, option))]

    def remove_section(self, name: str) -> None:
        """Remove a section that has nothing but its header."""
        if any(piece[0] == name and piece[2].strip()
               and not _SECTION.match(piece[2]) for piece in self.pieces):
            return
        self.pieces = [piece for piece in self.pieces if piece[0] != name]

    def write(self) -> None:
        """Write it where it was; owner and mode stay."""
        with open(self.path, 'w', encoding='utf-8') as stream:
            stream.writelines(piece[2] for piece in self.pieces)


class Record:
    """What files had before they were changed, kept in a file.

    noted is all of what files had; changed is, of each option that was
    changed since, what it had and what it was given.
    """

    def __init__(self, path: str) -> None:
        """Read it, if it is there."""
        self.path = path
        self.noted: dict[str, Options] = {}
        self.changed: dict[str, Changes] = {}
        if os.path.exists(path):
            with open(path, encoding='utf-8') as stream:
                self.noted, self.changed = json.load(stream)

    def write(self) -> None:
        """Write it anew; only its owner can read it."""
        new = f'{self.path}.new'
        with open(new, 'w', encoding='utf-8',
                  opener=lambda path, flags: os.open(path, flags, 0o600),
                  ) as stream:
            json.dump([self.noted, self.changed], stream)
        os.replace(new, self.path)

    def note(self, paths: Sequence[str]) -> None:
        """Note what files have now, to find what is changed from here on."""
        self.keep()
        for path in paths:
            if os.path.exists(path):
                self.noted[path] = IniFile(path).options()

    def keep(self) -> None:
        """Find what was changed since files were noted."""
        for path, before in self.noted.items():
            now = IniFile(path).options() if os.path.exists(path) else before
            for section in now.keys() | before.keys():
                self._compare(path, section, before.get(section),
                              now.get(section, {}))
        self.noted = {}

    def _compare(self, path: str, section: str,
                 before: Mapping[str, list[str]] | None,
                 now: Mapping[str, list[str]]) -> None:
        for option in now.keys() | (before or {}).keys():
            was, is_now = (before or {}).get(option, []), now.get(option, [])
            if was != is_now:
                # iniset makes lines alike, where there are several.
                was = list(dict.fromkeys(was))
                changed = self.changed.setdefault(path, {}).setdefault(
                    section, {})
                # A section that was not there goes with its last option.
                changed[option] = {
                    'before': was, 'now': is_now,
                    'new': ['section'] if before is None else []}

    def undo(self, path: str, written: str) -> None:
        """Give options what they had, if nobody has set them anew.

        :param written: the file that is written: this one, or its copy
        """
        if not os.path.exists(written):
            return
        file = IniFile(written)
        options = file.options()
        for section, changes in self.changed.get(path, {}).items():
            for option, change in changes.items():
                if options.get(section, {}).get(option, []) == change['now']:
                    file.replace(section, option, change['before'])
            if any(change['new'] for change in changes.values()):
                file.remove_section(section)
        file.write()


def _values(lines: Sequence[str]) -> list[str]:
    """Return values in one line each."""
    found = []
    for text in lines:
        option = _OPTION.match(text.partition('\n')[0])
        rest = [line for line in text.split('\n')[1:]
                if not line.startswith(('#', ';'))]
        found.append(' '.join(' '.join(
            [option[2] if option else '', *rest]).split()))
    return found


def _get(arguments: argparse.Namespace) -> None:
    options = IniFile(arguments.file).options()
    if arguments.record:
        changed = Record(arguments.record).changed.get(arguments.file, {})
        change = changed.get(arguments.section, {}).get(arguments.option)
        now = options.get(arguments.section, {}).get(arguments.option, [])
        if change and change['now'] == now:
            options = {arguments.section: {
                arguments.option: change['before']}}
    for value in _values(options.get(arguments.section, {}).get(
            arguments.option, [])):
        print(value)


def _set(arguments: argparse.Namespace) -> None:
    file = IniFile(arguments.file)
    now = file.options().get(arguments.section, {}).get(arguments.option, [])
    if _values(now) != arguments.values:
        file.replace(arguments.section, arguments.option, [
            f'{arguments.option} = {value}\n' for value in arguments.values])
        file.write()


def _note(arguments: argparse.Namespace) -> None:
    record = Record(arguments.record)
    record.note(arguments.files)
    record.write()


def _keep(arguments: argparse.Namespace) -> None:
    record = Record(arguments.record)
    record.keep()
    record.write()


def _undo(arguments: argparse.Namespace) -> None:
    record = Record(arguments.record)
    record.keep()
    for path in record.changed:
        record.undo(path, path)
    for original, copy in arguments.copy:
        record.undo(original, copy)
    if os.path.exists(record.path):
        os.unlink(record.path)


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    commands = parser.add_subparsers(required=True)
    get = commands.add_parser(
        'get', help='print each value of an option in a line')
    get.add_argument('--before', metavar='RECORD', dest='record',
                     help='print what it was before the changes there')
    for name in ('file', 'section', 'option'):
        get.add_argument(name)
    get.set_defaults(run=_get)
    set_ = commands.add_parser(
        'set', help='set an option to a value, or to several, each in a line')
    for name in ('file', 'section', 'option'):
        set_.add_argument(name)
    set_.add_argument('values', nargs='+')
    set_.set_defaults(run=_set)
    note = commands.add_parser(
        'note', help='note what files have, before they are changed')
    note.add_argument('record')
    note.add_argument('files', nargs='+')
    note.set_defaults(run=_note)
    keep = commands.add_parser(
        'keep', help='keep what was changed since then')
    keep.add_argument('record')
    keep.set_defaults(run=_keep)
    undo = commands.add_parser(
        'undo', help='take back what was changed, and remove the record')
    undo.add_argument('record')
    undo.add_argument('--copy', nargs=2, action='append', default=[],
                      metavar=('FILE', 'COPY'),
                      help='take the changes of FILE back in COPY as well')
    undo.set_defaults(run=_undo)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (OSError, ValueError) as error:
        print(f'inifile: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
