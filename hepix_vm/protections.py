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


"""The property protections of Glance that the gate needs.

Glance takes the first section whose expression is found in a property's
name, and denies every property that none matches.
"""

from collections.abc import Iterable
import configparser
import dataclasses
import re

from hepix_vm.errors import ConfigError
from hepix_vm import properties

# What hepix-vm alone writes, besides what else begins with hepix_.
WRITTEN = (
    'hepix_state', 'hepix_reason', 'hepix_image_id', 'hepix_image_version',
    'hepix_list_id', 'hepix_list_version', 'hepix_endorser_dn',
    'hepix_endorser_ca', 'hepix_endorsed_at', 'hepix_expires',
    'hepix_sha512', 'hepix_size', 'hepix_hypervisor', 'hepix_uri',
    'hepix_vo', 'hepix_production_date', 'hepix_approved',
    'hepix_shareable', 'hepix_altered', 'hepix_withdrawn', 'hepix_untold',
    'hepix_subscription', 'hepix_shared', 'hepix_parked', 'hepix_bringer',
    'hepix_tried', 'hepix_ledger')

# What services would copy from an image to what they make of it, though it
# is true of that image alone.
UNCOPIED = (*WRITTEN, properties.ENDORSEMENT, properties.CONFIG_DRIVE,
            properties.TRAIT)

# What decides which bytes Nova boots.
BOOT = (
    'img_config_drive', 'kernel_id', 'ramdisk_id', 'os_command_line',
    'block_device_mapping', 'mappings', 'bdm_v2', 'root_device_name')

# A property that nobody protects by its name.
ORDINARY = 'x_preflight'

ADMIN = 'admin'
# In policies: a rule that Glance always has, and one of our own.
ADMIN_RULE = 'context_is_admin'
OPERATOR_RULE = 'hepix_operator'
FORMATS = ('roles', 'policies')

_EVERYBODY = '@'
_OPERATIONS = ('create', 'read', 'update', 'delete')
_CATCH_ALL = '.*'

_HEADER = """\
# Protection of the properties of images, for glance-api.conf:
#
#   [DEFAULT]
#   property_protection_file = /etc/hepix-vm/property-protections.conf
#   property_protection_rule_format = {rule_format}
#
# Glance takes the first section whose expression matches, and denies every
# property that none matches. So these sections come before those of the
# site, and one that matches everything comes last.
# "hepix-vm-status property-protections merge" puts them together, and
# writes [hepix_vm] operator_role beside admin.
"""


@dataclasses.dataclass(frozen=True)
class _Section:
    """A section of the file.

    :param expression: as Python's re has it; Glance searches for it
    :param comment: what is said about it
    :param free: whether users may write what it matches
    """

    expression: str
    comment: str
    free: bool = False

    def text(self, writers: str) -> str:
        """Return it as it is written."""
        return f'{self.comment}[{self.expression}]\n' + ''.join(
            f'{operation} = '
            f'{_EVERYBODY if self.free or operation == "read" else writers}\n'
            for operation in _OPERATIONS)


def not_in(given: Iterable[str]) -> list[str]:
    """Return what a service must not copy, and is not told not to.

    :param given: what it is told not to copy
    """
    told = {*given}
    return [name for name in UNCOPIED if name not in told]


_OURS = (
    _Section(r'^hepix_endorsement\Z', """\
# The signed one-image list that an uploader brings: in this spelling only,
# since MySQL takes names for one that differ in letter case.
""", free=True),
    _Section('(?i)^hepix_', """\
# What hepix-vm alone writes.
"""),
    _Section('(?i)^trait:CUSTOM_HEPIX_', ''),
    _Section(f'(?i)^({"|".join(BOOT)})$', """\
# What decides which bytes Nova boots.
"""))

_ALL_OTHERS = _Section(_CATCH_ALL, """\
# Everything else, as without property protections.
""", free=True)


@dataclasses.dataclass(frozen=True)
class Merged:
    """A file that was put together.

    :param text: what is in it
    :param warnings: what the operator should know of it
    """

    text: str
    warnings: tuple[str, ...] = ()


def writers(operator_role: str, rule_format: str = FORMATS[0]) -> str:
    """Return who may write our properties, as the file says it.

    :param operator_role: the option
    :param rule_format: the option property_protection_rule_format of Glance
    """
    only_admin = operator_role.lower() == ADMIN
    if rule_format == 'policies':
        return ADMIN_RULE if only_admin else OPERATOR_RULE
    return ADMIN if only_admin else f'{ADMIN},{operator_role}'


def shipped() -> str:
    """Return the file that comes with hepix-vm."""
    return merge('', writers(ADMIN)).text


def merge(site: str, allowed: str, rule_format: str = FORMATS[0],
          path: str | None = None) -> Merged:
    """Put our sections before those of a site.

    Sections of ours that the site's file has already are written anew, so
    that a file that was merged stays as it is.

    :param site: the site's file; empty if there is none
    :param allowed: what :func:`writers` returns
    :param rule_format: of the site's file
    :param path: of the site's file, for messages
    :raises ConfigError: Glance could not read the site's file
    """
    blocks = _split(site)
    names = _read(site, rule_format, path)
    if [block.name for block in blocks
            if block.name not in ('', configparser.DEFAULTSECT)] != names:
        raise ConfigError('Its sections cannot be told apart.', path,
                          remedy='Begin each section in the first column.')
    header = _HEADER.format(rule_format=rule_format)
    ours = {section.expression for section in _OURS}
    rest = [text for block in blocks if (text := (
        _remote_comment(block, rule_format) if block.name in ours
        else block.text).strip('\n'))]
    foreign = [name for name in names if name not in ours]
    warnings = []
    if not any(re.search(name, ORDINARY) for name in foreign):
        rest.append(_ALL_OTHERS.text('').strip('\n'))
        if site:
            warnings.append(
                f'No section matched every property, and Glance denies what '
                f'none matches: [{_CATCH_ALL}], which allows, was added at '
                f'the end. Write "!" into it to go on denying.')
    warnings += _shadowed(foreign)
    own = [section.text(allowed) for section in _OURS]
    return Merged('\n'.join([header, *own, *(f'{text}\n' for text in rest)]),
                  tuple(warnings))


def _shadowed(names: list[str]) -> list[str]:
    """Return what sections of the site do not decide any more."""
    found = []
    for name in names:
        if re.search(name, ORDINARY):
            continue
        taken = [each for each in (*WRITTEN, *BOOT) if re.search(name, each)]
        if taken:
            found.append(f'[{name}] does not decide over {", ".join(taken)} '
                         f'any more.')
    return found


@dataclasses.dataclass
class _Block:
    """The text of a section, and the comments above it."""

    name: str
    comment: list[str]
    lines: list[str]

    @property
    def text(self) -> str:
        return ''.join(self.comment + self.lines)


def _split(text: str) -> list[_Block]:
    """Return a file's sections as texts; what precedes them has no name."""
    blocks = [_Block('', [], [])]
    comment: list[str] = []
    for line in text.splitlines(keepends=True):
        header = configparser.ConfigParser.SECTCRE.match(line)
        if header:
            blocks.append(_Block(header['header'], comment, [line]))
            comment = []
        elif line.strip() and line.lstrip()[0] not in '#;':
            blocks[-1].lines += [*comment, line]
            comment = []
        else:
            comment.append(line)
    blocks[-1].lines += comment
    return blocks


def _remote_comment(block: _Block, rule_format: str) -> str:
    """Return what stands above a section, but is not about it."""
    text = ''.join(block.comment)
    remote = text[:text.rindex('\n\n') + 1] if '\n\n' in text else ''
    for each in FORMATS:
        remote = remote.replace(_HEADER.format(rule_format=each), '')
    return remote


def _read(text: str, rule_format: str, path: str | None) -> list[str]:
    """Return the names of the sections, if Glance could read them.

    :raises ConfigError: it could not
    """
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text, source=path or 'the file')
        for name in parser.sections():
            re.compile(name)
            for operation in _OPERATIONS:
                value = parser.get(name, operation)
                if rule_format == 'policies' and ',' in value:
                    raise ConfigError(
                        f'[{name}] {operation} has a list; a rule of '
                        f'policies names one policy.', path)
    except configparser.Error as error:
        message = ' '.join(str(error).split())
        raise ConfigError(f'{message.rstrip(".")}.', path) from error
    except re.error as error:
        raise ConfigError(f'[{name}] is no regular expression: {error}.',
                          path) from error
    return parser.sections()
