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
"""Bringing an image into Glance: its record, and then its bytes.

The bytes come by Glance's own web-download where that can fetch them, else
through us. Either way the gate in Glance judges them before they count.
"""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
import logging
import time
from typing import Any
import urllib.parse
import uuid

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.allowance import Allowance
from hepix_vm.exchange.body import Body
from hepix_vm.exchange.body import Refused
from hepix_vm.exchange.catalogue import Abilities
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import extra_of
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange import imports
from hepix_vm.exchange.imports import Pending
from hepix_vm.exchange.record import GLANCES
from hepix_vm.exchange.record import record_of
from hepix_vm.exchange.wanted import Wanted
from hepix_vm.gate import utcnow
from hepix_vm.held import LOCK
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import SYSTEM
from hepix_vm.trust.imagelist import format_time

LOG = logging.getLogger(__name__)

# The ids of our images are made of digests, so that two who bring the same
# bytes at once make one image.
_NAMESPACE = uuid.UUID('6b1d0f5c-3a0e-5f43-9d5c-6d2f1f0a7e31')
_MOST = 100  # ids of one digest; each deletion uses one up
# For an import that an earlier run began.
_PATIENCE = 60.0  # seconds
_SHORTEST, _LONGEST = 0.2, 5.0  # seconds between two looks
# What a verdict said of bytes that are gone.
_SAID = frozenset({
    'hepix_state', 'hepix_reason', 'hepix_altered', properties.WITHDRAWN,
    properties.UNTOLD, properties.SHARED})

# Opens a URL as the list says that it is fetched from.
Open = Callable[[Following, str], AbstractContextManager[Iterator[bytes]]]


class Courier:
    """Brings images in, several at once.

    :param catalogue: the Glance
    :param abilities: what it can do
    :param opened: opens a URL
    :param allowance: how long it may take
    :param bringer: tells who brings images in: two of the same name never do
        so at once
    :param checkpoint: called with a name between the steps
    :param advance: told of bytes that came
    """

    def __init__(self, catalogue: Catalogue, abilities: Abilities,
                 opened: Open, allowance: Allowance, bringer: str,
                 checkpoint: Callable[[str], None],
                 advance: Callable[[int], None]) -> None:
        self._catalogue = catalogue
        self._abilities = abilities
        self._opened = opened
        self._allowance = allowance
        self._bringer = bringer
        self._checkpoint = checkpoint
        self._advance = advance

    def bring(self, wanted: Wanted) -> str:
        """Bring an image in; return its id in Glance.

        :raises Refused: these are other bytes than were endorsed
        :raises Pending: somebody else's import of it goes on
        :raises HepixVmError: it cannot be had now
        """
        self._checkpoint('create')
        image, died = self._fresh(wanted)
        if died:
            # So that a server which never ends does not keep out what another
            # list knows of another place.
            wanted = Wanted.first_of(sorted(
                wanted.each,
                key=lambda each: each.image_list.identifier == died))
            image, _ = self._fresh(wanted)
        image_id = str(image['id'])
        if image['status'] in STATUSES:
            return image_id
        errors: list[HepixVmError] = []
        for each in wanted.each:
            try:
                if errors and self._allowance.over:
                    # With each description it may take as long again.
                    break
                if errors:
                    # Another list knows of another place, or size.
                    image_id = self._other(image_id, each, errors[-1])
                self._fill(image_id, each)
            except Pending:
                raise
            except HepixVmError as error:
                errors.append(error)
                if isinstance(error, ServiceError) and not error.status:
                    break
            else:
                self._checkpoint('imported')
                return image_id
        refused = [error for error in errors if isinstance(error, Refused)]
        if len(refused) == len(wanted.each):
            self._note(image_id, wanted, refused[0])
        # What may pass is tried again, whatever another list has.
        raise next((error for error in errors if error not in refused),
                   errors[0])

    def _other(self, image_id: str, wanted: Wanted,
               error: HepixVmError) -> str:
        """Return the record in which another list's description is tried.

        :param error: what came of the one before
        """
        LOG.warning('The image %s is tried as the list %s has it: %s',
                    wanted.entry.identifier, wanted.image_list.identifier,
                    error.message)
        if isinstance(error, Refused):
            # Glance may be busy with it still.
            self._catalogue.discard(image_id)
        return str(self._fresh(wanted)[0]['id'])

    def keep(self, image: Image) -> str:
        """Make an empty record in place of an image; return its id."""
        values = {name: value for name, value in extra_of(image).items()
                  if name not in _SAID and not name.startswith(GLANCES)}
        return str(self._create(
            image['hepix_sha512'], {
                **values, 'name': image['name'], 'owner': image['owner'],
                'disk_format': image['disk_format'],
                'container_format': image['container_format'],
                'min_ram': image['min_ram'], 'min_disk': image['min_disk'],
                'tags': image['tags'], 'visibility': 'private',
                properties.PARKED: format_time(utcnow())},
            again=False)['id'])

    # The record.

    def _fresh(self, wanted: Wanted) -> tuple[Image, str]:
        """Return the record of an image that can take its bytes.

        :returns: it, and the list whose description was tried before in an
            import that died; empty if none did
        """
        record = {**record_of(wanted), properties.BRINGER: self._bringer}
        image = self._create(wanted.entry.sha512, record)
        image_id = str(image['id'])
        if LOCK in image:
            if not self._ended(image_id, wanted.entry.size, _PATIENCE):
                raise Pending(
                    'An import that was begun earlier still holds it.',
                    remedy=imports.LATER)
            image = self._catalogue.find(image_id) or image
        if LOCK not in image:
            if image['status'] in (*STATUSES, 'queued'):
                return image, ''
            self._check_ours(image)
        # What a crash left; only a new record can take bytes.
        self._catalogue.discard(image_id)
        return self._create(wanted.entry.sha512, record), str(
            image.get('hepix_list_id', '')) if LOCK in image else ''

    def _check_ours(self, image: Image) -> None:
        """Make sure that nobody else brings the bytes of an image in now.

        Who does that longer than one may did not live to its end.

        :raises Pending: somebody else does
        """
        ours = (image['status'] in ('queued', 'uploading')
                and image.get(properties.BRINGER, self._bringer)
                == self._bringer)
        if not ours and imports.age(image) < (
                self._allowance.seconds + imports.SILENT):
            raise Pending('Another controller brings its bytes in.',
                          remedy=imports.LATER)

    def _create(self, sha512: str, record: dict[str, Any],
                again: bool = True) -> Image:
        """Return the image of a digest, made if there is none.

        :param again: whether one that is there will do
        """
        for number in range(_MOST):
            name = str(uuid.uuid5(_NAMESPACE, f'{sha512} {number}'))
            try:
                return self._catalogue.create(id=name, **record)
            except ServiceError as error:
                if error.status != 409:
                    raise
            there = self._catalogue.find(name)
            # The id of a deleted image, or of one of a user, is taken.
            if (again and there and there.get(properties.SUBSCRIPTION)
                    and there.get('hepix_sha512') == sha512
                    and properties.PARKED not in there):
                return self._current(there, record)
        # Users can make them all theirs, and must not keep the bytes out.
        return self._catalogue.create(**record)

    def _current(self, image: Image, record: dict[str, Any]) -> Image:
        """Bring a record up to date that waits for its bytes."""
        if image['status'] != 'queued' or LOCK in image:
            return image
        self._check_ours(image)
        stale = {name: value for name, value in record.items()
                 if image.get(name) != value and name not in ('tags',)}
        stale |= {name: None for name in (
            'hepix_state', 'hepix_reason', properties.TRIED) if name in image}
        if stale:
            self._catalogue.update(image['id'], stale)
        return image

    def _note(self, image_id: str, wanted: Wanted, error: Refused) -> None:
        """Write down that these bytes were refused.

        To fetch them again in each run would cost their size each time.
        """
        # A new record: with the old one Glance may be busy still.
        self._catalogue.discard(image_id)
        self._create(wanted.entry.sha512, {
            **record_of(wanted), 'hepix_state': 'refused', 'hepix_reason':
            properties.stored(f'{error.code}: {error.message}'),
            properties.TRIED: properties.stored(
                ' '.join(each.mark for each in wanted.each))})

    # The bytes.

    def _fill(self, image_id: str, wanted: Wanted) -> None:
        following = wanted.following
        uri = wanted.entry.uri
        # Glance would send no token and trust other certificates.
        by_glance = (
            'web-download' in self._abilities.methods
            and urllib.parse.urlsplit(uri).scheme in ('http', 'https')
            and not following.token and not following.token_file
            and following.ca_bundle == SYSTEM)
        if by_glance:
            with imports.begun(uri):
                self._catalogue.download(image_id, uri, following.stores)
            self._checkpoint('download')
        elif 'glance-direct' in self._abilities.methods:
            self._stage(image_id, wanted)
            self._checkpoint('staged')
            with imports.begun(uri):
                self._catalogue.admit(image_id, following.stores)
            self._checkpoint('import')
        else:
            raise HepixVmError(
                'Glance offers neither web-download nor glance-direct.',
                remedy='Add them to enabled_import_methods of '
                       'glance-api.conf.')
        if not self._ended(image_id, wanted.entry.size, None):
            raise HepixVmError(
                'Its import gave no sign of life any more.',
                remedy='Look into the log of glance-api; the next run begins '
                       'anew.')
        self._look(image_id, uri)
        if by_glance:
            self._advance(wanted.entry.size)

    def _stage(self, image_id: str, wanted: Wanted) -> None:
        with self._opened(wanted.following, wanted.entry.uri) as pieces:
            with imports.begun(wanted.entry.uri):
                self._catalogue.stage(image_id, Body(
                    pieces, wanted.entry.size, wanted.entry.sha512,
                    self._came))

    def _came(self, count: int) -> None:
        if self._allowance.stopped:
            raise Pending('The run was ended meanwhile.', remedy=imports.LATER)
        self._advance(count)

    def _ended(self, image_id: str, size: int,
               patience: float | None) -> bool:
        """Wait until no import holds an image.

        :param size: its bytes
        :param patience: seconds; None for as long as it gives signs of life
        :returns: whether nothing holds it, or only what is dead
        :raises Pending: the run has no more time for it
        """
        began = time.monotonic()
        while True:
            image = self._catalogue.find(image_id)
            if image is None or LOCK not in image:
                return True
            if imports.is_dead(self._catalogue.tasks(image_id), size):
                return patience is not None
            waited = time.monotonic() - began
            if patience is not None and waited > patience:
                return False
            if self._allowance.over:
                raise Pending('Glance goes on importing it.',
                              remedy=imports.LATER)
            self._allowance.wait(min(_LONGEST, max(_SHORTEST, waited / 10)))

    def _look(self, image_id: str, uri: str) -> None:
        """See what came of an import.

        :raises Refused: the gate did not let the bytes in
        :raises HepixVmError: it failed
        """
        image = self._catalogue.find(image_id)
        if image and image['status'] in STATUSES:
            return
        tasks = self._catalogue.tasks(image_id) if image else ()
        if tasks and tasks[0].get('status') in imports.ALIVE:
            # Whoever wrote the image meanwhile took away what holds it.
            raise Pending('Glance goes on importing it.',
                          remedy=imports.LATER)
        words = str(tasks[0].get('message') or '') if tasks else (
            'Somebody deleted it.')
        words = imports.shown(uri, words)
        raise imports.refusal(words) or HepixVmError(
            f'Glance could not import it: {words.rstrip(".")}.',
            remedy='Look into the log of glance-api, whether its hv:uri '
                   'answers, and whether the bytes are what hv:format says; '
                   'the next run tries again.')
