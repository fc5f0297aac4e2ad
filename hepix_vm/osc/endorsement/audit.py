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

"""``openstack image endorsement audit``."""

import argparse
import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

from osc_lib.cli import format_columns

from hepix_vm.osc import base
from hepix_vm.osc import here

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud
    from hepix_vm.exchange.audit import Finding

_COLUMNS = ('ID', 'Name', 'State', 'Status', 'Visibility', 'Project ID',
            'Project', 'Servers', 'Action', 'Reasons')


class Audit(base.Lister):
    """Show what the cloud would look like under the gate.

    Each image is judged as the gate in mode enforcing judges it, if images
    that are older than the gate are refused. Nothing is changed, and nothing
    is downloaded: an image is known by the digest that Glance computed. The
    cloud needs no hepix-vm yet.

    It needs an administrator, and judges by policy.yaml, the trust anchors
    and the accepted lists of the machine on which it runs. Where they are
    not, it shows how the cloud marked an image, and trusts nobody otherwise.
    """

    auth_required = True
    examples = (
        'openstack image endorsement audit --all-projects',
        'openstack image endorsement audit --all-projects --sort-column '
        'Servers --sort-descending -f csv',
        'openstack image endorsement audit --policy policy.yaml '
        '--trust-anchors certificates')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all-projects', action='store_true', help='audit the images of '
            'all projects, and not only those of your own')
        here.add_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
        """Return the table, whose rows are made one by one."""
        from hepix_vm.errors import ConfigError
        from hepix_vm.exchange.audit import Audit as Judging
        from hepix_vm.exchange import verify

        given, cloud = parsed_args, self.cloud()
        owner = '' if given.all_projects else here.project(
            self.app.client_manager)
        site, missing = verify.site_here({
            option: path for option, path in (
                ('trust_anchors', given.trust_anchors),
                ('policy_file', given.policy)) if path})
        judged = bool(given.policy) or here.has_site(cloud.settings)
        if judged and missing:
            raise ConfigError(
                'There are no trust anchors, and nobody can be judged.',
                missing[0], remedy='Correct trust_anchors in hepix-vm.conf, '
                'or give --trust-anchors.')
        if not judged:
            self.say(f'{cloud.settings.policy_file} is not here: how the '
                     f'cloud marked an image is shown, and nobody is trusted '
                     f'otherwise. Give --policy and --trust-anchors to judge '
                     f'as a site does.')
        cloud.catalogue.check_administrator()
        found = Judging(cloud.catalogue, cloud.ledger, site).run(owner)
        return _COLUMNS, self._rows(
            found, judged, self._servers(cloud), self._projects(cloud))

    def _rows(self, found: Iterable['Finding'], judged: bool,
              servers: Mapping[str, int] | None,
              projects: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
        states: collections.Counter[str] = collections.Counter()
        acts: collections.Counter[str] = collections.Counter()
        hit = 0
        for each in found:
            held = each.held
            marked = '' if judged else held.extra.get('hepix_state', '')
            state = marked or each.state
            action = '' if marked else each.enforcing
            running = servers.get(held.image_id, 0) if (
                servers is not None) else None
            states[state] += 1
            acts[action] += 1
            if action == 'deactivate' and running:
                hit += running
            yield (held.image_id, each.name, state, held.status,
                   held.visibility, held.owner, projects.get(held.owner, ''),
                   running, action,
                   format_columns.ListColumn(
                       [] if marked else [*map(str, each.codes)]))
        self.say(_summary(
            states, acts if judged else None,
            None if servers is None else hit))

    def _servers(self, cloud: 'Cloud') -> Mapping[str, int] | None:
        """Return how many servers run each image; None if nobody knows."""
        from hepix_vm import credentials
        from hepix_vm.errors import HepixVmError
        from hepix_vm.exchange import usage

        try:
            running, silent = usage.running(
                cloud.adapter(credentials.COMPUTE), True)
            if silent:
                raise silent
        except HepixVmError as error:
            self.say(f'{error.message} {error.remedy}')
            return None
        counted = collections.Counter(
            server.image_id or '' for server in running)
        if volumes := counted.pop('', 0):
            self.say(f'Servers that run from volumes count with no image: '
                     f'{volumes}.')
        return counted

    def _projects(self, cloud: 'Cloud') -> Mapping[str, str]:
        """Return the names of projects, as far as Keystone says them."""
        from hepix_vm import credentials
        from hepix_vm.errors import HepixVmError
        from hepix_vm.exchange.oneline import clean
        from hepix_vm.exchange import usage

        if not cloud.keystone:
            return {}
        try:
            found = usage.project_names(cloud.adapter(credentials.IDENTITY))
        except HepixVmError as error:
            self.say(f'{error.message} {error.remedy}')
            return {}
        return {each: clean(name) for each, name in found.items()}


def _summary(states: 'collections.Counter[str]',
             acts: 'collections.Counter[str] | None', hit: int | None) -> str:
    """Return the counts as one line.

    :param acts: None if nothing was judged
    :param hit: servers whose images would be taken out of use
    """
    from hepix_vm.exchange.progress import counted

    each = ', '.join(f'{number} {state}' for state, number
                     in sorted(states.items()))
    said = f'{counted(states.total(), "image")}: {each or "none"}.'
    if acts is None:
        return said
    servers = '' if hit is None else f' (running: {counted(hit, "server")})'
    return (f'{said} Enforcing deactivates {acts["deactivate"]}{servers}, '
            f'and reactivates {acts["reactivate"]}.')
