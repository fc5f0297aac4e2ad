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

"""Filter of nova-scheduler: no host for what may not boot.

It judges what no request to nova-api named, or what changed since: nova-api
tells users why, and this one can only say that there is no host. Nova takes
a class that is derived from its own, so that Nova is imported at once here.
"""

from collections.abc import Iterable
from typing import Any
import weakref

from nova import conf
from nova.scheduler import filters
from oslo_log import log as logging

from hepix_vm.boot import Booter
from hepix_vm.nova_ctx.boot import booter_of
from hepix_vm.nova_ctx.boot import Boots
from hepix_vm.nova_ctx.boot import NO_SOURCE
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx import scheduled
from hepix_vm.nova_ctx.scheduled import Scheduled

LOG = logging.getLogger(__name__)


class EndorsedImageFilter(filters.BaseHostFilter):
    """Leaves no host where the image may not boot, and all where it may.

    :raises ConfigError: hepix-vm.conf cannot be used, or has no account
    """

    RUN_ON_REBUILD = True

    def __init__(self) -> None:
        self._boots = Boots.of('nova-scheduler', conf.CONF)
        # A policy that cannot be read refuses all: said now, and not then.
        self._boots.gate.site()
        # Nova asks once more for other hosts, and for each server of one
        # request, with the same object.
        self._decided: weakref.WeakKeyDictionary[Any, bool] = (
            weakref.WeakKeyDictionary())

    def filter_all(self, filter_obj_list: Iterable[Any],
                   spec_obj: Any) -> list[Any]:
        """Return all hosts, or none.

        :param filter_obj_list: the hosts that other filters left
        :param spec_obj: the RequestSpec
        """
        hosts = list(filter_obj_list)
        if not hosts:
            return []
        if spec_obj not in self._decided:
            self._decided[spec_obj] = self._may_boot(spec_obj)
        return hosts if self._decided[spec_obj] else []

    def _may_boot(self, spec: Any) -> bool:
        """Return whether a host may be looked for."""
        try:
            answer = self._answer(spec)
        except Exception:
            LOG.exception('It cannot be judged what would boot')
            return False
        if not answer.allowed:
            LOG.warning('No host for the server %s: %s', spec.instance_uuid,
                        answer.explain())
        return answer.allowed

    def _answer(self, spec: Any) -> Answer:
        context = spec._context
        booter = booter_of(context)
        who = {'server': spec.instance_uuid, 'request': context.request_id}
        try:
            found = scheduled.find(spec)
        except Unknown as error:
            return self._boots.unknown(
                error, booter, action='schedule', **who)
        if found.occasion not in self._boots.gate.settings.enforce_on:
            return Answer()
        if found.project != booter.project:
            # An administrator moves servers of others.
            booter = Booter(booter.user, found.project)
        who['action'] = str(found.occasion)
        return self._judged(found, booter, who)

    def _judged(self, found: Scheduled, booter: Booter,
                who: dict[str, str]) -> Answer:
        if found.wanted.nothing:
            return self._boots.refused(NO_SOURCE, booter, **who)
        return self._boots.judge(
            found.wanted, booter, self._boots.deadline(), **who)
