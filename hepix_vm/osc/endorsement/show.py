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

"""``openstack image endorsement show``."""

import argparse
from collections.abc import Mapping
from typing import Any
from typing import TYPE_CHECKING

from cliff.columns import FormattableColumn
from hepix_vm.osc import base
from hepix_vm.osc import columns

if TYPE_CHECKING:
    from hepix_vm.cmd.common import Cloud
    from hepix_vm.exchange.catalogue import Image
    from hepix_vm.trust.verdict import Verdict

HERE, CLOUD = 'here', 'by the cloud'
# What is shown of an image, by what it bears.
_FIELDS = {
    'endorsed_image_id': 'hepix_image_id',
    'image_version': 'hepix_image_version',
    'list_id': 'hepix_list_id', 'list_version': 'hepix_list_version',
    'endorser_dn': 'hepix_endorser_dn', 'endorser_ca': 'hepix_endorser_ca',
    'endorsed_at': 'hepix_endorsed_at', 'expires': 'hepix_expires',
    'vo': 'hepix_vo', 'uri': 'hepix_uri', 'hypervisor': 'hepix_hypervisor',
    'architecture': 'architecture', 'distro': 'os_distro',
    'distro_version': 'os_version', 'produced': 'hepix_production_date',
    'endorsed_sha512': 'hepix_sha512', 'subscription': 'hepix_subscription',
    'shared': 'hepix_shared', 'parked': 'hepix_parked'}
_FLAGS = ('approved', 'shareable', 'altered', 'withdrawn', 'untold')


class History(FormattableColumn[list[dict[str, str]]]):
    """What was said and done about an image, oldest first."""

    def human_readable(self) -> str:
        """Return each of it as a line."""
        from hepix_vm.exchange.history import Past

        return '\n'.join(str(Past(**each)) for each in self._value)


class Show(base.ShowOne):
    """Show an image: its endorsement, its verdict now, and its history.

    "judged" says who decided: "here", by the site's files on this machine
    and the ledger of the cloud, which needs a controller and an
    administrator; or "by the cloud", which wrote it on the image. The
    history is what the ledger says, to administrators, and the journals of
    this machine if it is a controller.
    """

    auth_required = True
    examples = ('openstack image endorsement show debian-13',
                'openstack image endorsement show debian-13 -c state '
                '-c reasons -f json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('image', metavar='IMAGE',
                            help='the image: its name or its id')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the fields of the image."""
        from hepix_vm.exchange import marks
        from hepix_vm.exchange import verify
        from hepix_vm.held import STATUSES
        from hepix_vm.osc import find
        from hepix_vm.osc import here

        cloud = self.cloud()
        image = find.image(cloud.catalogue, parsed_args.image)
        known = image.get('status') in STATUSES and verify.sees_ledger(
            cloud.catalogue)
        verdict = verify.judge_image(
            here.site(cloud.settings), image, '', cloud.ledger.search_now,
            None) if known and here.has_site(cloud.settings) else None
        digest = marks.text(image, 'os_hash_value') if (
            image.get('os_hash_algo') == 'sha512') else ''
        shown = {
            **{name: marks.line(image, name) for name in (
                'id', 'name', 'owner', 'status', 'visibility')},
            'size': image.get('size'), 'sha512': digest,
            **_judged(image, verdict), **_fields(image, verdict),
            'history': self._history(cloud, image, digest, known)}
        if parsed_args.formatter == 'table' and not parsed_args.columns:
            shown = {name: value for name, value in shown.items()
                     if not _is_empty(value)}
        return tuple(shown), tuple(shown.values())

    def _history(self, cloud: 'Cloud', image: 'Image', digest: str,
                 known: bool) -> History:
        """Return what was said and done about an image, oldest first.

        :param known: whether the ledger may be read
        """
        from hepix_vm.errors import ConfigError
        from hepix_vm.exchange import history
        from hepix_vm.osc import here

        said = history.of_ledger(cloud.ledger, image) if known else []
        done: list[history.Past] = []
        if here.has_site(cloud.settings):
            try:
                done += history.of_journals(
                    cloud.settings.state_dir, [image['id'], digest])
            except ConfigError as error:
                self.say(f'{error.message} {error.remedy}')
        return History([
            each.as_dict() for each in history.in_order(said, done)])


def _judged(image: 'Image', verdict: 'Verdict | None') -> Mapping[str, Any]:
    """Return what was decided, and by whom."""
    from hepix_vm.exchange.audit import state_of
    from hepix_vm.exchange.audit import UNKNOWN
    from hepix_vm.exchange import marks
    from hepix_vm.gate import utcnow

    if verdict is None:
        now = utcnow()
        return {'judged': CLOUD, 'state': marks.state(image, now) or UNKNOWN,
                'allowed': None,
                'reasons': columns.Reasons(marks.reasons(image, now))}
    reasons = [each.as_dict() for each in verdict.reasons]
    return {'judged': HERE, 'state': state_of(verdict),
            'allowed': verdict.allowed, 'reasons': columns.Reasons(reasons)}


def _fields(image: 'Image', verdict: 'Verdict | None') -> Mapping[str, Any]:
    """Return what an image bears, or would bear by a verdict."""
    from hepix_vm.exchange import marks
    from hepix_vm import properties

    if verdict and verdict.endorsed:
        image = {**image, **properties.of_verdict(
            verdict, marks.text(image, 'hepix_altered') == 'true', False)}
    size = marks.text(image, 'hepix_size')
    return {**{field: marks.line(image, name)
               for field, name in _FIELDS.items()},
            'endorsed_size': int(size) if size.isdecimal() else None,
            **{field: marks.flag(image, f'hepix_{field}')
               for field in _FLAGS}}


def _is_empty(value: Any) -> bool:
    if isinstance(value, FormattableColumn):
        value = value.human_readable()
    return value in ('', None)
