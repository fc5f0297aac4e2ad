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

"""``openstack image endorsement revoke``."""

import argparse
from typing import Any

from hepix_vm.osc.endorsement import deciding


class Revoke(deciding.Deciding):
    """Revoke bytes for good: an image, or a SHA-512 digest.

    They are refused on the whole cloud, now and whenever they come again,
    whoever endorses them. All images that have them are taken out of use at
    once and marked, the servers that run them are named, and the endorser
    is told. Only "hepix-vm-sync lift --sha512 DIGEST --reason TEXT" takes it
    back, on a controller, and with it what else operators said of these
    bytes; what is only to be held up for a while, "image endorsement set
    --block" blocks.

    It writes the ledger in Glance, which needs an administrator.
    """

    examples = (
        'openstack image endorsement revoke debian-13 --reason '
        '"CVE-2026-1234"',
        'openstack image endorsement revoke --sha512 '
        '"$(sha512sum disk.qcow2 | cut -d\\  -f1)" --reason "root kit"')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        named = parser.add_mutually_exclusive_group(required=True)
        named.add_argument('image', metavar='IMAGE', nargs='?',
                           help='the image: its name or its id')
        named.add_argument('--sha512', metavar='DIGEST', help='the bytes, by '
                           'their SHA-512 in hexadecimal digits')
        self.add_reason(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return what was done with each image."""
        from hepix_vm.exchange import decide
        from hepix_vm.osc import find
        from hepix_vm.trust.ledger import Fact

        operator = self.operator(parsed_args)
        cloud = operator.cloud
        if parsed_args.sha512 is not None:
            target = decide.Target.of_digest(parsed_args.sha512)
        else:
            target = decide.Target.of_image(cloud.ledger, find.image(
                cloud.catalogue, parsed_args.image))
        new = operator.register().write(
            'revoke', Fact.REVOKED, target.bytes)
        self.say(f'{target.bytes[1]} revoked{"" if new else " already"}')
        return operator.carry_out(target.images(cloud.catalogue), new, True)
