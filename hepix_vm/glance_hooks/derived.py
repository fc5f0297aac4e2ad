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

"""Uploads of images that Nova makes of servers.

Users can write into the very requests that Nova sends for them: metadata
of createImage comes before Nova's own. So nothing that a request says of
a server is believed. What counts is the service token, which proves that a
service of this cloud sends it, and what Nova itself has on record.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any

from oslo_log import log as logging

from hepix_vm.errors import cause_of
from hepix_vm.errors import Code
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks import body
from hepix_vm.glance_hooks import images
from hepix_vm.glance_hooks import service
from hepix_vm.held import Held
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm import servers
from hepix_vm.trust import derived
from hepix_vm.trust.derived import Origin
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Exemption
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

# As keystonemiddleware has it by default, in service_token_roles.
ROLE = 'service'


def from_service(environ: body.Environ, context: Any) -> bool:
    """Return whether a service of this cloud sends a request for a user.

    keystonemiddleware sets the status; a token that is no service's is
    Invalid.
    """
    return (environ.get('HTTP_X_SERVICE_IDENTITY_STATUS') == 'Confirmed'
            and ROLE in map(str.lower, context.service_roles))


def origin_of(gate: Gate, environ: body.Environ, context: Any, image: Any,
              subject: Subject) -> Origin | None:
    """Return where an image comes from that a service brings.

    :param image: as its repository returns it
    :returns: None if no service brings it
    """
    if not from_service(environ, context):
        return None
    try:
        choice = derived.choice_for(
            subject, gate.site().policy.derived_images)
        if choice is Choice.REFUSE:
            return _refused('This site takes no images made from servers or '
                            'volumes.')
        return _recorded(gate, image, context, choice)
    except Exception as error:
        LOG.exception('It cannot be told what an image was made from')
        return Origin(
            reasons=(Reason(Code.INTERNAL_ERROR, 'It cannot be told now from '
                            'which server the image was made.'),),
            cause=cause_of(error))


def _recorded(gate: Gate, image: Any, context: Any,
              choice: Choice) -> Origin:
    """Return where an image comes from by Nova's record."""
    # What an administrator makes of the server of others is his own.
    found = servers.being_imaged(
        service.compute(), None if context.is_admin else image.owner)
    if not found:
        return _refused('Nova makes no image of a server now that this one '
                        'could be.')
    bases = {server.image_id for server in found}
    if choice is Choice.ALLOW:
        known = len(bases) == 1 and _base(bases.pop(), context)
        return Origin(kernel=_kernel(known) if known else {})
    if '' in bases:
        return _refused('A server of which this may be an image runs from a '
                        'volume, whose origin cannot be proved.')
    if len(bases) > 1:
        return _refused('Images are made now of several servers of which '
                        'this may be one, and they run from different '
                        'images; make them one after the other.')
    return _from_base(gate, bases.pop(), context)


def _base(base_id: str, context: Any) -> Held | None:
    """Return the image from which a server ran, if it is there."""
    image = images.find(images.repository(context), base_id)
    if image is None or image.status not in STATUSES:
        return None
    return images.held(image)


def _kernel(base: Held) -> dict[str, str]:
    return {name: base.extra[name] for name in properties.KERNEL
            if name in base.extra}


def _from_base(gate: Gate, base_id: str, context: Any) -> Origin:
    held = _base(base_id, context)
    if held is None:
        return _refused(f'The image {base_id}, from which the server ran, '
                        f'is not there any more.')
    subject = dataclasses.replace(
        held.subject(gate.now()), projects=frozenset({held.owner}))
    if not subject.sha512 and not subject.came_as:
        return _refused(f'Glance knows no SHA-512 of the image {base_id}, '
                        f'from which the server ran.')
    return Origin(subject, _kernel(held))


def _refused(message: str) -> Origin:
    return Origin(reasons=(Reason(Code.DERIVED_REFUSED, message),))


def without_inherited(document: Mapping[str, Any]) -> bytes:
    """Return the body of a request for an image without our properties.

    Nova copies the properties of the image that a server runs from, each
    cut at 255 characters, into the request for the image that it makes.
    """
    return json.dumps({name: value for name, value in document.items()
                       if not properties.is_inherited(name)}).encode()


def without_kernel(document: list[Any],
                   changes: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the body of a PATCH without what servers boot besides a disk.

    Nova names it again, right before it sends the bytes.

    :param changes: the document as Glance reads it
    """
    return json.dumps([
        each for each, change in zip(document, changes, strict=True)
        if change['path'][0] not in properties.KERNEL]).encode()


def properties_of(verdict: Verdict,
                  origin: Origin | None) -> dict[str, str | None]:
    """Return what an image that was let in as derived bears besides.

    What its owner said of endorsements before it had bytes does not stay.
    """
    if verdict.exemption is not Exemption.DERIVED or origin is None:
        return {}
    return {properties.ENDORSEMENT: None, **origin.kernel}
