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

"""What Glance will do with a request, found the way Glance finds it.

A request has many spellings: doubled slashes, and a method that the query
overrides (``POST …?_method=PUT``). They are not imitated here. The same
two libraries that Glance 33 hands a request to, with the same settings,
are asked with Glance's own templates: paste.urlmap, which
``[composite:rootapp]`` of glance-api-paste.ini names, and the middleware
of Routes, as glance.common.wsgi.Router uses it.
"""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

from paste import urlmap
import routes
import routes.middleware

Environ = dict[str, Any]

# From glance.api.v2.router: what brings bytes, what changes an image or who
# may use it, and what shows many at once.
_ROUTES = (
    ('GET', '/images', 'list'),
    ('PUT', '/images/{image_id}/file', 'upload'),
    ('PUT', '/images/{image_id}/stage', 'stage'),
    ('POST', '/images', 'create'),
    ('PATCH', '/images/{image_id}', 'update'),
    ('POST', '/images/{image_id}/import', 'import'),
    ('POST', '/images/{image_id}/actions/reactivate', 'reactivate'),
    ('POST', '/images/{image_id}/actions/deactivate', 'deactivate'),
    ('POST', '/images/{image_id}/locations', 'add_location'),
    ('POST', '/images/{image_id}/members', 'share'),
    ('PUT', '/images/{image_id}/tags/{tag}', 'tag'),
    ('DELETE', '/images/{image_id}/tags/{tag}', 'tag'),
    ('POST', '/tasks', 'create_task'),
)


class GuardedRoutes:
    """Recognises the requests that are looked at."""

    def __init__(self) -> None:
        mapper = routes.Mapper()
        for method, template, action in _ROUTES:
            mapper.connect(template, controller=action, action=action,
                           conditions={'method': [method]})
        self._urls = urlmap.URLMap(not_found_app=_matched_nothing)
        self._urls['/v2'] = routes.middleware.RoutesMiddleware(
            _matched, mapper)

    def match(self, environ: Environ) -> dict[str, str] | None:
        """Return action and image_id of a request that is looked at."""
        # Both libraries change what they are given. Without a type they do
        # not look for a form in the body, which Glance takes for no image.
        probe = {**environ, 'CONTENT_TYPE': ''}
        self._urls(probe, _start)
        found: dict[str, str] | None = probe.get('hepix_vm.route')
        return found


def _matched(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
    environ['hepix_vm.route'] = environ['wsgiorg.routing_args'][1] or None
    return ()


def _matched_nothing(environ: Environ,
                     start: Callable[..., Any]) -> Iterable[bytes]:
    return ()


def _start(*unused: Any) -> None:
    """Stand in for start_response; nothing is answered here."""
