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
import random
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.gate import Gate
from hepix_vm.held import Held
from hepix_vm.held import judge
from hepix_vm.held import LOCK
from hepix_vm.held import Outcome
from hepix_vm.held import STATUSES
from hepix_vm.projects import name_of
from hepix_vm import properties
from hepix_vm.trust.policy import Subject

LOG = logging.getLogger(__name__)

_RANDOM = random.SystemRandom()
_TRIES = 20
_PAUSE = 0.1  # seconds at most until the next; others try as well


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


def new(context: Any, **values: Any) -> Any:
    """Return a new image that is in no repository yet.

    :param context: who makes it
    :param values: as Glance's image factory takes them
    """
    return _gateway().get_image_factory(context).new_image(**values)


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


def who(image: Any | None, context: Any) -> dict[str, str]:
    """Return who asks, for the journal."""
    owner = context.project_id if image is None else image.owner
    return {'project': owner or '', 'user': context.user_id or '',
            'request': context.request_id or ''}


def subject_without_image(context: Any, at: datetime.datetime) -> Subject:
    """Return what the gate needs to know of a request on no image."""
    return Subject(at=at, **_whose(context.project_id, context))


def _whose(owner: str | None, context: Any) -> dict[str, Any]:
    """Return what is known of an image's owner, and of who asks."""
    own = context.project_id == owner
    projects = {owner, name_of(context) if own else ''}
    domains = {context.project_domain_id, context.project_domain_name}
    return {
        'projects': frozenset(filter(None, projects)), 'names_known': own,
        'domains': frozenset(filter(None, domains)) if own else None,
        'roles': frozenset(context.roles)}


def subject_of(image: Any, context: Any, at: datetime.datetime,
               size: int | None = None, altered_by: str = '') -> Subject:
    """Return what the gate needs to know of an image.

    :param image: the image as its repository returns it
    :param context: the context of the request that brings the bytes
    :param at: now, UTC
    :param size: number of bytes that come, where known
    :param altered_by: what will alter the bytes after they were judged
    """
    return Subject(
        at=at, image_id=image.image_id, visibility=image.visibility,
        **_whose(image.owner, context),
        created=image.created_at.replace(tzinfo=datetime.UTC),
        endorsement=image.extra_properties.get(properties.ENDORSEMENT, ''),
        disk_format=image.disk_format or '',
        container_format=image.container_format or '', size=size,
        meant=(image.extra_properties.get('hepix_sha512', '')
               if properties.SUBSCRIPTION in image.extra_properties else ''),
        digest_kept=_keeps_sha512(image) and not altered_by,
        altered_by=altered_by)


def _keeps_sha512(image: Any) -> bool:
    """Return whether Glance will know the digest that lists have."""
    kept: str = image.os_hash_algo or cfg.CONF.hashing_algorithm
    return kept == 'sha512'


def mark(repo: Any, image_id: str,
         values: Mapping[str, str | None]) -> None:
    """Replace the properties that we write by these.

    :param repo: the administrator's repository
    """
    image = repo.get(image_id)
    replace(image.extra_properties, values)
    # Not if somebody deactivated it meanwhile.
    repo.save(image, from_state=image.status)


def mark_or_log(repo: Any, image_id: str,
                values: Mapping[str, str | None]) -> None:
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


def release(repo: Any, image_id: str) -> None:
    """Note that somebody else wants an image out of use."""
    image = find(repo, image_id)
    if image is not None and (
            properties.WITHDRAWN in image.extra_properties.keys()):
        del image.extra_properties[properties.WITHDRAWN]
        repo.save(image, from_state=image.status)


def held(image: Any, context: Any | None = None) -> Held:
    """Return an image that has its bytes, as it is judged.

    :param context: of a request, if there is one
    """
    own = context is not None and context.project_id == image.owner
    extra = image.extra_properties
    return Held(
        image_id=image.image_id, status=image.status,
        owner=image.owner or '',
        created=image.created_at.replace(tzinfo=datetime.UTC),
        projects=frozenset(filter(None, {name_of(context) if own else ''})),
        names_known=own, visibility=image.visibility,
        disk_format=image.disk_format or '',
        container_format=image.container_format or '', size=image.size,
        sha512=(image.os_hash_value or ''
                if image.os_hash_algo == 'sha512' else ''),
        extra={name: extra[name] for name in extra.keys()})


def settle(gate: Gate, repo: Any, image_id: str, context: Any | None = None,
           **who: str) -> bool:
    """Make an image that has its bytes what the verdict on it says.

    Glance saves whole rows: whoever saves an image that he read before it
    was taken out of use puts it back. So this follows every such save.

    :param repo: the administrator's repository
    :param context: of the request that may have changed the image
    :param who: what the journal says: route, user, request
    :returns: False where an import still holds the image
    """
    from glance.common import exception

    for _ in range(_TRIES):
        image = find(repo, image_id)
        if image is None or image.status not in STATUSES:
            return True
        if LOCK in image.extra_properties.keys():
            return False
        outcome = judge(gate, held(image, context), **who)
        if outcome.nothing:
            return True
        try:
            if not _apply(repo, image, outcome):
                return True
        except (exception.NotFound, exception.Conflict,
                exception.InvalidImageStatusTransition):
            LOG.info('The image %s changed while it was settled', image_id)
            time.sleep(_RANDOM.uniform(0, _PAUSE))
    LOG.error('The image %s changes too often to be settled; the sweep '
              'will', image_id)
    return True


def _apply(repo: Any, image: Any, outcome: Outcome) -> bool:
    """Carry out what was decided; return whether all could be written."""
    from glance.common import exception

    before = image.status
    # At once: nobody finds an image that we took out of use unmarked.
    _move(image, outcome.status)
    try:
        _write(image.extra_properties, outcome.values)
        repo.save(image, from_state=before)
    except (exception.NotFound, exception.Conflict):
        raise
    except Exception:
        # The database may not take them, and its owner may have as many
        # properties as Glance allows. They are a display: taking an image
        # out of use does not wait for them.
        LOG.exception('The properties of the image %s cannot be written',
                      image.image_id)
        if outcome.status == 'deactivated':
            image = repo.get(image.image_id)
            _move(image, outcome.status)
            repo.save(image, from_state=before)
        return False
    return True


def _move(image: Any, status: str) -> None:
    if status == 'deactivated':
        image.deactivate()
    elif status:
        image.reactivate()


def replace(extra: MutableMapping[str, str],
            values: Mapping[str, str | None]) -> None:
    """Take out the properties of a verdict, and put in these.

    :param values: None takes out a property of others
    """
    # Glance's own mapping iterates over nothing; it has keys() all the same.
    for name in filter(properties.is_of_verdict, list(extra.keys())):
        del extra[name]
    _write(extra, values)


def _write(extra: MutableMapping[str, str],
           values: Mapping[str, str | None]) -> None:
    """Set properties, or with None take them out."""
    for name, value in values.items():
        # One at a time: dict.update would pass by Glance's protections.
        if value is not None:
            extra[name] = value
        elif name in extra.keys():
            del extra[name]
