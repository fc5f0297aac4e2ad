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

"""Endorsements that come with an image, as signed lists of one image."""

from hepix_vm.errors import Code
from hepix_vm.errors import MalformedError
from hepix_vm.errors import TrustError
from hepix_vm.trust.anchors import TrustAnchors
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.endorsement import AcceptedLists
from hepix_vm.trust.endorsement import check_succession
from hepix_vm.trust.endorsement import open_list
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.endorsement import TrustSettings
from hepix_vm.trust import envelope
from hepix_vm.trust import imagelist
from hepix_vm.trust.model import Endorsement
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.policy import Found
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import AcceptedEndorser
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.settings import Subscription
from hepix_vm.trust.verdict import Reason

# What the property of an image may hold, in characters: MySQL's TEXT has
# 64 KiB, and a message of one image needs about 8.
MAX_INLINE = 48 * 1024


def check_renewal(old: str, new: str, sha512: str,
                  settings: TrustSettings) -> tuple[Reason, ...]:
    """Return why one inline message may not take the place of another.

    Whether the new one endorses the image is judged elsewhere.

    :param old: the message that the image has; what cannot be read endorses
        nothing, and anything may take its place
    :param new: the one that is to come
    :param sha512: digest of the image's bytes; if only the new message is
        about them, it is their first: an image that was made from a server
        has the message of its base
    """
    try:
        before = open_list(envelope.from_text(old, MAX_INLINE), settings)
    except TrustError:
        return ()
    try:
        after = open_list(envelope.from_text(new, MAX_INLINE), settings)
    except TrustError as error:
        return (Reason.of(error),)
    # The same list may come in another form, such as base64.
    if before.image_list == after.image_list or (
            _names(after, sha512) and not _names(before, sha512)):
        return ()
    reasons = check_succession(before.image_list, after.image_list)
    if not reasons and imagelist.compare_versions(
            before.image_list.version, after.image_list.version) == 0:
        reasons = (Reason(Code.LIST_ROLLBACK, f'The image is endorsed by '
                          f'version {before.image_list.version} of this '
                          f'list; a renewal needs a higher version.'),)
    return reasons


def _names(signed: SignedList, sha512: str) -> bool:
    return any(entry.sha512 == sha512 for entry in signed.image_list.images)


def find_inline(subject: Subject, accepted: AcceptedLists, policy: Policy,
                anchors: TrustAnchors, settings: TrustSettings) -> Found:
    """Return what the endorsement says that came with an image."""
    try:
        signed = open_list(envelope.from_text(
            subject.endorsement, MAX_INLINE), settings)
        if len(signed.image_list.images) != 1:
            raise MalformedError(
                f'hepix_endorsement holds a list of '
                f'{len(signed.image_list.images)} images; exactly one is '
                f'allowed.')
    except TrustError as error:
        return Found(None, (Reason.of(error),))
    entry, = signed.image_list.images
    uuid = signed.image_list.identifier
    subscription = accepted.subscriptions.get(uuid)
    reasons = (
        signed.reasons(anchors, subject.at, settings)
        + _accepted_endorser(signed, subscription, policy, subject)
        + _as_version(signed.image_list, entry, accepted.by_uuid.get(uuid))
        + accepted.disagreement(signed, entry, subscription, subject.at,
                                anchors, settings))
    return Found(Endorsement(
        entry, signed.image_list, signed.signer, signed.certificate,
        'inline', subject.endorsement,
        subscription is None or subscription.approved), reasons)


def _accepted_endorser(signed: SignedList, subscription: Subscription | None,
                       policy: Policy, subject: Subject,
                       ) -> tuple[Reason, ...]:
    """Return why the signer may not endorse this image at this site."""
    pinned = subscription.endorsers if subscription else policy.endorsers
    ours = [endorser for endorser in pinned
            if signed.signed_by(endorser.dn, endorser.ca)]
    signer = signed.signer
    if not ours:
        where = 'for this list ' if subscription else ''
        return (Reason(Code.ENDORSER_NOT_ACCEPTED, f'{signer.dn} (CA '
                       f'{signer.ca}) is not an endorser whom this site '
                       f'accepts {where}.'.replace(' .', '.')),)
    if not any(_speaks_for(endorser, signed.image_list.vo, subject.projects)
               for endorser in ours):
        return (Reason(Code.ENDORSER_NOT_ACCEPTED, f'{signer.dn} may not '
                       f'endorse images of this VO or this project.'),)
    return ()


def _speaks_for(endorser: AcceptedEndorser, vo: str,
                projects: frozenset[str]) -> bool:
    return ((not endorser.vo or not vo or endorser.vo == vo)
            and (not endorser.projects
                 or bool(endorser.projects & projects)))


def _as_version(inline: ImageList, entry: ImageEntry,
                accepted: AcceptedList | None) -> tuple[Reason, ...]:
    """Judge a message that bears a subscribed list's UUID as a version."""
    if accepted is None:
        return ()
    current = accepted.signed.image_list
    order = imagelist.compare_versions(inline.version, current.version)
    held = current.find(entry.identifier)
    reasons: tuple[Reason, ...] = ()
    if order < 0 and held is None:
        reasons = (Reason(Code.IMAGE_REVOKED, f'Version {current.version} '
                          f'of the list {current.identifier} no longer has '
                          f'the image {entry.identifier}.'),)
    reasons += check_succession(current, inline)
    if order == 0 and (held is None or held.sha512 != entry.sha512):
        reasons += (Reason(Code.LIST_ROLLBACK, f'Version {current.version} '
                           f'of the list {current.identifier}, which this '
                           f'site accepted, does not say this of the image '
                           f'{entry.identifier}.'),)
    return reasons
