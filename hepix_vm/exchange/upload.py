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

"""An endorser's image in a cloud: brought in, and its endorsement renewed.

The way in is that of Glance's own imports: the bytes are staged, and the
gate judges them before they count. What is refused leaves nothing behind.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import logging
import time
from typing import Any
import uuid

from hepix_vm.errors import HepixVmError
from hepix_vm.errors import ServiceError
from hepix_vm.exchange.body import Body
from hepix_vm.exchange.body import Refused
from hepix_vm.exchange.catalogue import Catalogue
from hepix_vm.exchange.catalogue import Image
from hepix_vm.exchange import formats
from hepix_vm.exchange import imports
from hepix_vm.exchange.measure import Measured
from hepix_vm.exchange.oneline import clean
from hepix_vm.held import LOCK
from hepix_vm import properties
from hepix_vm.trust import envelope
from hepix_vm.trust.inline import MAX_INLINE
from hepix_vm.trust.model import ImageEntry
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)

_PIECE = 1024 * 1024  # bytes
_SHORTEST, _LONGEST = 0.2, 5.0  # seconds between two looks
# For which an import that goes on keeps an image from being deleted.
_PATIENCE = 60.0  # seconds


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a cloud made of an image, or of its new endorsement.

    :param image_id: of Glance
    :param status: of the image; ``deleted`` if it was refused and is gone
    :param state: what the cloud says of it, as ``hepix_state``
    :param reasons: why it was refused
    """

    image_id: str
    status: str
    state: str
    reasons: tuple[Reason, ...] = ()


class Uploader:
    """Brings one image in.

    :param catalogue: the Glance, asked as whoever uploads
    :param advance: told of bytes that were sent
    """

    def __init__(self, catalogue: Catalogue,
                 advance: Callable[[int], None]) -> None:
        self._catalogue = catalogue
        self._advance = advance

    def formats(self, entry: ImageEntry) -> dict[str, str]:
        """Return the formats by which Glance takes an image.

        :raises HepixVmError: it takes none
        """
        abilities = self._catalogue.abilities()
        if 'glance-direct' not in abilities.methods:
            raise HepixVmError(
                'Glance does not offer the import glance-direct.',
                remedy='Upload it with openstack image create, or ask the '
                       'operator.')
        found = formats.formats_of(entry, abilities)
        if isinstance(found, Reason):
            raise HepixVmError(found.message, found.code,
                               'Use a format that this cloud takes, or ask '
                               'the operator.')
        return {'disk_format': found[0], 'container_format': found[1]}

    def upload(self, name: str, file: Measured, message: str,
               entry: ImageEntry) -> Outcome:
        """Bring an image in.

        :param name: that it gets
        :param message: its endorsement
        :param entry: what the endorsement says of it
        :raises HepixVmError: it cannot be had now; nothing is left
        """
        values = self.formats(entry)
        file.check_unchanged()
        # Of our choice, to be known whenever this is interrupted.
        image_id = str(uuid.uuid4())
        done = None
        try:
            self._catalogue.create(
                id=image_id, name=name, **values,
                **{properties.ENDORSEMENT: message})
            done = self._fill(image_id, file)
        finally:
            if done is None or done.reasons:
                self._remove(image_id)
        return done

    def _fill(self, image_id: str, file: Measured) -> Outcome:
        try:
            with _pieces(file) as pieces:
                self._catalogue.stage(image_id, Body(
                    pieces, file.size, file.sha512, self._advance))
            self._catalogue.admit(image_id, ())
        except Refused:
            file.check_unchanged()
            raise
        except ServiceError as error:
            if reasons := imports.reasons(error.message):
                return Outcome(image_id, 'deleted', 'refused', reasons)
            raise
        return self._ended(image_id, file.size)

    def _ended(self, image_id: str, size: int) -> Outcome:
        """Wait for the end of an import."""
        began = time.monotonic()
        while True:
            image = self._catalogue.show(image_id)
            tasks = self._catalogue.tasks(image_id)
            if LOCK not in image and not (
                    tasks and tasks[0].get('status') in imports.ALIVE):
                break
            if imports.is_dead(tasks, size):
                raise HepixVmError(
                    'Its import gave no sign of life any more.',
                    remedy='Tell the operator, who finds the cause in the '
                           'log of glance-api.')
            waited = time.monotonic() - began
            time.sleep(min(_LONGEST, max(_SHORTEST, waited / 10)))
        return _outcome(image_id, image, tasks)

    def _remove(self, image_id: str) -> None:
        """Delete what an upload left; an import may hold it for a while."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._catalogue.delete(image_id)
            except ServiceError as error:
                if time.monotonic() > until or error.status != 409:
                    LOG.error('The image %s is left in Glance: %s Delete it: '
                              'openstack image delete %s', image_id,
                              error.message, image_id)
                    return None
            time.sleep(_SHORTEST)


def message_of(image: Image) -> bytes:
    """Return the endorsement that came with an image.

    :raises HepixVmError: none did
    """
    text = image.get(properties.ENDORSEMENT)
    if text:
        return envelope.from_text(str(text), MAX_INLINE)
    listed = clean(str(image.get('hepix_list_id', '')))
    raise HepixVmError(
        f'The image {image["id"]} has no endorsement of its own'
        + (f'; it came by the list {listed}.' if listed else '.'),
        remedy='A new version of the list renews it: openstack image '
               'catalog publish.' if listed else
               'Have it endorsed: openstack image endorsement create.')


def renew(catalogue: Catalogue, image_id: str, message: bytes) -> Outcome:
    """Give an image a new endorsement, as whoever owns it.

    :raises HepixVmError: Glance does not take it
    """
    try:
        catalogue.update(image_id, {
            properties.ENDORSEMENT: message.decode()})
    except ServiceError as error:
        reasons = imports.reasons(error.message)
        if not reasons:
            raise
        return _now(catalogue.show(image_id), reasons)
    # The gate looks at it once more after that.
    return _now(catalogue.show(image_id))


def _now(image: Image, reasons: tuple[Reason, ...] = ()) -> Outcome:
    return Outcome(image['id'], str(image['status']),
                   clean(str(image.get('hepix_state', ''))), reasons)


def _outcome(image_id: str, image: Image, tasks: Any) -> Outcome:
    status = str(image['status'])
    if status == 'active':
        return _now(image)
    words = str(tasks[0].get('message') or '') if tasks else ''
    if reasons := imports.reasons(words):
        return Outcome(image_id, 'deleted', 'refused', reasons)
    raise HepixVmError(
        f'Glance could not import it, and says: '
        f'{clean(words).rstrip(".") or status}.',
        remedy='Tell the operator, who finds the cause in the log of '
               'glance-api.')


@contextlib.contextmanager
def _pieces(file: Measured) -> Iterator[Iterator[bytes]]:
    with open(file.path, 'rb', buffering=0) as opened:
        yield iter(lambda: opened.read(_PIECE), b'')
