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

"""``openstack image endorsement create``."""

import argparse
import dataclasses
import os
import shlex
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc import endorsing

if TYPE_CHECKING:
    from hepix_vm.exchange.endorse import Statement
    from hepix_vm.exchange.measure import Measured
    from hepix_vm.trust.model import ImageList

FORMATS = ('raw', 'qcow2', 'vmdk', 'vdi', 'vhd', 'vhdx', 'iso', 'ploop',
           'aki', 'ari', 'ami')
KINDS = ('base', 'vo-environment', 'complete')
_Row = tuple[tuple[str, ...], tuple[Any, ...]]


class Create(base.ShowOne):
    """Endorse an image: sign with your name that its file may run.

    The file is hashed, and a list with this one image is signed and
    written beside it. No cloud is asked, unless --upload is given.
    """

    examples = (
        'openstack image endorsement create debian-12.qcow2 --title "Debian '
        '12" --distro debian --distro-version 12 --architecture x86_64 '
        '--hypervisor kvm --image-version 2026.11.1 --disk-format qcow2 '
        '--expires +90d --vo vo.example.org --upload debian-12',
        'openstack image create --disk-format qcow2 --file debian-12.qcow2 '
        '--property hepix_endorsement="$(cat debian-12.qcow2.endorsement)" '
        'debian-12')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        from hepix_vm.cmd import signing

        parser = super().get_parser(prog_name)
        # A --passphrase would be --passphrase-file, on the command line.
        parser.allow_abbrev = False
        parser.add_argument('file', metavar='FILE', help='the image')
        _add_statement(parser)
        signing.add_options(parser)
        parser.add_argument(
            '--output', metavar='FILE', default='',
            help='where the endorsement goes, which must not be there yet '
                 '(by default the name of the image with .endorsement)')
        parser.add_argument(
            '--upload', metavar='NAME', default='',
            help='bring the image into the cloud as well, by this name, and '
                 'wait for the verdict of its gate')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> _Row:
        """Return what was endorsed."""
        from hepix_vm.exchange import endorse
        from hepix_vm.gate import utcnow

        given = parsed_args
        said = _statement(given)
        said.check(utcnow())
        output = given.output or given.file + endorse.BESIDE
        endorsing.check_free(output, (
            f'It can be renewed (openstack image endorsement renew) and used '
            f'(openstack image create --property hepix_endorsement="$(cat '
            f'{shlex.quote(output)})"). To endorse anew, remove it or give '
            f'another --output.'))
        if given.upload:
            # Whoever cannot log in learns that before his file is read.
            self.cloud().catalogue.abilities()
        who = endorsing.signer(given)
        file = _measure(given.file, said.disk_format)
        made = endorse.build(
            said, os.path.basename(given.file), file.sha512, file.size,
            who.endorser(who.email, ''), utcnow())
        message = endorse.sign(made, who)
        endorsing.warn(self, who, made)
        endorsing.write(output, message)
        shown = {'output': output, **endorsing.described(made)}
        if given.upload:
            self.say(f'The endorsement is in {output}.')
            shown |= self._upload(given.upload, file, message, made)
        return tuple(shown), tuple(shown.values())

    def _upload(self, name: str, file: 'Measured', message: bytes,
                made: 'ImageList') -> dict[str, Any]:
        from hepix_vm.exchange.upload import Uploader

        with endorsing.progress('Uploading', file.size) as advance:
            done = Uploader(self.cloud().catalogue, advance).upload(
                name, file, message.decode(), made.images[0])
        if done.reasons:
            self.status = 1
            self.say('The cloud refused the image, which was deleted again.')
        elif not done.state:
            self.say('The cloud took the image and says nothing of its '
                     'endorsement: no gate judges images there.')
        return endorsing.verdict(done)


def _add_statement(parser: argparse.ArgumentParser) -> None:
    text = {
        'title': 'what people call it',
        'distro': 'operating system, such as debian',
        'distro-version': 'its version, such as 12',
        'architecture': 'such as x86_64',
        'hypervisor': 'for which it is made: kvm, or several (kvm,xen)',
        'image-version': 'your version of the image'}
    for name, what in text.items():
        parser.add_argument(f'--{name}', metavar='TEXT', required=True,
                            help=what)
    parser.add_argument('--disk-format', required=True, choices=FORMATS,
                        help='format of the file')
    parser.add_argument(
        '--expires', metavar='DATE|DURATION', required=True,
        type=base.moment(last=True), help='until when you answer for it: a '
        'last day (2027-03-31), a time (2027-03-31T12:00:00Z), or from now '
        'on (+90d)')
    parser.add_argument('--vo', metavar='VO', default='',
                        help='virtual organisation for which it is made')
    parser.add_argument('--uri', metavar='URI', default='', help='where the '
                        'file can be fetched (by default only its name)')
    parser.add_argument('--kind', choices=KINDS, default='',
                        help='what is in it')
    parser.add_argument(
        '--built-with', metavar='TOOL=VERSION', action='append', default=[],
        type=_tool, help='what it was made with; may be given several times')
    parser.add_argument('--produced', metavar='DATE', type=base.moment(),
                        help='when it was made')
    parser.add_argument(
        '--list-id', metavar='UUID', default='',
        help='list to which it belongs (by default one of its own)')
    parser.add_argument(
        '--image-id', metavar='UUID', default='', help='identifier of the '
        'image, for new bytes of the same (by default a new one)')


def _tool(text: str) -> tuple[str, str]:
    tool, _, version = text.partition('=')
    if not tool or not version:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not of the form TOOL=VERSION, such as packer=1.11')
    return tool, version


def _statement(given: argparse.Namespace) -> 'Statement':
    from hepix_vm.exchange.endorse import Statement

    values = {field.name: getattr(given, field.name)
              for field in dataclasses.fields(Statement)}
    return Statement(**{**values, 'built_with': dict(given.built_with)})


def _measure(path: str, disk_format: str) -> 'Measured':
    """Return digest and size of an image.

    :raises HepixVmError: it cannot be endorsed as of this format
    """
    from hepix_vm.errors import Code
    from hepix_vm.errors import TrustError
    from hepix_vm.exchange import contents

    found = endorsing.hashed(path)
    inside = contents.formats_in(path)
    if contents.contradicts(disk_format, inside):
        raise TrustError(
            f'{path} is said to be {disk_format}, but is '
            f'{" and ".join(sorted(inside))}.', Code.FORMAT_MISMATCH,
            'Give the --disk-format that the file has (qemu-img info).')
    return found
