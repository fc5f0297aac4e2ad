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

"""From signed messages to endorsements.

Whoever loads a message verifies it, whether it came with an image
(:mod:`hepix_vm.trust.inline`) or lies among the lists that the site accepted
(:class:`AcceptedLists`).
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from cryptography import x509

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.trust.anchors import ChainSettings
from hepix_vm.trust.anchors import TrustAnchors
from hepix_vm.trust import envelope
from hepix_vm.trust.holding import Holder
from hepix_vm.trust.holding import Holders
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import Endorser
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust import names
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import list_dates
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Subscription
from hepix_vm.trust.verdict import Reason

_LONGEST_NAME = 1024  # characters of a DN; comparing them takes its time

# Reasons that come from something remote being late. A list that was
# accepted stays accepted in spite of them; it is stale.
STALE = frozenset({Code.CRL_MISSING, Code.CRL_EXPIRED, Code.SIGNER_EXPIRED})


@dataclasses.dataclass(frozen=True, slots=True)
class TrustSettings:
    """How messages are verified.

    :param crl_grace: how long a stale list still admits new images
    :param max_bytes: longest message
    :param allow_sha1: whether old lists signed with SHA-1 count
    """

    chain: ChainSettings = ChainSettings()
    crl_grace: datetime.timedelta = datetime.timedelta(hours=72)
    max_bytes: int = imagelist.DEFAULT_MAX_BYTES
    allow_sha1: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class SignedList:
    """A list whose signature is good; its chain is judged when it counts.

    A chain holds at a point in time, so it is asked for again and again,
    while a signature is verified once.

    :param signer: who signed, read from the certificate
    :param certificates: all others that came with the message
    """

    image_list: ImageList
    signer: Endorser
    certificate: x509.Certificate
    certificates: tuple[x509.Certificate, ...]

    def signed_by(self, dn: str, ca: str) -> bool:
        """Return whether a pair of DNs names the signer and its CA."""
        return (names.same(self.certificate.subject, dn)
                and names.same(self.certificate.issuer, ca))

    def reasons(self, anchors: TrustAnchors, at: datetime.datetime,
                settings: TrustSettings) -> tuple[Reason, ...]:
        """Return why the signer cannot be relied upon at a time."""
        reasons = anchors.check_chain(
            self.certificate, self.certificates, at, settings.chain)
        stated = self.image_list.endorser
        if not self.signed_by(stated.dn, stated.ca):
            signer = self.signer
            reasons += (Reason(
                Code.ENDORSER_MISMATCH, f'The list says that {stated.dn} '
                f'(CA {stated.ca}) endorses it, but {signer.dn} (CA '
                f'{signer.ca}) signed it.'),)
        return reasons


def open_list(message: bytes, settings: TrustSettings) -> SignedList:
    """Verify the signature of a message and read the list in it.

    :raises TrustError: the message is not signed as it should be, or
        holds something else than an image list
    """
    signed = envelope.verify(message, max_bytes=settings.max_bytes,
                             allow_sha1=settings.allow_sha1)
    image_list = imagelist.parse(signed.content, settings.max_bytes)
    try:
        signer = Endorser(
            names.one_line(signed.signer.subject),
            names.one_line(signed.signer.issuer),
            image_list.endorser.email, image_list.endorser.creator)
    except ValueError as error:
        raise MalformedError(
            'The names in the certificate of the signer cannot be '
            'read.') from error
    if max(len(signer.dn), len(signer.ca)) > _LONGEST_NAME:
        raise MalformedError(
            f'A name in the certificate of the signer has more than '
            f'{_LONGEST_NAME} characters.')
    return SignedList(image_list, signer, signed.signer,
                      signed.certificates)


@dataclasses.dataclass(frozen=True, slots=True)
class AcceptedList:
    """A list that the site accepted, and what it pinned for it."""

    signed: SignedList
    subscription: Subscription


class AcceptedLists:
    """The lists that the site accepted, by list, image and digest.

    :param lists: in the order of the subscriptions; where two lists claim
        one image identifier and none held it before, the first holds it
    :param holders: which list held an image before, by its identifier
    :param unpinned: UUIDs of subscribed lists that are there, but signed
        by nobody whom the site pinned for them
    """

    def __init__(self, lists: Sequence[AcceptedList] = (),
                 subscriptions: Iterable[Subscription] = (),
                 holders: Mapping[str, Holder] | None = None,
                 unpinned: Collection[str] = ()) -> None:
        self.by_uuid = {
            item.signed.image_list.identifier: item for item in lists}
        self.subscriptions = {item.uuid: item for item in subscriptions}
        self._unpinned = frozenset(unpinned)
        self.holders = Holders(
            ((entry.identifier, uuid)
             for uuid, item in self.by_uuid.items()
             for entry in item.signed.image_list.images),
            self.subscriptions.keys() - self.by_uuid.keys(), holders or {})
        self._by_digest: dict[
            str, list[tuple[AcceptedList, ImageEntry]]] = {}
        self._sizes: set[int] = set()
        # What was asked of the chains last, and the answers by list.
        self._chains: tuple[object, dict[str, tuple[Reason, ...]]] = (
            None, {})
        for item in lists:
            for entry in item.signed.image_list.images:
                self._by_digest.setdefault(entry.sha512, []).append(
                    (item, entry))
                self._sizes.add(entry.size)

    def replaced(self, lists: Iterable[AcceptedList]) -> 'AcceptedLists':
        """Return these, with some lists in the place of theirs or added."""
        known = dict(self.by_uuid)
        subscriptions = dict(self.subscriptions)
        for item in lists:
            known[item.subscription.uuid] = item
            subscriptions[item.subscription.uuid] = item.subscription
        return AcceptedLists(
            [known[uuid] for uuid in subscriptions if uuid in known],
            subscriptions.values(), self.holders.known,
            self._unpinned - known.keys())

    def may_hold(self, size: int | None) -> bool:
        """Return whether any list has an image of this size in bytes.

        :param size: None when it is not known yet
        """
        return bool(self._sizes) if size is None else size in self._sizes

    def conflict(self, image: str, uuid: str) -> tuple[Reason, ...]:
        """Return why a list may not have an image, as far as known here.

        :param image: ``dc:identifier`` of the image
        :param uuid: ``dc:identifier`` of the list that claims it
        """
        return self.holders.conflict(image, uuid)

    def awaited(self, subject: Subject) -> tuple[Found, ...]:
        """Return why an image that is in use cannot be judged here.

        It came by a list that the site follows, and that is not here, or
        not in the version that counts. Whoever has the list judges it.
        An image with an endorsement of its own is judged by that.
        """
        uuid = subject.listed_by
        if subject.endorsement or uuid in self._unpinned or (
                uuid not in self.subscriptions):
            return ()
        held = self.by_uuid.get(uuid)
        newest = subject.ledger.newest(uuid)
        if held and imagelist.compare_versions(
                held.signed.image_list.version, newest) >= 0:
            return ()
        version = f'version {newest} of ' if newest else ''
        return (Found(None, (Reason(
            Code.LIST_ROLLBACK, f'The image came by the list {uuid}, and '
            f'{version}that list is not on this controller.'),)),)

    def find(self, subject: Subject, anchors: TrustAnchors,
             settings: TrustSettings) -> tuple[Found, ...]:
        """Return what the lists say of the digest of an image."""
        return tuple(
            self._found(item, entry, subject.at, anchors, settings)
            for item, entry in self._by_digest.get(subject.sha512, ()))

    def _found(self, item: AcceptedList, entry: ImageEntry,
               at: datetime.datetime, anchors: TrustAnchors,
               settings: TrustSettings) -> Found:
        signed = item.signed
        reasons = tuple(
            reason for reason in self._chain(signed, anchors, at, settings)
            if not _within_grace(reason, at, settings.crl_grace))
        return Found(
            Endorsement(entry, signed.image_list, signed.signer,
                        signed.certificate, 'lists',
                        approved=item.subscription.approved),
            reasons + self.disagreement(
                signed, entry, item.subscription, at, anchors, settings))

    def _chain(self, signed: SignedList, anchors: TrustAnchors,
               at: datetime.datetime, settings: TrustSettings,
               ) -> tuple[Reason, ...]:
        """Return why a signer cannot be relied upon at a time.

        Who judges many images at one time asks for the same again.
        """
        asked = (anchors, at, settings)
        kept = self._chains
        if kept[0] != asked:
            kept = self._chains = asked, {}
        uuid = signed.image_list.identifier
        known = self.by_uuid.get(uuid)
        if known is None or known.signed is not signed:
            # Such as a message that came with an image.
            return signed.reasons(anchors, at, settings)
        if uuid not in kept[1]:
            kept[1][uuid] = signed.reasons(anchors, at, settings)
        return kept[1][uuid]

    def disagreement(self, signed: SignedList, entry: ImageEntry,
                     subscription: Subscription | None,
                     at: datetime.datetime, anchors: TrustAnchors,
                     settings: TrustSettings) -> tuple[Reason, ...]:
        """Return the reason when too few endorsers endorse the same bytes.

        :param signed: the message that endorses them; its own signer,
            chain and dates are judged elsewhere
        """
        if subscription is None or subscription.agree == 1:
            return ()
        # By the certificates: a pinned name may be written in many ways.
        agreed = {_who(signed)}
        late: dict[tuple[x509.Name, x509.Name], tuple[Reason, ...]] = {}
        for item, other in self._by_digest.get(entry.sha512, ()):
            if not pinned(item.signed, subscription):
                continue
            reasons = _against(
                item.signed, other, at, settings.crl_grace,
                self._chain(item.signed, anchors, at, settings))
            if not reasons:
                agreed.add(_who(item.signed))
            elif STALE.issuperset(reason.code for reason in reasons):
                late[_who(item.signed)] = reasons
        if len(agreed) >= subscription.agree:
            return ()
        # What only waits for something remote decides nothing.
        if len(agreed | late.keys()) >= subscription.agree:
            return tuple(reason for who, reasons in late.items()
                         if who not in agreed for reason in reasons)
        return self._unread(subscription) or (Reason(
            Code.NOT_ENDORSED, f'Only {len(agreed)} of the '
            f'{subscription.agree} endorsers who must agree on an image of '
            f'the list {subscription.uuid} endorse these bytes.'),)

    def _unread(self, subscription: Subscription) -> tuple[Reason, ...]:
        """Return the reason when the list of another is not here.

        Whoever has it judges the image.
        """
        ours = {(each.dn, each.ca) for each in subscription.endorsers}
        return tuple(
            Reason(Code.LIST_ROLLBACK, f'The list {uuid}, by which another '
                   f'endorser may agree, is not on this controller.')
            for uuid, other in self.subscriptions.items()
            if uuid not in self.by_uuid and not ours.isdisjoint(
                (each.dn, each.ca) for each in other.endorsers))


def _who(signed: SignedList) -> tuple[x509.Name, x509.Name]:
    return signed.certificate.subject, signed.certificate.issuer


def _against(signed: SignedList, entry: ImageEntry, at: datetime.datetime,
             grace: datetime.timedelta,
             chain: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Return why an entry of an accepted list does not count now."""
    reasons = (*list_dates(signed.image_list, at), *(
        reason for reason in chain
        if not _within_grace(reason, at, grace)))
    if entry.expires is not None and at >= entry.expires:
        reasons += (Reason(Code.IMAGE_EXPIRED, 'It expired.'),)
    return reasons


def accept(message: bytes, subscription: Subscription,
           settings: TrustSettings) -> AcceptedList:
    """Return a stored list if it is the one that was subscribed.

    :raises TrustError: it is another list, or somebody else signed it
    """
    signed = open_list(message, settings)
    uuid = signed.image_list.identifier
    if uuid != subscription.uuid:
        raise TrustError(f'The list is {uuid}, but {subscription.uuid} is '
                         f'pinned.', Code.UUID_CONFLICT)
    if not pinned(signed, subscription):
        raise TrustError(f'{signed.signer.dn} (CA {signed.signer.ca}) is '
                         f'not an endorser that is pinned for the list '
                         f'{uuid}.', Code.ENDORSER_NOT_ACCEPTED)
    return AcceptedList(signed, subscription)


def pinned(signed: SignedList, subscription: Subscription) -> bool:
    """Return whether an endorser of a subscription signed a message."""
    return any(signed.signed_by(endorser.dn, endorser.ca)
               for endorser in subscription.endorsers)


def check_succession(old: ImageList, new: ImageList) -> tuple[Reason, ...]:
    """Return why a list may not take the place of an older one.

    The identifier is constant for the life of a list and its version
    never falls (the rule of the HEPiX format, and TUF's against rollback).
    """
    if old.identifier != new.identifier:
        return (Reason(Code.UUID_CONFLICT, f'The list {old.identifier} now '
                       f'calls itself {new.identifier}.'),)
    if imagelist.compare_versions(new.version, old.version) < 0:
        return (Reason(Code.LIST_ROLLBACK, f'Version {new.version} of the '
                       f'list {new.identifier} is older than version '
                       f'{old.version}, which this site accepted.'),)
    return ()


def check_replacement(old: ImageList, new: ImageList) -> tuple[Reason, ...]:
    """Return why a list may not take the place of the accepted one.

    One that was only renewed may keep its version, but not go back.
    """
    reasons = check_succession(old, new)
    if not reasons and new.created < old.created and (
            imagelist.compare_versions(new.version, old.version) == 0):
        reasons = (Reason(
            Code.LIST_ROLLBACK, f'Version {new.version} of the list '
            f'{new.identifier} was made at '
            f'{imagelist.format_time(new.created)}; this site accepted one '
            f'of {imagelist.format_time(old.created)}.'),)
    return reasons


def _within_grace(reason: Reason, at: datetime.datetime,
                  grace: datetime.timedelta) -> bool:
    return (reason.code in STALE and reason.since is not None
            and at - reason.since <= grace)
