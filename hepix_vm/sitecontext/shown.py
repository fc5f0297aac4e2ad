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

"""What a server would get, for the eyes of operators: without its secrets.

The site is compiled with other values in the place of its secrets, so what
is made of them cannot have them. What somebody wrote into a script besides
is looked for.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import os
import shlex
from typing import NamedTuple

from oslo_config import cfg

from hepix_vm.context import bundle
from hepix_vm.context.bundle import File
from hepix_vm.context.facts import Facts
from hepix_vm import loading
from hepix_vm import opts
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import file
from hepix_vm.sitecontext.file import SiteContext

HIDDEN = '(hidden)'
_FOR_SOME = f'{HIDDEN[:-1]}: only some may read it on this host)'
_BINARY = '(not a text)'
# Characters; less than that is found in many words, and guessed soon.
_LEAST = 4
_FOR_ALL = 0o004  # everybody may read
_FILES = f'{file.FOLDER}/files/'


class Part(NamedTuple):
    """A script or a file.

    :param name: of the part in the folder of the site's context
    :param size: in bytes
    :param mode: the permissions in the server
    """

    name: str
    text: str
    size: int
    mode: int


class Shown(NamedTuple):
    """What a server gets.

    :param variables: those that its scripts have; of secrets the names
    :param not_asked: sources that act when a drive is made
    """

    prolog: tuple[Part, ...]
    epilog: tuple[Part, ...]
    files: tuple[Part, ...]
    variables: Mapping[str, str]
    not_asked: tuple[str, ...]


def read(conf: cfg.ConfigOpts) -> SiteContext:
    """Return the site's context, all of which was checked.

    :param conf: as :func:`hepix_vm.config.load` returns it
    :raises ConfigError: something cannot be read, or is not of its schema
    :raises PluginError: a source is missing or cannot be loaded
    """
    compiler.compile_context(conf)
    return file.read(os.path.abspath(conf[opts.GROUP].context_file))


def show(site: SiteContext, sources: Collection[str],
         facts: Facts) -> Shown:
    """Return what a server gets from the files of the site.

    :param sources: those of ``context_sources``; others than these files
        are not asked, since they may act
    :raises ContextError: it cannot be made
    """
    names = [name for name in sources if name in opts.NEEDED_SOURCES]
    masked = site._replace(secrets=dict.fromkeys(site.secrets, HIDDEN))
    given = bundle.merge(
        source.give(source.compile(masked), facts)
        for source in loading.load(loading.CONTEXT, names))
    drive = bundle.on_drive(given)
    mask = _Mask(site)
    # As a shell in the server reads them.
    words = shlex.split(drive.pop(
        f'{file.FOLDER}/{bundle.VARIABLES}').content.decode())

    def scripts(moment: str) -> tuple[Part, ...]:
        return tuple(
            mask.part(name, drive[f'{file.FOLDER}/{moment}.d/{name}'],
                      name in site.private)
            for name in getattr(given, moment))

    return Shown(
        scripts('prolog'), scripts('epilog'), tuple(
            mask.part(path.removeprefix(_FILES), each,
                      not each.mode & _FOR_ALL)
            for path, each in drive.items() if path.startswith(_FILES)),
        {name: mask.text(value) for name, value in _assigned(words)},
        tuple(name for name in sources if name not in names))


def _assigned(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, separator, value = word.partition('=')
        if separator:
            yield name, value


class _Mask:
    """Hides what is secret, wherever it was written."""

    def __init__(self, site: SiteContext) -> None:
        values = {form for value in site.secrets.values()
                  for form in (value, value.strip()) if len(form) >= _LEAST}
        # One may be part of another.
        self._values = sorted(values, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return a text without the values of secrets."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return text

    def part(self, name: str, part: File, private: bool) -> Part:
        """Return a part as it may be shown."""
        return Part(name, _FOR_SOME if private else self._read(part.content),
                    len(part.content), part.mode)

    def _read(self, content: bytes) -> str:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return _BINARY
        return self.text(text)
