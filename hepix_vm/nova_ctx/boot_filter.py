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


"""Paste filter ``hepix_boot`` of nova-api: what boots servers.

It stands after ``keystonecontext``, so that it is known who asks. What is
refused is answered as Nova answers what it refuses itself.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
from typing import Any

from oslo_log import log as logging
import webob
import webob.exc

from hepix_vm.deadline import within
from hepix_vm.errors import Code
from hepix_vm.errors import ServiceError
from hepix_vm.nova_ctx.boot import booter_of
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.boot import NO_SOURCE
from hepix_vm.nova_ctx import bootable
from hepix_vm.nova_ctx.bootable import Asked
from hepix_vm.nova_ctx.bootable import IMAGE
from hepix_vm.nova_ctx.bootable import UNSHELVE
from hepix_vm.nova_ctx.bootable import VOLUME
from hepix_vm.nova_ctx import booted_server
from hepix_vm.nova_ctx.booted_server import Server
from hepix_vm.nova_ctx import lookup
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx.refusal import Named
from hepix_vm.nova_ctx.refusal import Refusal
from hepix_vm.trust import derived
from hepix_vm.trust.policy import Moment
from hepix_vm.trust.policy import Subject
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_LATER = '10'  # seconds after which it may be tried again


def filter_factory(global_conf: dict[str, str],
                   **local_conf: str) -> Callable[[App], App]:
    """Return the filter, as PasteDeploy asks for it.

    :raises ConfigError: hepix-vm.conf cannot be used, or has no account
    """
    del global_conf, local_conf  # hepix-vm.conf has all settings
    boots = _boots()
    return lambda app: BootFilter(app, boots)


@functools.cache
def _boots() -> Boots:
    """Return what the filters of this process share."""
    from nova import conf

    boots = Boots.of('nova-api', conf.CONF)
    # A policy that cannot be read refuses all: said now, and not then.
    boots.gate.site()
    return boots


class BootFilter:
    """Lets servers boot only from what may boot.

    :param app: the next application
    :param boots: who judges
    """

    def __init__(self, app: App, boots: Boots) -> None:
        self._app = app
        self._boots = boots
        self._routes = bootable.BootRoutes()

    def __call__(self, environ: Environ,
                 start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        route = self._routes.match(environ)
        if route is None:
            return self._app(environ, start_response)
        refusal = self._refusal(environ, route)
        app = self._app if refusal is None else _fault(environ, refusal)
        return app(environ, start_response)

    def _refusal(self, environ: Environ,
                 route: dict[str, str]) -> webob.exc.HTTPException | None:
        """Return why a request is refused; None if it passes."""
        request = webob.Request(environ)
        body = request.body
        if not body:
            return None  # Nova refuses it
        try:
            asked = bootable.asked(route, body)
        except bootable.Unreadable as error:
            return webob.exc.HTTPBadRequest(explanation=str(error))
        if asked is None:
            return None
        context = environ.get('nova.context')
        if context is None:
            LOG.critical('hepix_boot has to stand after keystonecontext in '
                         'api-paste.ini')
            return webob.exc.HTTPServiceUnavailable(
                explanation='It is not known who asks: tell the operator.')
        judged = _Judged(self._boots, context, asked)
        answer = judged.answer()
        return None if answer.allowed else judged.refusal(answer)


class _Judged:
    """One request that boots something, or makes an image."""

    def __init__(self, boots: Boots, context: Any, asked: Asked) -> None:
        self._boots = boots
        self._context = context
        self._asked = asked
        self._booter = booter_of(context)
        self._deadline = boots.deadline()
        self._who = {
            'action': asked.action, 'request': context.request_id or '',
            **({'server': asked.server} if asked.server else {})}

    def answer(self) -> Answer:
        """Return whether it may be done."""
        try:
            return self._answer()
        except Unknown as error:
            return self._boots.unknown(error, self._booter, **self._who)
        except Exception as error:  # a database may raise what it likes
            LOG.exception('A request cannot be judged')
            return self._boots.failed(error, self._booter, **self._who)

    def _answer(self) -> Answer:
        asked = self._asked
        wanted = asked.wanted
        if asked.server:
            server = booted_server.find(self._context, asked.server)
            if server is None:
                if not wanted.images:
                    return Answer()
            elif asked.action in bootable.IMAGING:
                return self._imaging(server)
            else:
                wanted += booted_server.wanted(asked, server)
                if asked.action == UNSHELVE and wanted.nothing:
                    return self._boots.refused(
                        NO_SOURCE, self._booter, **self._who)
        if asked.disks and wanted.nothing:
            return self._boots.refused(Reason(
                Code.NOT_ENDORSED, 'None of the disks that the server would '
                'have is one that it may boot.', cure='Name an endorsed '
                'image: in imageRef, or for the disk whose boot_index is 0.'),
                self._booter, **self._who)
        return self._boots.judge(
            wanted, self._booter, self._deadline, **self._who)

    def _imaging(self, server: Server) -> Answer:
        """Return whether an image may be made of a server.

        Glance would refuse it as well, but shelving powers a server off
        before.
        """
        if server.root is not None:
            return Answer()  # no bytes come to Glance
        if self._choice(server) is not Choice.REFUSE:
            return Answer()
        return self._boots.refused(Reason(
            Code.DERIVED_REFUSED,
            'This cloud takes no images that are made from servers.'),
            self._booter, **self._who)

    def _choice(self, server: Server) -> Choice:
        booter, own = self._booter, (
            server.project == self._context.project_id)
        subject = Subject(
            self._boots.gate.now(), projects=frozenset({server.project}) | (
                booter.names if own else frozenset()),
            names_known=own, roles=booter.roles, moment=Moment.STORE)
        return derived.choice_for(
            subject, self._boots.gate.site().policy.derived_images)

    def refusal(self, answer: Answer) -> webob.exc.HTTPException:
        """Return what a user is told."""
        shown, hidden, unknown = [], [], answer.unknown
        for refusal in answer.refusals:
            try:
                unseen = self._hidden(refusal)
            except Unknown as error:
                unknown = Verdict((Reason.of(error),))
                continue
            if unseen is None and not refusal.missing:
                shown.append(refusal)
            else:
                hidden.append(unseen or refusal.named)
        if shown:
            return webob.exc.HTTPForbidden(
                explanation=Answer(tuple(shown)).explain())
        if unknown is not None:
            return webob.exc.HTTPServiceUnavailable(
                explanation=unknown.explain(),
                headers={'Retry-After': _LATER})
        return webob.exc.HTTPBadRequest(explanation=_not_found(
            self._asked, hidden[0]))

    def _hidden(self, refusal: Refusal) -> Named | None:
        """Return the first that led there of which the user may not know.

        :raises Unknown: Glance does not say whether he may
        """
        return next((each for each in refusal.chain
                     if not self._may_know(each)), None)

    def _may_know(self, named: Named) -> bool:
        context = self._context
        if context.is_admin or named.owner in ('', context.project_id):
            return True
        if named.kind != IMAGE:
            return False
        # Nova waits for Glance as long as that is silent.
        return lookup.asked('Glance', self._deadline, lambda seconds: within(
            seconds, lambda: _is_shown(context, named.identifier)))


def _is_shown(context: Any, image_id: str) -> bool:
    """Return whether Glance shows an image to a user: it may be shared.

    :raises ServiceError: Glance does not say
    """
    from nova import exception
    from nova.image import glance

    try:
        glance.API().get(context, image_id)
    except (exception.ImageNotFound, exception.ImageNotAuthorized,
            exception.Forbidden):
        return False
    except Exception as error:  # of python-glanceclient, what it likes
        raise ServiceError(
            f'Glance does not say whether a user may see the image '
            f'{image_id} ({type(error).__name__}).', 0,
            'Look into the log of glance-api.') from error
    return True


def _not_found(asked: Asked, named: Named) -> str:
    """Return what Nova says of what it does not find, in its words."""
    from nova import exception

    name = named.identifier
    if named.kind != IMAGE:
        found = (exception.InvalidBDMVolume if named.kind == VOLUME
                 else exception.InvalidBDMSnapshot)
        return str(found(id=name).format_message())
    if asked.action == bootable.RESCUE:
        return str(exception.UnsupportedRescueImage(
            image=name).format_message())
    if asked.action == bootable.REBUILD:
        return 'Cannot find image for rebuild'
    return 'Can not find requested image'


def _fault(environ: Environ, refusal: webob.exc.HTTPException) -> App:
    """Return a refusal as Nova answers it, with its version headers."""
    from nova.api.openstack import wsgi
    from nova import exception

    try:
        wsgi.Request(environ).set_api_version_request()
    except exception.Invalid as error:
        LOG.debug('A refusal says no version: %s', error)
    fault: App = wsgi.Fault(refusal)
    return fault
