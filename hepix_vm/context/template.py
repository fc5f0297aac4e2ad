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

"""The variables by which scripts learn of their server and their site.

A script is never changed: it names variables, and they are set before it
runs. A value is data for the shell that sets it and for the script that
uses it, so a server's name cannot become a command, wherever in a script
it is used (doc/adr/0013).
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import re

from hepix_vm.context.facts import Facts
from hepix_vm.errors import ContextError

PREFIX = 'HEPIX_'
SITE = f'{PREFIX}SITE_'
SECRET = f'{PREFIX}SECRET_'
MAX_VALUE = 32768  # bytes

# With a value for where there is none: POSIX 2.6.2.
_OPTIONAL = re.compile(rb'\$\{(HEPIX_[A-Za-z0-9_]+):?[-=+]')
_MENTIONED = re.compile(rb'(?<![A-Za-z0-9_])HEPIX_[A-Za-z0-9_]*')


def of_server(facts: Facts) -> dict[str, str]:
    """Return the variables that every server has, known or empty."""
    network, image = facts.network, facts.image
    return {
        f'{PREFIX}{name}': value for name, value in (
            ('SERVER_UUID', facts.uuid),
            ('SERVER_NAME', facts.name),
            ('SERVER_HOSTNAME', facts.hostname),
            ('SERVER_PROJECT', facts.project),
            ('SERVER_ZONE', facts.zone),
            ('SERVER_INDEX', facts.launch_index),
            ('SERVER_MACS', _words(network.macs)),
            ('SERVER_ADDRESSES',
             _words(network.addresses) or facts.fixed_address),
            ('SERVER_ROUTES', _words(network.routes)),
            ('SERVER_DNS', _words(network.dns)),
            ('SERVER_MTU', str(network.mtu or '')),
            ('IMAGE_UUID', image.uuid),
            ('IMAGE_IDENTIFIER', image.identifier),
            ('IMAGE_ENDORSER', image.endorser),
            ('IMAGE_VO', image.vo))}


def of_site(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return variables of the site, as scripts name them.

    :param values: by their names in ``context.yaml``
    :param prefix: :data:`SITE` or :data:`SECRET`
    """
    return {prefix + key.upper(): value for key, value in values.items()}


def mentioned(script: bytes) -> Iterator[tuple[int, str]]:
    """Return the variables of ours that a script names, with their lines.

    Every word that begins with :data:`PREFIX` is one, in whatever
    language and wherever it stands.

    :returns: pairs of line, counted from 1, and name
    """
    for found in _MENTIONED.finditer(script):
        yield (script.count(b'\n', 0, found.start()) + 1,
               found.group().decode())


def optional(script: bytes) -> set[str]:
    """Return the variables for which a script has a value of its own.

    Those that it uses at least once as ``${NAME:-value}``, with or without
    the colon, or with ``=`` or ``+`` in place of the dash.
    """
    return {name.decode() for name in _OPTIONAL.findall(script)}


def assignments(variables: Mapping[str, str]) -> bytes:
    """Return variables as a file that a shell reads.

    :raises ContextError: a value is longer than :data:`MAX_VALUE`, or
        cannot be the value of a variable
    """
    return ''.join(
        f'export {name}={_quoted(name, value)}\n'
        for name, value in variables.items()).encode()


def _words(values: Iterable[str]) -> str:
    """Return as many as fit: users make networks, and need no more."""
    words, size = [], -1
    for value in values:
        size += 1 + len(value.encode(errors='replace'))
        if size > MAX_VALUE:
            break
        words.append(value)
    return ' '.join(words)


def _quoted(name: str, value: str) -> str:
    """Return a value as one word of a shell, whatever is in it.

    POSIX 2.2.2: in single quotes every character stands for itself, and
    there can be no single quote.
    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ContextError(
            f'The value of {name} is not Unicode text.') from None
    if '\0' in value:
        raise ContextError(f'The value of {name} has a NUL in it.')
    if size > MAX_VALUE:
        raise ContextError(f'The value of {name} is {size} bytes long; at '
                           f'most {MAX_VALUE} are possible.')
    return "'" + value.replace("'", "'\\''") + "'"


# Those that every server has.
NAMES = frozenset(of_server(Facts()))
