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

"""What is in the files that a plugin changes."""

from collections.abc import Mapping
import pathlib
from typing import Any

# By section, the sorted lines of an option and its values.
Parsed = Mapping[str, list[tuple[str, str]]]


def parsed(path: pathlib.Path) -> Parsed:
    """Read an INI file as services do: in any order, options repeated."""
    sections: dict[str, list[tuple[str, str]]] = {}
    options: list[tuple[str, str]] = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.lstrip().startswith(('#', ';')):
            continue
        if line.startswith('['):
            options = sections.setdefault(line.strip()[1:-1], [])
        elif line[0].isspace():
            name, value = options[-1]
            options[-1] = name, f'{value} {line.strip()}'
        else:
            name, _, value = line.partition('=')
            options.append((name.strip(), value.strip()))
    return {section: sorted(options)
            for section, options in sections.items() if options}


def values(path: pathlib.Path, section: str, option: str) -> list[str]:
    """Return the values of an option, in their order."""
    found = []
    within = ''
    for line in path.read_text().splitlines():
        if line.startswith('['):
            within = line.strip()[1:-1]
        name, equals, value = line.partition('=')
        if within == section and equals and name.strip() == option:
            found.append(value.strip())
    return found


def words(path: pathlib.Path, section: str, option: str) -> list[str]:
    """Return the parts of a list with commas, which is there once."""
    value, = values(path, section, option)
    return [word.strip() for word in value.strip('[]').split(',')]


def tree(folder: pathlib.Path) -> dict[str, Any]:
    """Return what all files of a folder say, by their names."""
    return {str(path.relative_to(folder)): (
        parsed(path) if path.suffix in ('.conf', '.ini')
        else path.read_bytes())
        for path in sorted(folder.rglob('*')) if path.is_file()}
