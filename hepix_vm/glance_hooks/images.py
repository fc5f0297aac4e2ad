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

"""Reading and marking Glance images, as administrator.

The properties that this project writes are protected, so neither the
user nor Glance acting as the user may write them.
"""

from collections.abc import Mapping
from collections.abc import MutableMapping
import datetime
import functools
from typing import Any

from oslo_log import log as logging

from hepix_vm.glance_hooks import properties
from hepix_vm.trust.policy import Subject

LOG = logging.getLogger(__name__)


@functools.cache
def _gateway() -> Any:
    """Return Glance's way to images, made once: it reads policy files."""
    from glance.api import policy
    from glance import db
    from glance import gateway
    from glance import notifier
    import glance_store

    return gateway.Gateway(db.get_api(), glance_store, notifier.Notifier(),
                           policy.Enforcer())


def repository(context: Any) -> Any:
    """Return Glance's image repository with an administrator's rights.

    :param context: the request's context
    """
    return _gateway().get_repo(context.elevated())


def find(repo: Any, image_id: str) -> Any | None:
    """Return an image, or None if the repository has none."""
    from glance.common import exception

    try:
        return repo.get(image_id)
    except exception.NotFound:
        return None


def find_visible(context: Any, image_id: str) -> Any | None:
    """Return an image as an administrator sees it, if the user sees it."""
    if find(_gateway().get_repo(context), image_id) is None:
        return None
    return find(repository(context), image_id)


def who(image: Any, context: Any) -> dict[str, str]:
    """Return who brings the bytes of an image, for the journal."""
    return {'project': image.owner or '', 'user': context.user_id or '',
            'request': context.request_id or ''}


def subject_of(image: Any, context: Any, at: datetime.datetime,
               size: int | None = None, altered_by: str = '') -> Subject:
    """Return what the gate needs to know of an image.

    :param image: the image as its repository returns it
    :param context: the context of the request that brings the bytes
    :param at: now, UTC
    :param size: number of bytes that come, where known
    :param altered_by: what will alter the bytes after they were judged
    """
    own = context.project_id == image.owner
    projects = {image.owner, _name(context) if own else ''}
    return Subject(
        at=at, image_id=image.image_id,
        projects=frozenset(filter(None, projects)), names_known=own,
        endorsement=image.extra_properties.get(properties.ENDORSEMENT, ''),
        disk_format=image.disk_format or '',
        container_format=image.container_format or '', size=size,
        altered_by=altered_by)


def _name(context: Any) -> str:
    """Return the name of the requester's project.

    Names are unique within a domain only, and its own administrator gives
    them: outside the default domain they carry the domain's.
    """
    name: str = context.project_name or ''
    if not name or (context.project_domain_id or 'default') == 'default':
        return name
    return f'{context.project_domain_name}/{name}'


def mark(repo: Any, image_id: str, values: Mapping[str, str]) -> None:
    """Replace the properties that we write by these.

    :param repo: the administrator's repository
    """
    image = repo.get(image_id)
    replace(image.extra_properties, values)
    # Not if somebody deactivated it meanwhile.
    repo.save(image, from_state=image.status)


def mark_or_log(repo: Any, image_id: str,
                values: Mapping[str, str]) -> None:
    """Mark an image whose bytes were taken already.

    The bytes are right whatever happens here, and the properties are a
    display: what cannot be written is logged.
    """
    try:
        mark(repo, image_id, values)
    except Exception:  # a database may raise what it likes
        LOG.exception('The image %s was accepted, but its properties '
                      'cannot be written', image_id)


def withdraw(repo: Any, image_id: str) -> None:
    """Take an image out of use."""
    image = find(repo, image_id)
    if image is not None and image.status == 'active':
        image.deactivate()
        repo.save(image)


def replace(extra: MutableMapping[str, str],
            values: Mapping[str, str]) -> None:
    """Take out all properties that only we write, and put in these."""
    # Glance's own mapping iterates over nothing; it has keys() all the same.
    for name in filter(properties.is_ours, list(extra.keys())):
        del extra[name]
    for name, value in values.items():
        # One at a time: dict.update would pass by Glance's protections.
        extra[name] = value
