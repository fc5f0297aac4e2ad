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

"""Reads the answers of a cloud for exercise.sh; each is a file in JSON."""

from collections.abc import Callable
from collections.abc import Iterator
import json
import os
import pathlib
import re
import sys
from typing import Any

_LONGEST = 400  # characters of a message
_MESSAGE = re.compile(r'"message": *("(?:[^"\\]|\\.)*")')


def values(document: Any, path: str) -> list[Any]:
    """Return what a document has at a path, such as ``images.*.id``."""
    found = [document]
    for key in path.split('.'):
        if key == '*':
            found = [each for one in found if isinstance(one, list)
                     for each in one]
        else:
            found = [one[key] for one in found
                     if isinstance(one, dict) and one.get(key) is not None]
    return found


def fields(text: str, *paths: str) -> Iterator[str]:
    """Say what is there, each value in a line."""
    document = json.loads(text or 'null')
    for path in paths:
        yield from map(str, values(document, path))


def message(text: str) -> Iterator[str]:
    """Say in one line what is wrong, or all of an answer without that."""
    found = _MESSAGE.search(text)
    yield ' '.join((json.loads(found[1]) if found else text).split())[
        :_LONGEST]


def endpoint(text: str, kind: str) -> Iterator[str]:
    """Say where a service is, by ``openstack catalog list``."""
    for service in json.loads(text):
        for each in service['Endpoints']:
            if (service['Type'] == kind and each['interface'] == 'public'
                    and each['region'] == os.environ.get(
                        'OS_REGION_NAME', each['region'])):
                yield each['url'].rstrip('/')
                return


def quoted(text: str) -> Iterator[str]:
    """Return a text as JSON has it."""
    yield json.dumps(text)


def main(command: str, path: str, *arguments: str) -> None:
    """Print what a command finds in a file; nothing if it is no JSON."""
    commands: dict[str, Callable[..., Iterator[str]]] = {
        'fields': fields, 'message': message, 'endpoint': endpoint,
        'quoted': quoted}
    text = pathlib.Path(path).read_text(errors='replace')
    try:
        for line in commands[command](text, *arguments):
            print(line)
    except ValueError:
        return


if __name__ == '__main__':
    main(*sys.argv[1:])
