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

"""Whether a site would accept a list that it was not asked for yet."""

import dataclasses
import datetime
import pathlib

from oslo_config import cfg

from hepix_vm.errors import Code
from hepix_vm.errors import ConfigError
from hepix_vm.errors import FetchError
from hepix_vm.errors import TrustError
from hepix_vm.exchange.fetch import Fetcher
from hepix_vm.exchange.fetch import Limits
from hepix_vm.exchange import inventory
from hepix_vm.exchange.publish import differences
from hepix_vm.exchange.store import ListStore
from hepix_vm.exchange import transport
from hepix_vm.site import Site
from hepix_vm.subscriptions import Following
from hepix_vm.trust import endorsement
from hepix_vm.trust.endorsement import AcceptedList
from hepix_vm.trust.endorsement import SignedList
from hepix_vm.trust.model import ImageList
from hepix_vm.trust.verdict import Reason

_NOT_FOLLOWED = ('Look whether a list is at that address, and at the '
                 'network; --tls-ca names the CAs of its server.')


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A list, and what a site has against it.

    :param signed: None if it is no signed list at all
    :param old: the version that is stored, whose place it would take
    :param changes: what is other in it than there, a line each
    """

    reasons: tuple[Reason, ...]
    signed: SignedList | None = None
    old: ImageList | None = None
    changes: tuple[str, ...] = ()


def judge(message: bytes, site: Site, store: ListStore,
          at: datetime.datetime) -> Candidate:
    """Judge a list as a run would that fetched it now.

    The ledger is not asked; no version that only other controllers have
    is known.

    :param at: now, UTC
    :raises ConfigError: the stored version cannot be read
    """
    try:
        signed = endorsement.open_list(message, site.trust)
    except TrustError as error:
        return Candidate((Reason.of(error),))
    image_list = signed.image_list
    old = _stored(image_list.identifier, site, store)
    reasons = [*inventory.reasons_against(signed, site, at),
               *_pinning(signed, message, site)]
    if old:
        said = {reason.code for reason in reasons}
        reasons += [reason for reason
                    in endorsement.check_replacement(old, image_list)
                    if reason.code not in said]
    return Candidate(tuple(reasons), signed, old,
                     tuple(differences(old, image_list)))


def fetch(place: str, site: Site, settings: cfg.ConfigOpts.GroupAttr,
          tls_ca: str = '') -> bytes:
    """Return a list as it lies in a file, or at an address.

    :param place: a path, or an address that begins with ``https://``;
        one that is followed is asked as a run asks it
    :param settings: the group ``hepix_vm`` of the configuration
    :param tls_ca: path of the CAs of web servers; empty for what
        subscriptions.yaml says, or those of the system
    :raises ConfigError: it is another kind of address
    :raises FetchError: it does not come
    :raises TrustError: it is too long
    """
    scheme, separator, _ = place.partition('://')
    if not separator:
        following = Following(pathlib.Path(place).absolute().as_uri())
        remedy = 'Give the path of a signed list, or its https address.'
    elif scheme.lower() != 'https':
        raise ConfigError(f'{transport.shown(place)} is no address from '
                          f'which lists are fetched.',
                          remedy='Give one with https://, or a file.')
    else:
        following, remedy = next(
            ((block.following, '') for block in site.subscriptions.blocks
             if block.following and block.following.url == place),
            (Following(place), _NOT_FOLLOWED))
    if tls_ca:
        following = dataclasses.replace(following, ca_bundle=tls_ca)
    try:
        return Fetcher(following, settings.trust_anchors, Limits(
            settings.fetch_timeout, settings.fetch_retries,
            settings.max_list_bytes)).get().content or b''
    except FetchError as error:
        # The usual one is of what is followed.
        raise FetchError(error.message, remedy or error.remedy) from error


def _pinning(signed: SignedList, message: bytes,
             site: Site) -> list[Reason]:
    """Return why its endorser, or an image in it, is not accepted."""
    uuid = signed.image_list.identifier
    subscription = site.accepted.subscriptions.get(uuid)
    if subscription is None:
        return [Reason(
            Code.ENDORSER_NOT_ACCEPTED, f'The list {uuid} is not subscribed '
            f'here, so nobody is pinned for it.',
            cure='If you trust this endorser, name the list and him in '
                 'subscriptions.yaml.')]
    try:
        endorsement.accept(message, subscription, site.trust)
    except TrustError as error:
        return [Reason.of(error)]
    accepted = site.accepted.replaced([AcceptedList(signed, subscription)])
    return [reason for entry in signed.image_list.images
            for reason in accepted.conflict(entry.identifier, uuid)]


def _stored(uuid: str, site: Site, store: ListStore) -> ImageList | None:
    """Return the stored version; its signer may not be pinned any more."""
    try:
        message = store.read(uuid)
    except OSError as error:
        raise inventory.unreadable(error) from error
    found = inventory.opened(message or b'', site.trust)
    return found.image_list if found else None
