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

"""``openstack server endorsement list``."""

import argparse
from typing import Any
from typing import TYPE_CHECKING

from hepix_vm.osc import base
from hepix_vm.osc.endorsement.list import STATES

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud
    from hepix_vm.exchange.runs import Run

_COLUMNS = ('ID', 'Name', 'Project ID', 'Status', 'Image ID', 'Image Name',
            'State', 'Expires', 'Reason')
# Beside those that images bear: exchange.audit and exchange.runs have them.
_OTHERS = ('unknown', 'volume', 'gone')


class List(base.Lister):
    """List servers with the endorsement of the images that they run.

    It reads what Nova and Glance show, by default of your own project. A
    server that runs from a volume has the state "volume": nobody knows what
    was written to it since. The state is "gone" where the image was deleted
    or is not shown to you, and "unknown" where nobody endorsed it.
    """

    auth_required = True
    examples = (
        'openstack server endorsement list --state revoked --all-projects',
        'openstack server endorsement list --image debian-13')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--image', metavar='IMAGE', help='only servers that run this '
            'image: its name or its id; of one that was deleted, the id')
        parser.add_argument(
            '--state', metavar='STATE', dest='states', action='append',
            choices=(*STATES, *_OTHERS), default=[], help=f'only servers '
            f'whose image is in this state: '
            f'{", ".join((*STATES, *_OTHERS))}; may be given several times')
        parser.add_argument(
            '--all-projects', action='store_true',
            help='list the servers of all projects (administrators)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the table."""
        from hepix_vm import credentials
        from hepix_vm.exchange import runs
        from hepix_vm.exchange import usage
        from hepix_vm.gate import utcnow

        cloud, given = self.cloud(), parsed_args
        wanted = _image_id(cloud, given.image) if given.image else ''
        found, silent = usage.running(
            cloud.adapter(credentials.COMPUTE), given.all_projects,
            **({'image': wanted} if wanted else {}))
        if silent:
            # What is missing may be what is looked for.
            self.say(f'{silent.message} {silent.remedy}')
            self.status = 1
        if wanted and not found and not given.all_projects:
            self.say('No server of your project runs it; --all-projects asks '
                     'for those of others (administrators).')
        rows = runs.look(cloud.catalogue, [
            server for server in found
            if not wanted or server.image_id == wanted], utcnow())
        return _COLUMNS, [_row(run) for run in rows
                          if not given.states or run.state in given.states]


def _image_id(cloud: 'Cloud', named: str) -> str:
    """Return the id of an image, also of one that was deleted."""
    from hepix_vm.osc import find

    if find.is_id(named):
        return named.lower()
    return str(find.image(cloud.catalogue, named)['id'])


def _row(run: 'Run') -> tuple[Any, ...]:
    from hepix_vm.exchange.oneline import clean

    server = run.server
    return (server.identifier, clean(server.name), server.project,
            server.status, server.image_id or '', run.of('name'), run.state,
            run.of('hepix_expires'), run.of('hepix_reason'))
