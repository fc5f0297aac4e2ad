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

"""Paste filter ``hepix_trust`` of glance-api: uploads and staging.

It stands last before ``rootapp``, so that the request has its context and
its version was negotiated. It hashes the body as Glance reads
it, and raises in the middle of Glance's last read when the bytes are not
endorsed: Glance then removes what it wrote and answers with our text.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
from typing import Any

from oslo_log import log as logging
import webob
import webob.exc

from hepix_vm.errors import Code
from hepix_vm.gate import Case
from hepix_vm.gate import Gate
from hepix_vm.glance_hooks import body
from hepix_vm.glance_hooks.body import App
from hepix_vm.glance_hooks.body import Environ
from hepix_vm.glance_hooks.body import StartResponse
from hepix_vm.glance_hooks import claims
from hepix_vm.glance_hooks import derived
from hepix_vm.glance_hooks import guards
from hepix_vm.glance_hooks import images
from hepix_vm.glance_hooks import listing
from hepix_vm.glance_hooks import preflight
from hepix_vm.glance_hooks import routing
from hepix_vm.glance_hooks import service
from hepix_vm import properties
from hepix_vm.trust.derived import Origin
from hepix_vm.trust.verdict import Mode
from hepix_vm.trust.verdict import Reason
from hepix_vm.trust.verdict import Verdict

LOG = logging.getLogger(__name__)


def filter_factory(global_conf: dict[str, str],
                   **local_conf: str) -> Callable[[App], App]:
    """Return the filter, as PasteDeploy asks for it.

    :raises ConfigError: the settings of Glance leave the gate open
    """
    del global_conf, local_conf  # hepix-vm.conf has all settings
    preflight.require()
    service.begin()
    return UploadFilter


class UploadFilter:
    """Lets only endorsed bytes through.

    :param app: the next application
    :param gate: who judges
    """

    def __init__(self, app: App, gate: Gate | None = None) -> None:
        self._app = app
        self._gate = gate or service.gate()
        self._routes = routing.GuardedRoutes()

    def __call__(self, environ: Environ,
                 start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        route = self._routes.match(environ)
        if route is None:
            return self._app(environ, start_response)
        action, image_id = route['action'], route.get('image_id', '')
        if action == 'list':
            return self._list(environ)(environ, start_response)
        # openstacksdk sends an empty Accept, and shows the reason of a
        # refusal only if it comes as JSON or HTML.
        environ['HTTP_ACCEPT'] = (
            environ.get('HTTP_ACCEPT') or 'application/json')
        try:
            answer = (self._upload(environ, image_id, action)
                      if action in ('upload', 'stage')
                      else self._guarded(environ, image_id, action))
        except webob.exc.HTTPException as refusal:
            answer = body.lingering(refusal)
        return answer(environ, start_response)

    def _list(self, environ: Environ) -> App:
        """Return what answers a request for a list of images."""
        if listing.wanted(environ):
            return self._app
        response = webob.Request(environ).get_response(self._app)
        listing.shorten(response)
        return response

    def _guarded(self, environ: Environ, image_id: str,
                 action: str) -> App:
        """Return what answers a request that could change what counts."""
        request = guards.Guarded(self._gate, environ, action, image_id)
        try:
            guards.check(request)
        except webob.exc.HTTPException:
            raise
        except Exception:
            LOG.exception('A request cannot be judged')
            request.refuse([Reason(
                Code.INTERNAL_ERROR, 'The request cannot be judged now.')],
                body.Refused)
        request.forget()
        response = webob.Request(environ).get_response(self._app)
        # Glance may refuse to show what it has saved.
        if image_id and (response.status_int < 300 or action == 'update'):
            self._settle(request)
        return response

    def _settle(self, request: guards.Guarded) -> None:
        """Look at an image that was changed, whose answer is known."""
        context = request.context
        try:
            repo = images.repository(context)
            if request.action == 'deactivate':
                images.release(repo, request.image_id)
            images.settle(
                self._gate, repo, request.image_id, context,
                route=request.action, user=context.user_id or '',
                request=context.request_id or '')
        except Exception:  # a database may raise what it likes
            LOG.exception('The image %s cannot be settled; the sweep will',
                          request.image_id)

    def _upload(self, environ: Environ, image_id: str, action: str) -> App:
        """Return what answers a request that brings bytes."""
        context = webob.Request(environ).context
        source = body.source_of(environ)
        image = images.find_visible(context, image_id)
        # Glance would refuse both as well, but later, when it may have
        # become otherwise.
        if image is None:
            raise webob.exc.HTTPNotFound(
                explanation=f'No image found with ID {image_id}')
        if image.status != 'queued':
            raise webob.exc.HTTPConflict(
                explanation=f'The image is {image.status}; only a queued '
                            f'one takes data.')
        subject = images.subject_of(image, context, self._gate.now(),
                                    size=source.length)
        if action == 'stage':
            # What the import will unpack or convert is known only then.
            subject = dataclasses.replace(subject, disk_format='')
        case = Case(self._gate, subject, route=action,
                    **images.who(image, context))
        if case.disabled:
            return self._app
        if context.is_admin or context.project_id == image.owner:
            # Glance refuses most others; they are not told more.
            if action == 'upload':
                case.origin = derived.origin_of(
                    self._gate, environ, context, image, subject)
            body.refuse(case.early())
        repo = images.repository(context)
        with claims.Claim(repo, image, taken=action == 'upload') as claim:
            reader = body.HashingReader(source, case, claim.check)
            reader.install(environ)
            response = webob.Request(environ).get_response(self._app)
        if response.status_int < 300:
            self._accepted(repo, image_id, action, case.origin,
                           reader.verdict if claim.held else None)
            return response
        return body.lingering(response, source)

    def _accepted(self, repo: Any, image_id: str, action: str,
                  origin: Origin | None, verdict: Verdict | None) -> None:
        """Mark an image whose bytes Glance just took.

        Before Glance's answer is the wrong time: its own save would purge
        the properties.
        """
        if verdict is None or not verdict.allowed:
            LOG.critical('Glance took bytes of the image %s that were not '
                         'judged, or not alone', image_id)
            images.withdraw(repo, image_id)
            raise body.Refused(
                explanation='The data was not checked as a whole.')
        if action == 'upload' and verdict.mode is not Mode.DISABLED:
            images.mark_or_log(repo, image_id, {
                **derived.properties_of(verdict, origin),
                **properties.of_verdict(
                    verdict, altered=False,
                    require_trait=self._gate.settings.require_trait)})
