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

"""``openstack image endorsement renew``."""

import argparse
import os
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc import endorsing

if TYPE_CHECKING:
    from hepix_vm.trust.endorsement import SignedList
    from hepix_vm.trust.model import ImageList

_Row = tuple[tuple[str, ...], tuple[Any, ...]]


class Renew(base.ShowOne):
    """Endorse an image for longer: the same list, in a higher version.

    An endorsement file is signed anew in its place. Of an image of Glance
    that has an endorsement of its own, its owner renews it there; one that
    expired can be used again at once, without a new upload.
    """

    examples = (
        'openstack image endorsement renew debian-12.qcow2.endorsement '
        '--expires +90d',
        'openstack image endorsement renew debian-12 --expires 2027-03-31')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        from hepix_vm.cmd import signing

        parser = super().get_parser(prog_name)
        # A --passphrase would be --passphrase-file, on the command line.
        parser.allow_abbrev = False
        parser.add_argument(
            'image', metavar='FILE|IMAGE', help='an endorsement file, or '
            'the file beside which it lies; or else an image of Glance by '
            'its name or id')
        parser.add_argument(
            '--expires', metavar='DATE|DURATION', required=True,
            type=base.moment(last=True), help='until when you answer for '
            'it: a last day (2027-03-31), a time (2027-03-31T12:00:00Z), or '
            'from now on (+90d)')
        signing.add_options(parser)
        parser.add_argument(
            '--output', metavar='FILE', default='', help='where the new '
            'endorsement goes, which must not be there yet (by default the '
            'place of the old one)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> _Row:
        """Return what was endorsed."""
        given = parsed_args
        if given.output:
            endorsing.check_free(given.output)
        shown = (self._file(given) if os.path.exists(given.image)
                 else self._image(given))
        return tuple(shown), tuple(shown.values())

    def _file(self, given: argparse.Namespace) -> dict[str, Any]:
        from hepix_vm.exchange import endorse
        from hepix_vm.exchange.oneline import clean
        from hepix_vm.exchange import verify
        from hepix_vm.trust import envelope
        from hepix_vm.trust.inline import MAX_INLINE

        path = verify.beside(given.image) or given.image
        old = _opened(envelope.from_text(
            verify.read_endorsement(path), MAX_INLINE))
        new, message = self._renewed(given, old.image_list)
        if not given.output:
            endorse.check_replaces(old, new)
        elif not old.signed_by(new.endorser.dn, new.endorser.ca):
            self.say(f'WARNING: it was endorsed by {clean(old.signer.dn)}; '
                     f'in the new one you answer for it.')
        output = given.output or path
        endorsing.write(output, message)
        return {'output': output, **endorsing.described(new)}

    def _image(self, given: argparse.Namespace) -> dict[str, Any]:
        from hepix_vm.exchange import upload

        cloud, image = endorsing.image_of(self, given.image)
        old = _opened(upload.message_of(image)).image_list
        new, message = self._renewed(given, old)
        done = upload.renew(cloud.catalogue, image['id'], message)
        if done.reasons:
            self.status = 1
            self.say('Nothing was changed: the cloud refused the new '
                     'endorsement, and the image keeps the one it had.')
            return {**endorsing.described(old), **endorsing.verdict(done)}
        if image['status'] == 'deactivated' == done.status:
            self.say('The image stays out of use: an operator of the cloud '
                     'decided so.')
        shown = {**endorsing.described(new), **endorsing.verdict(done)}
        if given.output:
            endorsing.write(given.output, message)
            shown = {'output': given.output, **shown}
        return shown

    def _renewed(self, given: argparse.Namespace, old: 'ImageList',
                 ) -> tuple['ImageList', bytes]:
        """Return a new version of an endorsement, as a list and signed."""
        from hepix_vm.exchange import endorse
        from hepix_vm.gate import utcnow

        who = endorsing.signer(given)
        new = endorse.renew(old, who.endorser(who.email, ''), given.expires,
                            utcnow())
        endorsing.warn(self, who, new)
        return new, endorse.sign(new, who)


def _opened(message: bytes) -> 'SignedList':
    from hepix_vm.exchange import endorse
    from hepix_vm.trust.endorsement import TrustSettings

    return endorse.only(message, TrustSettings())
