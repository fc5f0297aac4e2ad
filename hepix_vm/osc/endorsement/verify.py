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

"""``openstack image endorsement verify``."""

import argparse
import os
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc import columns
from hepix_vm.osc import endorsing
from hepix_vm.osc import here

if TYPE_CHECKING:
    from hepix_vm.site import Site
    from hepix_vm.trust.verdict import Verdict

_Row = tuple[tuple[str, ...], tuple[Any, ...]]


class Verify(base.ShowOne):
    """Judge a file, or an image of Glance, as the gate of a cloud does.

    The verdict is that of the settings, the CAs and the lists that are on
    this machine: on a controller those of its site. A file is judged with
    no cloud; what a cloud blocked or revoked is not known then. An image
    of Glance is judged by an administrator. The exit status is 0 only if
    the image is allowed.
    """

    examples = (
        'openstack image endorsement verify debian-12.qcow2',
        'openstack image endorsement verify debian-12.qcow2 --endorsement '
        'my.endorsement --policy policy.yaml --trust-anchors certificates',
        'openstack image endorsement verify debian-12 --at +30d -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('image', metavar='FILE|IMAGE', help='a file, or '
                            'else an image of Glance by its name or id')
        parser.add_argument(
            '--endorsement', metavar='FILE', default='', help='the '
            'endorsement (by default FILE.endorsement, or if there is none '
            'the lists that this site accepted; of an image its own)')
        parser.add_argument(
            '--at', metavar='DATE|DURATION', type=base.moment(),
            help='judge as of then: a day (2027-03-31), a time '
                 '(2027-03-31T12:00:00Z), from now on (+30d) or before now '
                 '(--at=-1d); a CRL that counts now is taken to be renewed '
                 'until then')
        here.add_options(parser)
        parser.add_argument(
            '--project', metavar='PROJECT', default='', help='project into '
            'which the file would come, where endorsers are accepted for '
            'some only')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> _Row:
        """Return the verdict."""
        from hepix_vm.exchange import verify

        given = parsed_args
        site, missing = verify.site_here({
            option: path for option, path in (
                ('trust_anchors', given.trust_anchors),
                ('policy_file', given.policy)) if path})
        verdict, about = (self._file(given, site)
                          if os.path.exists(given.image)
                          else self._image(given, site))
        for path in missing:
            self.say(f'{path} is not on this machine: nobody is accepted '
                     f'without it. Give --policy and --trust-anchors to '
                     f'judge as a site does.')
        self.status = 0 if verdict.allowed else 1
        shown = {**_shown(verdict), **about}
        return tuple(shown), tuple(shown.values())

    def _file(self, given: argparse.Namespace, site: 'Site',
              ) -> tuple['Verdict', dict[str, Any]]:
        from hepix_vm.exchange import contents
        from hepix_vm.exchange import formats
        from hepix_vm.exchange import verify

        path = given.endorsement or verify.beside(given.image)
        text = verify.read_endorsement(path) if path else ''
        if not path:
            self.say('No endorsement lies beside the file: the lists that '
                     'this site accepted are asked. --endorsement names '
                     'another.')
        file = endorsing.hashed(given.image)
        inside = contents.formats_in(given.image)
        verdict = verify.judge_file(site, file, text, given.project, given.at)
        self.say('What a cloud blocked or revoked is not known for a file.')
        found = verdict.endorsement
        stated = formats.disk_format_of(found.entry.format) if found else ''
        if stated and contents.contradicts(stated, inside):
            self.say(f'WARNING: the file was endorsed as {stated}, but is '
                     f'{" and ".join(sorted(inside))}.')
        return verdict, {
            'sha512': file.sha512, 'size': file.size,
            'file_format': ','.join(sorted(inside)),
            'endorsement': path or 'accepted lists'}

    def _image(self, given: argparse.Namespace, site: 'Site',
               ) -> tuple['Verdict', dict[str, Any]]:
        from hepix_vm.exchange import verify

        cloud, image = endorsing.image_of(self, given.image)
        verify.check_ledger(cloud.catalogue, image['id'])
        text = (verify.read_endorsement(given.endorsement)
                if given.endorsement else '')
        verdict = verify.judge_image(
            site, image, text, cloud.ledger.search_now, given.at)
        return verdict, {
            'glance_id': image['id'], 'status': image['status'],
            'sha512': verdict.sha512, 'size': image['size'],
            'disk_format': image['disk_format']}


def _shown(verdict: 'Verdict') -> dict[str, Any]:
    from hepix_vm.exchange.audit import state_of
    from hepix_vm.exchange.oneline import clean
    from hepix_vm.trust.imagelist import format_time

    found = verdict.endorsement
    return {
        'allowed': verdict.allowed, 'state': str(state_of(verdict)),
        'mode': str(verdict.mode),
        'reasons': columns.Reasons([
            {name: clean(text, len(text))
             for name, text in each.as_dict().items()}
            for each in verdict.reasons]),
        'title': clean(found.entry.title) if found else '',
        'list_id': found.image_list.identifier if found else '',
        'list_version': clean(found.image_list.version) if found else '',
        'endorsed_image_id': found.entry.identifier if found else '',
        'endorser_dn': clean(found.signer.dn) if found else '',
        'endorser_ca': clean(found.signer.ca) if found else '',
        'expires': format_time(found.expires) if found else ''}
