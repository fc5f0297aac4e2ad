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

"""Requests that bring no bytes, but could make others count.

Each is judged before Glance sees it, and whoever may not do it reads why.
What Glance's own policy refuses is left to Glance, and so is a request
that it will not understand.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools
import io
import json
import string
from typing import Any

import webob
import webob.exc

from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks import body
from hepix_vm.glance_hooks import derived
from hepix_vm.glance_hooks import images
from hepix_vm.glance_hooks import preflight
from hepix_vm.held import Held
from hepix_vm.held import STATUSES
from hepix_vm import properties
from hepix_vm.trust import inline
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

# A document with 128 properties, each as long as Glance can keep it.
_MAX_DOCUMENT = 10 * 1024 * 1024  # bytes
# What an image can become that was its owner's alone.
_SEEN = frozenset({'shared', 'community', 'public'})
# Attributes of Glance's image that its API lets users change.
_CHANGEABLE = frozenset({
    'container_format', 'disk_format', 'locations', 'min_disk', 'min_ram',
    'name', 'os_hidden', 'protected', 'tags', 'visibility'})
# What else it keeps there.
_OBJECTS = frozenset({'base', 'context', 'helper'})


class Forbidden(webob.exc.HTTPForbidden):
    """A refusal of what may not be done at all."""

    body_template_obj = string.Template('${explanation}')


class Guarded:
    """One request that is looked at.

    :param gate: who judges
    :param action: as :mod:`hepix_vm.glance_hooks.routing` names it
    """

    def __init__(self, gate: Gate, environ: body.Environ, action: str,
                 image_id: str) -> None:
        self.gate = gate
        self.environ = environ
        self.action = action
        self.image_id = image_id
        self.context = webob.Request(environ).context

    @functools.cached_property
    def image(self) -> Any | None:
        """The image as an administrator sees it, if the user sees it."""
        if not self.image_id:
            return None
        return images.find_visible(self.context, self.image_id)

    @functools.cached_property
    def held(self) -> Held | None:
        """The image, if it has its bytes."""
        if self.image is None or self.image.status not in STATUSES:
            return None
        return images.held(self.image, self.context)

    @functools.cached_property
    def data(self) -> bytes:
        """The body, which whoever comes next can read as well.

        :raises webob.exc.HTTPBadRequest: it cannot be read
        :raises webob.exc.HTTPRequestEntityTooLarge: it is too long
        """
        read = body.source_of(self.environ).read
        data = b''
        while part := _read(read, _MAX_DOCUMENT + 1 - len(data)):
            data += part
            if len(data) > _MAX_DOCUMENT:
                raise webob.exc.HTTPRequestEntityTooLarge(
                    explanation=f'A document of more than {_MAX_DOCUMENT} '
                                f'bytes is not read.')
        body.replace(self.environ, data)
        return data

    @functools.cached_property
    def document(self) -> Any:
        """The JSON of the body.

        :raises webob.exc.HTTPBadRequest: it is none
        """
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:
            raise webob.exc.HTTPBadRequest(
                explanation='The body of the request is not JSON.') from error

    def forget(self) -> None:
        """Let go of the body: Glance makes a document of its own of it."""
        for name in ('data', 'document'):
            self.__dict__.pop(name, None)

    @property
    def by_operator(self) -> bool:
        """Whether an operator of this cloud asks."""
        context = self.context
        # Glance writes roles in small letters.
        role = self.gate.settings.operator_role.lower()
        return bool(context.is_admin or role in context.roles)

    def judge(self, held: Held) -> Verdict:
        """Return the verdict on the image; a refusal is journalled."""
        # Who asks is known, other than who brought the bytes once.
        known = images.subject_of(self.image, self.context, self.gate.now())
        case = self._case(dataclasses.replace(
            held.subject(self.gate.now()), roles=known.roles,
            domains=known.domains))
        verdict = case.look()
        if not verdict.endorsed:
            case.record(verdict)
        return verdict

    def close(self, message: str) -> None:
        """Refuse what nobody, or this user, may do.

        :raises Forbidden: unless the mode lets it pass
        """
        self.refuse([Reason(Code.ROUTE_CLOSED, message)], Forbidden)

    def refuse(self, reasons: Iterable[Reason],
               kind: type[webob.exc.HTTPException]) -> None:
        """Refuse for these reasons, if there are any.

        :raises webob.exc.HTTPException: unless the mode lets it pass
        """
        subject = (images.subject_of(self.image, self.context,
                                     self.gate.now())
                   if self.image is not None
                   else images.subject_without_image(
                       self.context, self.gate.now()))
        for reason in reasons:
            verdict = self._case(subject).refuse(reason)
            if not verdict.allowed:
                raise kind(explanation=verdict.explain())

    def _case(self, subject: Subject) -> Case:
        return Case(self.gate, subject, route=self.action, **images.who(
            self.image, self.context))


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    try:
        return read(size)
    except OSError as error:
        # Such as uWSGI of chunks that are none.
        raise webob.exc.HTTPBadRequest(
            explanation='The body of the request cannot be read.') from error


def check(request: Guarded) -> None:
    """Judge a request.

    :raises webob.exc.HTTPException: it is refused
    """
    guard = _GUARDS.get(request.action)
    if guard is not None:
        guard(request)


def _create(request: Guarded) -> None:
    if not isinstance(request.document, Mapping):
        # Glance would read all of it anew, and fail.
        raise webob.exc.HTTPBadRequest(
            explanation='An image is described by an object.')
    context = request.context
    if not context.is_admin and request.document.get(
            'owner', context.project_id) != context.project_id:
        # Glance looks at it by the rule add_image alone, which sites change.
        raise Forbidden(explanation='You cannot make images of others.')
    if derived.from_service(request.environ, request.context):
        if not request.document.keys().isdisjoint(properties.VOLUMES):
            request.refuse([Reason(
                Code.DERIVED_REFUSED, 'The image of a server that runs from '
                'a volume names snapshots of volumes, whose origin cannot be '
                'proved.')], Forbidden)
        body.replace(request.environ,
                     derived.without_inherited(request.document))
    else:
        _ours(request, request.document)


def _update(request: Guarded) -> None:
    # Before the image: whoever sends his body late would else be judged by
    # what the image was when he began.
    changes = _changes(request)
    if derived.from_service(request.environ, request.context):
        body.replace(request.environ, derived.without_kernel(
            request.document, changes))
    # Each thing once: a document has room for 200000 changes.
    names = {change['path'][0]: None for change in changes}
    # Also of an image that is not there yet: it may be when Glance looks.
    _attributes(request, names)
    if 'locations' in names:
        request.close('Locations of images are not changed in this cloud.')
    _ours(request, names)
    if request.image is None:
        return
    for visibility in _visibilities(changes):
        # As it is to be: other rules may hold for it then.
        _use(request, visibility=visibility)
    if properties.ENDORSEMENT in names and request.held is not None:
        _endorsement(request, request.held, [
            change for change in changes
            if change['path'][0] == properties.ENDORSEMENT])


def _attributes(request: Guarded, names: Iterable[str]) -> None:
    """Refuse to change what no API says can be changed, in any mode.

    With the operation add Glance sets every attribute of its own object:
    by owner anybody makes records of the ledger, and by image_id his
    change is saved in another image.
    """
    from glance.domain import proxy

    for name in names:
        if name == 'owner' and request.context.is_admin:
            continue
        if name not in _CHANGEABLE and (
                name in _OBJECTS or hasattr(proxy.Image, name)):
            raise Forbidden(explanation=f'{name} of an image cannot be '
                                        f'changed.')


def _visibilities(changes: Iterable[dict[str, Any]]) -> set[str]:
    """Return how an image is to be seen by others; at worst by all."""
    wanted = {str(change.get('value')) for change in changes
              if change['path'][0] == 'visibility'} - {'private'}
    return {each if each in _SEEN else 'public' for each in wanted}


def _changes(request: Guarded) -> list[dict[str, Any]]:
    """Return the changes of a PATCH as Glance itself will read them."""
    from glance.api.v2 import images as api

    if not isinstance(request.document, list):
        raise webob.exc.HTTPBadRequest(
            explanation='Changes of an image are a list.')
    copy = webob.Request({**request.environ,
                          'wsgi.input': io.BytesIO(request.data)})
    changes: list[dict[str, Any]] = api.RequestDeserializer().update(
        copy)['changes']
    return changes


def _ours(request: Guarded, names: Iterable[str]) -> None:
    """Refuse to write what only we and operators write."""
    for name in names:
        if properties.is_ours(name) and not request.by_operator:
            request.close(f'The property {name} is written by this cloud '
                          f'alone.')


def _endorsement(request: Guarded, held: Held,
                 changes: list[dict[str, Any]]) -> None:
    """Let an endorsement of an image that has its bytes be renewed only."""
    change = changes[-1]
    if len(changes) > 1:
        request.close('One request changes the endorsement of an image '
                      'once.')
    if change['op'] == 'remove':
        request.close('The endorsement of an image that has its data cannot '
                      'be removed, only renewed.')
        return
    new = change['value']
    old = held.extra.get(properties.ENDORSEMENT, '')
    if not isinstance(new, str):
        return
    subject = held.subject(request.gate.now())
    if old:
        request.refuse(inline.check_renewal(
            old, new, subject.came_as or subject.sha512,
            request.gate.site().trust), body.Refused)
    body.refuse(request.judge(dataclasses.replace(
        held, extra={**held.extra, properties.ENDORSEMENT: new})))


def _import(request: Guarded) -> None:
    document = request.document
    method = document.get('method') if isinstance(document, Mapping) else None
    if isinstance(method, Mapping) and method.get('name') == 'copy-image':
        _use(request)
    elif not preflight.imports_are_judged():
        # Glance goes on without a plugin, and the filter sees no bytes.
        request.close('Imports are closed in this cloud, since nothing '
                      'judges them.')


def _reactivate(request: Guarded) -> None:
    if request.image is None:
        return
    if not request.by_operator:
        request.close('Only an operator reactivates images in this cloud.')
    _use(request)


def _use(request: Guarded, visibility: str = '') -> None:
    """Refuse to spread an image that would not be let in today.

    :param visibility: what it will have, if that changes
    """
    held = request.held
    if held is not None:
        verdict = request.judge(dataclasses.replace(
            held, visibility=visibility or held.visibility))
        if not verdict.allowed:
            raise Forbidden(explanation=verdict.explain())


def _add_location(request: Guarded) -> None:
    if request.image is not None:
        request.close('Locations are not added to images in this cloud.')


def _create_task(request: Guarded) -> None:
    request.close('Tasks are not made in this cloud.')


_GUARDS: Mapping[str, Callable[[Guarded], None]] = {
    'create': _create, 'update': _update, 'import': _import,
    'reactivate': _reactivate, 'share': _use, 'add_location': _add_location,
    'create_task': _create_task,
}
