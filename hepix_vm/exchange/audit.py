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

"""The audit: what the gate thinks of every image, and what it would do.

Nothing is changed and nothing downloaded: an image is known by the digest
that Glance computed when it took the bytes.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from hepix_vm.errors import Code
from hepix_vm.errors import TrustError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import Case
from hepix_vm.gate import utcnow
from hepix_vm.held import Held
from hepix_vm.held import next_status
from hepix_vm.held import STATUSES
from hepix_vm.site import Site
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.settings import Subscription
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Verdict

# What nobody endorsed, and nobody refused either.
UNKNOWN = 'unknown'
_ACTIONS = {'': 'keep', 'deactivated': 'deactivate', 'active': 'reactivate'}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What the audit says of an image.

    :param state: as ``hepix_state`` would say, or :data:`UNKNOWN`
    :param sha512: of its bytes; where Glance computed another digest its
        name in parentheses
    :param digest: SHA-512 by which the gate knows it; empty if it knows none
    :param configured: what the site's own settings do with it: keep,
        deactivate or reactivate
    :param enforcing: what the mode does, if images that are older than
        the gate are refused
    :param legacy: the same, if they are allowed
    :param permissive: what the mode does
    """

    held: Held
    name: str
    state: str
    sha512: str
    digest: str
    codes: tuple[Code, ...]
    configured: str
    enforcing: str
    legacy: str
    permissive: str


class Audit:
    """Judges images of a Glance and touches none.

    :param catalogue: the images
    :param ledger: their Glance's ledger
    :param site: what the site decided
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger,
                 site: Site) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._gate = SteadyGate(site, ledger.search, journalled=False,
                                moment=utcnow())

    def run(self, owner: str = '') -> Iterator[Finding]:
        """Yield what is found of every image that has its bytes.

        :param owner: the id of the project whose images are wanted; empty
            for those of all projects
        :raises HepixVmError: Glance does not say, or the ledger cannot be
            read
        """
        self._catalogue.check_administrator()
        installed = Ledger(self._ledger.search(
            [records.name_of(None, '')])).installed()
        for image in self._catalogue.images(
                (False, True), messages=True, visibility='all',
                **({'owner': owner} if owner else {})):
            if image.get('status') in STATUSES and (
                    not owner or image.get('owner') == owner):
                yield self.look(image, installed)

    def look(self, image: Image,
             installed: datetime.datetime | None = None) -> Finding:
        """Return what is found of an image.

        :param installed: since when the gate stands; None if it does not
        """
        held = held_of(image)
        verdict = Case(self._gate, held.subject(self._gate.now())).look()
        refused = dataclasses.replace(
            verdict, mode=Mode.ENFORCING,
            exemption=None if verdict.exemption is Exemption.LEGACY
            else verdict.exemption)
        state = state_of(refused)
        older = state == UNKNOWN and (
            installed is None or held.created < installed)
        return Finding(
            held, clean(str(image.get('name') or '')), state,
            held.sha512 or f'({image.get("os_hash_algo") or "none"})',
            verdict.sha512, verdict.codes,
            _action(verdict, held), _action(refused, held),
            _action(dataclasses.replace(
                refused, exemption=Exemption.LEGACY) if older else refused,
                held),
            _action(dataclasses.replace(
                refused, mode=Mode.PERMISSIVE), held))


def state_of(verdict: Verdict) -> str:
    """Return what the audit calls an image, in the mode enforcing."""
    if verdict.endorsed:
        return standing.State.ENDORSED
    if verdict.exemption:
        return str(verdict.exemption)
    if set(verdict.codes) == {Code.NOT_ENDORSED}:
        return UNKNOWN
    return standing.state_of(verdict)


def with_lists(site: Site, messages: Iterable[tuple[str, bytes]]) -> Site:
    """Return a site as if it had accepted some more lists.

    A list takes the place of the accepted one with its identifier. It
    needs an endorser that subscriptions.yaml pins for it, or, where that
    does not know the list, one of policy.yaml.

    :param messages: names of files and the signed lists in them
    :raises TrustError: one of them cannot be relied upon
    """
    lists = []
    for path, message in messages:
        try:
            lists.append(_accept(message, site))
        except TrustError as error:
            raise TrustError(f'{path}: {error.message}', error.code,
                             error.remedy) from error
    return dataclasses.replace(
        site, accepted=site.accepted.replaced(lists))


def _accept(message: bytes, site: Site) -> AcceptedList:
    image_list = endorsement.open_list(message, site.trust).image_list
    uuid = image_list.identifier
    subscription = site.accepted.subscriptions.get(
        uuid, Subscription(uuid, site.policy.endorsers))
    given = endorsement.accept(message, subscription, site.trust)
    stored = site.accepted.by_uuid.get(uuid)
    if stored:
        for reason in endorsement.check_succession(
                stored.signed.image_list, image_list):
            raise TrustError(reason.message, reason.code)
    return given


def _action(verdict: Verdict, held: Held) -> str:
    return _ACTIONS[next_status(verdict, held)]
