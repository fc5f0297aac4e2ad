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

"""``hepix-vm-status context``: what servers are told about this site."""

import argparse
from collections.abc import Iterator
import os
import stat

from cliff import command
from cliff import lister

from hepix_vm import config
from hepix_vm.context.facts import Facts
from hepix_vm.context.facts import Image
from hepix_vm.context import template
from hepix_vm.errors import ConfigError
from hepix_vm import opts
from hepix_vm.sitecontext import compiled
from hepix_vm.sitecontext import compiler
from hepix_vm.sitecontext import file
from hepix_vm.sitecontext.file import SiteContext
from hepix_vm.sitecontext import shown
from hepix_vm.sitecontext.shown import Shown

COLUMNS = ('What', 'Name', 'Value')


class Check(lister.Lister):
    """Check context.yaml and its scripts, and show what a server would get.

    Everything that a drive is made from is read and checked. What is shown
    is what a server of which this is true would get; what is not named is
    unknown, and rules that ask for it do not apply.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        for name, text in (
                ('project', 'id of its project'),
                ('vo', 'VO of its image'),
                ('image', 'its image: Glance\'s id, or the identifier of its '
                          'endorsement'),
                ('availability-zone', 'its availability zone'),
                ('host', 'its compute host')):
            parser.add_argument(f'--{name}', default='', help=text)
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
            ) -> tuple[tuple[str, ...], list[tuple[str, str, str]]]:
        """Return the table."""
        conf = config.load()
        path = conf[opts.GROUP].context_file
        site = shown.read(conf)
        sources = conf[opts.GROUP].context_sources
        for warning in _warnings(path, site, sources):
            self.app.stderr.write(f'Warning: {path}: {warning}\n')
        server = Facts(
            project=parsed_args.project, zone=parsed_args.availability_zone,
            host=parsed_args.host, image=Image(
                uuid=parsed_args.image, vo=parsed_args.vo))
        return COLUMNS, list(_rows(shown.show(site, sources, server),
                                   os.path.dirname(path)))


class Compile(command.Command):
    """Compile context.yaml and its scripts, so that drives are made quickly.

    hepix-vm-mkisofs does so itself when a file has changed, if it may write
    the result.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Compile, and say where it is."""
        found = compiler.compile_context(config.load())
        path = compiled.cache_path()
        try:
            compiled.save(found)
        except OSError as error:
            raise ConfigError(
                f'It cannot be written: {error.strerror}.', path,
                remedy='Make the folder, and let its group be that of '
                       'nova-compute.') from error
        self.app.stdout.write(
            f'{path}: {", ".join(name for name, *_ in found.sources)}\n')


def _rows(given: Shown, folder: str) -> Iterator[tuple[str, str, str]]:
    for what, parts in (('prolog', given.prolog), ('epilog', given.epilog),
                        ('file', given.files)):
        for part in parts:
            yield (what, part.name,
                   os.path.join(folder, file.FOLDER, part.name))
    for what, prefix in (('variable', template.SITE),
                         ('secret', template.SECRET)):
        for name, value in given.variables.items():
            if name.startswith(prefix):
                yield what, name, value
    for name in given.not_asked:
        yield 'source', name, 'asked when the drive is made'


def _warnings(path: str, site: SiteContext,
              sources: list[str]) -> Iterator[str]:
    """Say what is allowed, and most likely a mistake."""
    if site.hostcert is not None and 'hostcert' not in sources:
        yield ('The section hostcert is not read: [hepix_vm] '
               'context_sources does not name hostcert.')
    if site.secrets and os.stat(path).st_mode & stat.S_IROTH:
        yield 'It has secrets, and everybody may read it: chmod o-r.'
    for number, rule in enumerate(site.rules, 1):
        if not any(rule.parts):
            yield f'Rule {number} gives nothing.'
        for project in sorted(rule.match.project):
            if not file.looks_like_a_project(project):
                yield (f'Rule {number} names the project {project}, which '
                       f'does not look like an id; Nova tells no names.')
