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


"""``hepix-vm-status property-protections merge``: one file for Glance."""

import argparse
import os
import pathlib
import tempfile

from cliff import command

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm import opts
from hepix_vm import protections

_MODE = 0o644  # of a new file; Glance reads it


class Merge(command.Command):
    """Put the property protections of hepix-vm before those of this site.

    Prints a file for [DEFAULT] property_protection_file of glance-api.conf.
    Comments and order of the site's rules are kept. A file that was merged
    can be merged again; then what hepix-vm needs is brought up to date.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'site_file', nargs='?', type=pathlib.Path, metavar='SITE_FILE',
            help='the property protections of this site, if there are any')
        parser.add_argument(
            '--output', type=pathlib.Path, metavar='FILE',
            help='where to write, at once or not at all; SITE_FILE is '
                 'possible (by default standard output)')
        parser.add_argument(
            '--rule-format', choices=protections.FORMATS,
            default=protections.FORMATS[0],
            help='[DEFAULT] property_protection_rule_format of glance-api, '
                 'by which SITE_FILE is written (%(default)s by default)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Merge and write."""
        role = config.load()[opts.GROUP].operator_role
        path = parsed_args.site_file
        allowed = protections.writers(role, parsed_args.rule_format)
        merged = protections.merge(
            _read(path) if path else '', allowed, parsed_args.rule_format,
            str(path))
        if parsed_args.output:
            _write(parsed_args.output, merged.text)
        else:
            self.app.stdout.write(merged.text)
        warnings = list(merged.warnings)
        if allowed == protections.OPERATOR_RULE:
            warnings.append(
                f'The policy file of Glance needs "{allowed}": "rule:'
                f'{protections.ADMIN_RULE} or role:{role}".')
        for warning in warnings:
            self.app.stderr.write(f'Warning: {warning}\n')


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'It cannot be read: {error}.', str(path),
                          remedy='Name a text file that you may read.'
                          ) from error


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file at once; mode, owner and group stay."""
    target = path.resolve()
    new = None
    try:
        with tempfile.NamedTemporaryFile(
                'w', encoding='utf-8', dir=target.parent, delete=False,
                prefix=f'.{target.name}.') as file:
            new = file.name
            file.write(text)
            file.flush()
            mode = _MODE
            if target.exists():
                before = target.stat()
                mode = before.st_mode & 0o7777
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(new, target)
    except OSError as error:
        if new:
            pathlib.Path(new).unlink(missing_ok=True)
        raise ConfigError(f'It cannot be written: {error.strerror}.',
                          str(path), remedy='Name a file in a folder that '
                                            'you may write.') from error
