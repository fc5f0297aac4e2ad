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

"""Who may endorse what at a site, and for how long that can be checked."""

from collections.abc import Iterator
import dataclasses
import datetime
import enum

from hepix_vm.errors import Code
from hepix_vm.site import Site
from hepix_vm.trust.anchors import Authority
from hepix_vm.trust.crl import CrlPolicy
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.settings import AcceptedEndorser

GOOD = 'good'


class CrlState(enum.StrEnum):
    """What the CRL of a CA is worth now."""

    FRESH = 'fresh'
    STALE = 'stale'
    MISSING = 'missing'
    IGNORED = 'ignored'  # by crl_policy


@dataclasses.dataclass(frozen=True, slots=True)
class Pinned:
    """An endorser whom a site accepts.

    :param list_uuid: for which list; empty for messages that come with
        images, by policy.yaml
    :param authority: his CA; None if it is not trusted here
    :param expires: when his own certificate does, as far as a list that
        he signed is here, UTC
    :param state: :data:`GOOD`, or the code of what speaks against him
    """

    endorser: AcceptedEndorser
    list_uuid: str
    authority: Authority | None
    crl: CrlState
    expires: datetime.datetime | None
    state: str


def pinned(site: Site, at: datetime.datetime) -> Iterator[Pinned]:
    """Yield all endorsers: those of policy.yaml, and then those of lists.

    :param at: the time to judge for, UTC
    """
    for endorser in site.policy.endorsers:
        yield _pinned(endorser, '', site, at)
    for block in site.subscriptions.blocks:
        for endorser in block.subscription.endorsers:
            yield _pinned(endorser, block.subscription.uuid, site, at)


def _pinned(endorser: AcceptedEndorser, uuid: str, site: Site,
            at: datetime.datetime) -> Pinned:
    authority = site.anchors.authority(endorser.ca)
    crl = _crl(authority, site.trust.chain.crl_policy, at)
    signed = max((
        each.signed for each in site.accepted.by_uuid.values()
        if each.signed.signed_by(endorser.dn, endorser.ca)),
        key=_expires, default=None)
    state = _of_chain(signed, site, at) if signed else (
        _of_authority(authority, crl, site, at))
    return Pinned(endorser, uuid, authority, crl,
                  _expires(signed) if signed else None, state)


def _expires(signed: SignedList) -> datetime.datetime:
    return signed.certificate.not_valid_after_utc


def _crl(authority: Authority | None, policy: CrlPolicy,
         at: datetime.datetime) -> CrlState:
    if policy is CrlPolicy.IGNORE:
        return CrlState.IGNORED
    if authority is None or authority.crl_due is None:
        return CrlState.MISSING
    return CrlState.FRESH if authority.crl_due >= at else CrlState.STALE


def _of_chain(signed: SignedList, site: Site, at: datetime.datetime) -> str:
    """Return the state of one whose certificate is known."""
    reasons = site.anchors.check_chain(
        signed.certificate, signed.certificates, at, site.trust.chain)
    return str(reasons[0].code) if reasons else GOOD


def _of_authority(authority: Authority | None, crl: CrlState, site: Site,
                  at: datetime.datetime) -> str:
    """Return the state of one of whom only the CA is known."""
    if authority is None or authority.expires < at:
        return str(Code.UNTRUSTED_CA)
    if crl is CrlState.STALE:
        return str(Code.CRL_EXPIRED)
    required = site.trust.chain.crl_policy is CrlPolicy.REQUIRE
    if crl is CrlState.MISSING and required:
        return str(Code.CRL_MISSING)
    return GOOD
