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

"""``openstack image endorsement set``."""

import argparse
from typing import Any

from hepix_vm.osc.endorsement import deciding

_CHOICES = (
    ('approve', 'let these bytes run where their list waits for an operator',
     'take the approval back'),
    ('share', 'let the endorsed image be published to other sites, in all '
     'its versions', 'take back that it may be published'),
    ('block', 'refuse these bytes on the whole cloud until they are '
     'unblocked', 'take the blocks of this image back, and nothing else that '
     'speaks against it'))


class Set(deciding.Deciding):
    """Approve, share or block an image, or take that back.

    What was decided is written into the ledger. All images that have the
    same bytes become at once what they must be: blocked ones are taken out
    of use and marked, the servers that run them are named, and the endorser
    is told.

    It needs an administrator of Glance. Where the site's files are not, only
    a block is carried out at once; the rest is done by the next sweep on a
    controller.
    """

    examples = (
        'openstack image endorsement set debian-13 --approve --reason '
        '"scanned, and sound"',
        'openstack image endorsement set debian-13 --block --reason '
        '"CVE-2026-1234"')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('image', metavar='IMAGE',
                            help='the image: its name or its id')
        for name, does, undoes in _CHOICES:
            either = parser.add_mutually_exclusive_group()
            either.add_argument(f'--{name}', dest=name, action='store_true',
                                default=None, help=does)
            opposite = 'unblock' if name == 'block' else f'no-{name}'
            either.add_argument(f'--{opposite}', dest=name,
                                action='store_false', help=undoes)
        self.add_reason(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return what was done with each image."""
        from hepix_vm.errors import ConfigError
        from hepix_vm.exchange import decide
        from hepix_vm.osc import find

        wanted = {name: getattr(parsed_args, name) for name, _, _ in _CHOICES
                  if getattr(parsed_args, name) is not None}
        if not wanted:
            raise ConfigError('Nothing is to be set.', remedy='Give '
                              '--approve, --share or --block, or one of '
                              'their opposites.')
        operator = self.operator(parsed_args)
        cloud = operator.cloud
        target = decide.Target.of_image(
            cloud.ledger, find.image(cloud.catalogue, parsed_args.image))
        # Whatever cannot be said is found out before anything is said.
        named = {name: target.named(name, said)
                 for name, said in wanted.items()}
        register = operator.register()
        for name, said in wanted.items():
            for line in decide.say(register, name, said, named[name]):
                self.say(line)
        # What is taken back may have been said of all its versions.
        versions = 'share' in wanted or False in wanted.values()
        return operator.carry_out(
            target.images(cloud.catalogue, versions),
            register.refused, bool(wanted.get('block')))
