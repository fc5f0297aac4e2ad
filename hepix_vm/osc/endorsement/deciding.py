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

"""What ``set`` and ``revoke`` have in common: to decide, and what follows."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import TYPE_CHECKING

from osc_lib.cli import format_columns

from hepix_vm.osc import base

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud
    from hepix_vm.exchange.adopt import Word
    from hepix_vm.exchange.decide import Done
    from hepix_vm.exchange.word import Register
    from hepix_vm.site import Site

COLUMNS = ('ID', 'Name', 'Project ID', 'Done', 'Status', 'State', 'Reason',
           'Servers')
ELSEWHERE = ('It is written into the ledger of the cloud. What the site '
             'decided lies on its controllers: the next sweep there does '
             'the rest and tells the endorser.')


class Deciding(base.Lister):
    """A command that writes into the ledger what an operator decides."""

    auth_required = True

    def add_reason(self, parser: argparse.ArgumentParser) -> None:
        """Add why it is decided."""
        parser.add_argument(
            '--reason', metavar='TEXT', required=True,
            help='why, for whoever reads the record next, and for users')

    def operator(self, given: argparse.Namespace) -> 'Operator':
        """Return who decides, once it is sure that he may.

        :raises HepixVmError: he is no administrator, or says nothing
        """
        from hepix_vm.errors import ConfigError
        from hepix_vm.exchange.adopt import Word
        from hepix_vm.osc import here

        if not given.reason.strip():
            raise ConfigError('--reason may not be empty.',
                              remedy='Say why it is decided.')
        cloud = self.cloud()
        # Others are shown an empty ledger.
        cloud.catalogue.check_administrator()
        author = here.author(self.app.client_manager)
        return Operator(self, cloud, Word(given.reason.strip(), author))


class Operator:
    """An administrator who decides something.

    :param command: what he gave
    """

    def __init__(self, command: Deciding, cloud: 'Cloud',
                 word: 'Word') -> None:
        from hepix_vm.osc import here

        self.cloud = cloud
        self._command = command
        self._word = word
        self._site: Site | None = (
            here.site(cloud.settings) if here.has_site(cloud.settings)
            else None)

    def register(self) -> 'Register':
        """Return what writes into the ledger."""
        from hepix_vm.exchange.steady import SERVICE
        from hepix_vm.exchange.word import Register
        from hepix_vm.journal import Journal

        return Register(
            self.cloud.ledger, self._word,
            Journal(self.cloud.settings.state_dir, SERVICE)
            if self._site else None)

    def carry_out(self, ids: Iterable[str], news: bool, refused: bool,
                  ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Make images what they must be; return the table of it.

        :param news: whether anything was said that was not said before
        :param refused: whether it is refused, so that its servers concern
            whoever decides
        """
        from hepix_vm.exchange.decide import Hand
        from hepix_vm.exchange.event import nobody
        from hepix_vm.exchange.notify import Notifiers

        if not self._site:
            self._command.say(ELSEWHERE)
        done = list(Hand(
            self.cloud.catalogue, self.cloud.ledger, self._site,
            Notifiers(self.cloud.settings).tell if self._site else nobody,
            news).carry_out(ids))
        for each in done:
            if each.error:
                self._command.say(f'{each.image["id"]}: {each.error}')
                self._command.status = 1
        servers = self._servers([each.image['id'] for each in done], refused)
        if refused:
            self._announce(done, servers)
        return COLUMNS, [_row(each, servers.get(each.image['id']))
                         for each in done]

    def _announce(self, done: Iterable['Done'],
                  servers: Mapping[str, list[str]]) -> None:
        """Say what the next sweep does with the servers of images."""
        from hepix_vm.exchange import marks
        from hepix_vm.gate import utcnow
        from hepix_vm.trust import running

        for each in done:
            if not (some := servers.get(each.image['id'])):
                continue
            measure = self._site and running.measure(
                self._site.policy.running_servers,
                marks.state(each.image, utcnow()))
            self._command.say(
                f'{len(some)} server{"s run" if len(some) > 1 else " runs"} '
                f'the image {each.image["id"]}. ' + (
                    f'The next sweep does with '
                    f'{"them" if len(some) > 1 else "it"} what '
                    f'running_servers of policy.yaml says' + (
                        f': {measure}.' if measure else
                        ' on the controllers.')))

    def _servers(self, ids: Sequence[str],
                 aloud: bool) -> dict[str, list[str]]:
        """Return the servers that run images.

        :param aloud: whether to say which they are
        :returns: without images of which Nova does not say it
        """
        from hepix_vm import credentials
        from hepix_vm.errors import HepixVmError
        from hepix_vm.exchange.oneline import clean
        from hepix_vm.exchange import usage

        if not ids:
            return {}
        try:
            # Nova takes one image, or none and says all.
            running, silent = usage.running(
                self.cloud.adapter(credentials.COMPUTE), True,
                **({'image': ids[0]} if len(ids) == 1 else {}))
        except HepixVmError as error:
            self._command.say(f'{error.message} {error.remedy}')
            return {}
        if silent:
            self._command.say(f'{silent.message} {silent.remedy}')
        found: dict[str, list[str]] = {image_id: [] for image_id in ids}
        for each in running:
            if each.image_id in found:
                found[each.image_id].append(each.identifier)
                if aloud:
                    self._command.say(
                        f'The server {each.identifier} ({clean(each.name)}) '
                        f'of the project {each.project} runs the image '
                        f'{each.image_id}.')
        return found


def _row(done: 'Done', servers: list[str] | None) -> tuple[Any, ...]:
    from hepix_vm.exchange import marks
    from hepix_vm.gate import utcnow

    image = done.image
    return (image['id'], marks.line(image, 'name'),
            marks.line(image, 'owner'), done.done,
            marks.line(image, 'status'), marks.state(image, utcnow()),
            marks.line(image, 'hepix_reason'),
            None if servers is None
            else format_columns.ListColumn(servers))
