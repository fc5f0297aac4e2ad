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

"""What stands before an application, as PasteDeploy reads its file."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

Factory = Callable[..., Any]
Chain = tuple[Factory, ...]


@dataclasses.dataclass(frozen=True)
class Ways:
    """How a service leads requests to its application.

    :param application: its factory
    :param pipelines: factories that choose a pipeline, and the key of the
        one that they choose
    :param maps: factories that lead on by path
    """

    application: Factory
    pipelines: Mapping[Factory, str]
    maps: Collection[Factory]

    def chains(self, path: str, name: str) -> list[Chain]:
        """Return the filters, outermost first, on each way to it.

        :param path: of the paste file
        :param name: what the service loads of it
        :raises Exception: it cannot be loaded; PasteDeploy has no class of
            its own for that
        """
        from paste.deploy import loadwsgi

        return list(self._chains(loadwsgi.loadcontext(
            loadwsgi.APP, f'config:{path}', name), ()))

    def _chains(self, context: Any, before: Chain) -> Iterator[Chain]:
        """Yield them.

        :param context: what PasteDeploy knows of an application
        :param before: the filters on the way to it
        """
        from paste.deploy import loadwsgi

        kind, loader = context.object_type, context.loader
        if kind in (loadwsgi.FILTER_WITH, loadwsgi.FILTER_APP):
            yield from self._chains(
                context.next_context,
                before + _factories(context.filter_context))
        elif kind is loadwsgi.PIPELINE:
            yield from self._chains(context.app_context, before + tuple(
                factory for each in context.filter_contexts
                for factory in _factories(each)))
        elif context.object in self.pipelines:
            *filters, app = context.local_conf[
                self.pipelines[context.object]].split()
            yield from self._chains(loader.app_context(app), before + tuple(
                factory for name in filters
                for factory in _factories(loader.filter_context(name))))
        elif context.object in self.maps:
            for name in context.local_conf.values():
                yield from self._chains(loader.app_context(name), before)
        elif context.object == self.application:
            yield before


def misplaced(chains: Collection[Chain], ours: Factory, name: str,
              service: str) -> str:
    """Return what is wrong with the place of a filter.

    :param chains: on the ways to the application
    :param ours: the factory of the filter, which has to be the last
    :param name: what messages call the filter
    :param service: the same of the application
    :returns: the end of a sentence, empty if nothing is wrong
    """
    if not chains:
        return f'nothing leads to the API of {service}.'
    if any(ours not in chain for chain in chains):
        return f'the filter {name} is missing.'
    if any(chain[-1] is not ours for chain in chains):
        return (f'the filter {name} is followed by another one, which could '
                f'change the request afterwards.')
    return ''


def _factories(context: Any) -> Chain:
    """Return the factories of a filter, and of those that filter it."""
    from paste.deploy import loadwsgi

    if context.object_type is loadwsgi.FILTER_WITH:
        return (_factories(context.filter_context)
                + _factories(context.next_context))
    return (context.object,)
