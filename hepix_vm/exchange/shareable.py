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

"""Images of a Glance that may be published to other sites.

The gate is asked anew for each of them: properties are a display.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import urllib.parse
import uuid

from hepix_vm.errors import Code
from hepix_vm.errors import TrustError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange.steady import SteadyGate
from hepix_vm.gate import Case
from hepix_vm.held import Held
from hepix_vm.held import STATUSES
from hepix_vm.publicationfile import GlanceImage
from hepix_vm.publicationfile import Publication
from hepix_vm.site import Site
from hepix_vm.trust.imagelist import compare_versions
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust.ledger import Ledger
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust import standing
from hepix_vm.trust.verdict import Reason

_NO_ADDRESS = ('Set base_url, or give the image an uri, in the file that '
               'says what is published.')


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """An image that is not published.

    :param image_id: of Glance, or ``dc:identifier`` of what it has no more
    :param final: whether nothing is published for its sake
    """

    image_id: str
    reasons: tuple[Reason, ...]
    final: bool


class Shareable:
    """Finds the images of a publication.

    :param catalogue: the images
    :param ledger: their Glance's ledger
    :param site: what the site decided
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger,
                 site: Site) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._gate = SteadyGate(site, ledger.search, journalled=False)
        self.refused: list[Refused] = []
        # By digest: what was looked at; and of that, what cannot be decided.
        self._undecided: dict[str, list[Refused]] = {}

    def collect(self, publication: Publication,
                former: ImageList | None = None) -> list[ImageEntry]:
        """Return the images, as the list will have them.

        What may not be published is added to :attr:`refused`.

        :param former: the version that is published now
        :raises HepixVmError: Glance does not say, or an image has no
            address
        """
        self._catalogue.check_administrator()
        wanted = (self._every() if publication.every_shareable
                  else self._named(publication.glance_images))
        found: dict[str, ImageEntry] = {}
        for given, image in wanted:
            endorsement = self._judge(
                held_of(image), not publication.every_shareable)
            if endorsement is None:
                continue
            entry = _entry(endorsement, given, publication)
            other = found.get(entry.identifier)
            if other is None or compare_versions(
                    entry.version, other.version) > 0:
                found[entry.identifier] = entry
            elif other.sha512 != entry.sha512 and (
                    not publication.every_shareable):
                raise TrustError(
                    f'Two images that are named are versions of one, '
                    f'{endorsement.entry.identifier}.', Code.UUID_CONFLICT,
                    'Publish the newer one only.')
        if former and publication.every_shareable:
            self._keep(former, found, publication.uuid)
        return list(found.values())

    def _keep(self, former: ImageList, found: Mapping[str, ImageEntry],
              uuid: str) -> None:
        """Refuse to drop an image for no decision of this site.

        Subscribers read that an image is not there as its revocation, which
        a list or a CRL that is late here must not become.
        """
        dropped = [entry for entry in former.images
                   if not _stays(entry, found.get(entry.identifier))]
        records = [record for record in self._ledger.all()
                   if not record.lifted] if dropped else []
        shared = {name for record in records if record.fact is Fact.SHAREABLE
                  for name in (record.value, _identifier(record.value, uuid))}
        refused = {record.value for record in Ledger(records).refusals()}
        for entry in dropped:
            if shared.isdisjoint((entry.sha512, entry.identifier)):
                continue
            if entry.sha512 in self._undecided:
                late = self._undecided[entry.sha512]
                self.refused = [
                    *(each for each in self.refused if each.image_id not in
                      {other.image_id for other in late}), *late]
            elif entry.sha512 not in refused:
                self._refuse(entry.identifier, True, Reason(
                    Code.NOT_SHAREABLE, 'Operators let others have it, and '
                    'Glance has no such image with data.'))

    def _every(self) -> Iterator[tuple[GlanceImage, Image]]:
        for image in self._catalogue.images():
            if image.get('status') in STATUSES:
                yield GlanceImage(image['id']), image

    def _named(self, images: Sequence[GlanceImage],
               ) -> Iterator[tuple[GlanceImage, Image]]:
        for given in images:
            image = self._catalogue.find(given.image_id)
            if image is not None and image.get('status') in STATUSES:
                yield given, image
            else:
                self._refuse(given.image_id, True, Reason(
                    Code.NOT_SHAREABLE, 'There is no such image, or it has '
                    'no data.'))

    def _judge(self, held: Held, asked: bool) -> Endorsement | None:
        """Return what endorses an image, if it may be published."""
        subject = held.subject(self._gate.now())
        verdict = Case(self._gate, subject).look()
        undecided = self._undecided.setdefault(
            subject.came_as or subject.sha512, [])
        if held.status == 'active' and standing.undecided(verdict):
            undecided.append(Refused(held.image_id, verdict.reasons, True))
        endorsement = verdict.endorsement
        if endorsement is None or not endorsement.shareable:
            # Whoever publishes all that is shareable does not mean it.
            if asked:
                self._refuse(held.image_id, asked, *verdict.reasons, Reason(
                    Code.NOT_SHAREABLE, 'No operator of this site lets '
                    'others have the image.'))
            return None
        reasons = list(verdict.reasons)
        if held.status != 'active':
            reasons.append(Reason(Code.NOT_SHAREABLE,
                                  f'The image is {held.status}.'))
        if held.altered:
            reasons.append(Reason(Code.NOT_SHAREABLE, 'Glance keeps other '
                                  'bytes than those that were endorsed.'))
        if reasons:
            self._refuse(held.image_id, asked, *reasons)
            return None
        return endorsement

    def _refuse(self, image_id: str, final: bool, *reasons: Reason) -> None:
        self.refused.append(Refused(image_id, reasons, final))


def _stays(former: ImageEntry, new: ImageEntry | None) -> bool:
    """Return whether a version is published on, or a newer one."""
    return new is not None and compare_versions(
        new.version, former.version) >= 0


def _identifier(identifier: str, image_list: str) -> str:
    """Return what an image of somebody else is called in a list of ours."""
    return str(uuid.uuid5(uuid.UUID(image_list), identifier))


def _entry(endorsement: Endorsement, given: GlanceImage,
           publication: Publication) -> ImageEntry:
    """Return an image as the list will have it.

    An identifier belongs to one list, so what another list has gets a new
    one: always the same, so that subscribers follow its versions.

    :raises TrustError: nobody could fetch it
    """
    entry = endorsement.entry
    identifier = entry.identifier
    if endorsement.image_list.identifier != publication.uuid:
        identifier = _identifier(identifier, publication.uuid)
    uri = given.uri or entry.uri
    if urllib.parse.urlsplit(uri).scheme not in ('http', 'https'):
        if not publication.base_url:
            raise TrustError(
                f'The image {given.image_id} has no address from which '
                f'others fetch it: its hv:uri is {uri}.', Code.MALFORMED,
                _NO_ADDRESS)
        uri = f'{publication.base_url.rstrip("/")}/{given.image_id}'
    return dataclasses.replace(entry, identifier=identifier, uri=uri,
                               expires=endorsement.expires)
