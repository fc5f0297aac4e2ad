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

"""What operators decide of an image, carried out on all that have its bytes.

Where the site's files are, that is what a sweep would do. Elsewhere the
ledger alone is known: what it refuses is taken out of use and marked, and
all else is left to the next sweep.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime

from hepix_vm.errors import ConfigError
from hepix_vm.errors import HepixVmError
from hepix_vm.errors import MalformedError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import held_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange.event import Event
from hepix_vm.exchange.event import Kind
from hepix_vm.exchange.ledger import RestLedger
from hepix_vm.exchange import marks
from hepix_vm.exchange.oneline import clean
from hepix_vm.exchange.settle import done_to
from hepix_vm.exchange.settle import Settler
from hepix_vm.exchange import tidings
from hepix_vm.exchange.word import Named
from hepix_vm.exchange.word import Register
from hepix_vm.gate import utcnow
from hepix_vm.held import Held
from hepix_vm.held import Outcome
from hepix_vm.held import refuse
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.site import Site
from hepix_vm.trust import ledger as records
from hepix_vm.trust.ledger import Fact
from hepix_vm.trust import policy
from hepix_vm.trust.policy import Found
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.verdict import Verdict

# What is said of an image that was not changed.
UNCHANGED = 'unchanged'
LATER = 'left to the next sweep'
FAILED = 'failed'


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What became of an image.

    :param done: in one word what was done, or one of those above
    :param image: as it is now; where it failed, its id alone
    :param error: why it failed
    """

    done: str
    image: Image
    error: str = ''


def by_ledger(ledger: RestLedger, held: Held,
              at: datetime.datetime) -> Verdict:
    """Return what the ledger alone says of an image and its bytes.

    :param at: now, UTC
    :returns: the digest of it is that by which the gate knows the image;
        where nothing speaks against the image, nobody endorsed it therefore
    :raises HepixVmError: the ledger cannot be read
    """
    subject = held.subject(at)
    found = ledger.search_now(
        records.names_for(held.image_id, subject.sha512, ())
        | records.names_for(held.image_id, subject.came_as, ()))
    subject = dataclasses.replace(subject, ledger=records.Ledger(found))
    if subject.came_as:
        subject = policy.as_received(subject)
    return Verdict(
        tuple(policy.check_revocation(subject, Found(None), Policy())),
        sha512=subject.sha512)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What an operator decides about.

    :param image_id: Glance's id; empty if only bytes are named
    :param sha512: by which the gate knows the bytes; empty if it knows none
    :param endorsed: ``dc:identifier``; empty if it has none
    """

    image_id: str = ''
    sha512: str = ''
    endorsed: str = ''

    @classmethod
    def of_digest(cls, digest: str) -> 'Target':
        """Return some bytes.

        :raises ConfigError: that is no digest
        """
        try:
            return cls(sha512=records.value_of(Blockable.SHA512, digest))
        except MalformedError as error:
            raise ConfigError(
                error.message, remedy='Give the 128 hexadecimal digits that '
                'sha512sum prints.') from error

    @classmethod
    def of_image(cls, ledger: RestLedger, image: Image) -> 'Target':
        """Return an image of Glance with its bytes.

        :raises HepixVmError: it has no bytes, or the ledger cannot be read
        """
        if image.get('status') not in STATUSES:
            raise HepixVmError(
                f'The image {image["id"]} is {image.get("status")} and has '
                f'no bytes.', remedy='Wait until it is active.')
        return cls(image['id'].lower(),
                   by_ledger(ledger, held_of(image), utcnow()).sha512,
                   marks.text(image, 'hepix_image_id'))

    @property
    def bytes(self) -> Named:
        """What names its bytes; without a digest, the image itself."""
        return ((Blockable.SHA512, self.sha512) if self.sha512 else
                (Blockable.GLANCE_IMAGE, self.image_id))

    def named(self, choice: str, said: bool) -> list[Named]:
        """Return what a record names, or all that may have been named.

        :param choice: approve, share or block
        :param said: whether it is said, or taken back
        :raises HepixVmError: there is nothing that could be named
        """
        if not said:
            every = [(Blockable.SHA512, self.sha512),
                     (Blockable.IMAGE, self.endorsed),
                     (Blockable.GLANCE_IMAGE, self.image_id)]
            return [(kind, value) for kind, value in every if value]
        if choice == 'share' and not self.endorsed:
            raise HepixVmError(
                f'The image {self.image_id} is not endorsed, and cannot be '
                f'published.', remedy='Have it endorsed first.')
        if choice == 'approve' and not self.sha512:
            raise HepixVmError(
                f'Glance knows no SHA-512 of the image {self.image_id}.',
                remedy='Approve it by its dc:identifier on a controller: '
                       'hepix-vm-sync approve --image.')
        return ([(Blockable.IMAGE, self.endorsed)] if choice == 'share'
                else [self.bytes])

    def images(self, catalogue: Catalogue,
               versions: bool = False) -> list[str]:
        """Return the ids of all images of Glance that it concerns.

        :param versions: whether other versions of the image are meant, too
        :raises ServiceError: Glance does not say it
        """
        asked = {'os_hash_value': self.sha512, 'hepix_sha512': self.sha512,
                 'hepix_image_id': self.endorsed if versions else ''}
        return sorted({
            *([self.image_id] if self.image_id else []),
            *(image['id'] for name, value in asked.items() if value
              for image in catalogue.images(
                  (False, True), messages=False, **{name: value})
              if image.get(name) == value
              and image.get('status') in STATUSES)})


_FACTS = {'approve': Fact.APPROVED, 'share': Fact.SHAREABLE,
          'block': Fact.BLOCKED}


def say(register: Register, choice: str, said: bool,
        named: Sequence[Named]) -> Iterator[str]:
    """Write what an operator decides, and yield what was done, in lines.

    :param choice: approve, share or block
    :param said: whether it is said, or taken back
    :param named: as :meth:`Target.named` returns it
    """
    fact = _FACTS[choice]
    if said:
        new = register.write(choice, fact, named[0])
        yield f'{named[0][1]} {fact}{"" if new else " already"}'
        return
    lifted = [f'{record.value} no longer {fact} ({clean(record.reason)})'
              for record in register.lift([fact], named)]
    yield from lifted or [f'{named[0][1]} was not {fact}']


class Hand:
    """Carries out what the ledger says now.

    :param site: what the site decided; None where its files are not here
    :param tell: tells of what became of an image; not asked without a site
    :param news: whether it was not said before, so that nobody was told yet,
        even where the gate in Glance was quicker
    """

    def __init__(self, catalogue: Catalogue, ledger: RestLedger,
                 site: Site | None, tell: Callable[[Event], None],
                 news: bool) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._site = site
        self._tell = tell
        self._news = news
        self._did: dict[str, str] = {}

    def carry_out(self, ids: Iterable[str]) -> Iterator[Done]:
        """Make images what they must be, and yield what became of each.

        What fails does not concern the others: the ledger stands, and the
        next sweep finds them.
        """
        if self._site:
            self._tell(Event(Kind.RUN_BEGINS, utcnow()))
        try:
            for image_id in ids:
                yield from self._one(image_id)
        finally:
            if self._site:
                self._tell(Event(Kind.RUN_ENDS, utcnow()))

    def _one(self, image_id: str) -> Iterator[Done]:
        try:
            if self._site:
                self._settle(image_id, self._site)
            else:
                self._withdraw(image_id)
            image = self._catalogue.find(image_id)
        except HepixVmError as failed:
            yield Done(FAILED, {'id': image_id},
                       f'{failed.message} {failed.remedy}')
            return
        # Somebody may have deleted it meanwhile.
        if image:
            yield Done(self._did.get(image_id, UNCHANGED), image)

    def _settle(self, image_id: str, site: Site) -> None:
        settler = Settler(self._catalogue, self._ledger, site, self._changed)
        settler.settle(image_id)
        image = self._catalogue.find(image_id)
        if (image and image.get('status') in STATUSES and self._news
                and image_id not in self._did):
            held = _untold(held_of(image))
            self._tell_of(held, settler.look(held))

    def _changed(self, held: Held, outcome: Outcome) -> None:
        first = held.image_id not in self._did
        # That it was taken out of use says more than that it was marked.
        if outcome.status or first:
            self._did[held.image_id] = done_to(outcome)
        # It may be out of use already, for another reason.
        self._tell_of(_untold(held) if self._news and first else held,
                      outcome)

    def _tell_of(self, held: Held, outcome: Outcome) -> None:
        event = self._site and tidings.event_of(
            held, outcome, self._site, utcnow())
        if event:
            self._tell(event)

    def _withdraw(self, image_id: str) -> None:
        """Take an image out of use if the ledger refuses it."""
        image = self._catalogue.find(image_id)
        if image is None or image.get('status') not in STATUSES:
            return
        held = held_of(image)
        verdict = by_ledger(self._ledger, held, utcnow())
        if not verdict.reasons:
            self._did[image_id] = LATER
            return
        outcome = refuse(verdict, held)
        values = dict(outcome.values)
        if 'hepix_state' in values or (self._news and not held.untold):
            values[properties.UNTOLD] = 'true'
        if outcome.status:
            self._deactivate(image_id)
        if values:
            self._catalogue.update(image_id, values)
        if not outcome.nothing:
            self._did[image_id] = done_to(outcome)

    def _deactivate(self, image_id: str) -> None:
        try:
            self._catalogue.deactivate(image_id)
        except ServiceError:
            # Who was quicker did the same.
            image = self._catalogue.find(image_id)
            if image and image['status'] == 'active':
                raise


def _untold(held: Held) -> Held:
    """Return an image of which nobody was told yet."""
    return dataclasses.replace(held, extra={
        **held.extra, properties.UNTOLD: 'true'})
