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

"""Whether servers may boot from what they would boot from."""

from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from hepix_vm.boot import Booter
from hepix_vm.boot import BootGate
from hepix_vm import config
from hepix_vm.deadline import Deadline
from hepix_vm.errors import cause_of
from hepix_vm.errors import Code
from hepix_vm.nova_ctx.bootable import Wanted
from hepix_vm.nova_ctx.followed import Followed
from hepix_vm.nova_ctx.lookup import Lookup
from hepix_vm.nova_ctx.lookup import Unknown
from hepix_vm.nova_ctx.refusal import Answer
from hepix_vm.nova_ctx.refusal import Refusal
from hepix_vm.nova_ctx.volumes import Volumes
from hepix_vm.projects import name_of
from hepix_vm.trust.verdict import Reason

LOG = logging.getLogger(__name__)

# Of a server that boots from nothing that is known.
NO_SOURCE = Reason(Code.VOLUME_REFUSED,
                   'Nova does not say from what the server would boot.')


def booter_of(context: Any) -> Booter:
    """Return who asks.

    :param context: Nova's
    """
    return Booter(
        context.user_id or '', context.project_id or '',
        frozenset(filter(None, {name_of(context)})),
        frozenset(filter(None, {context.project_domain_id,
                                context.project_domain_name})),
        frozenset(context.roles or ()))


class Boots:
    """Judges what servers would boot from; for several threads.

    :param gate: judges an image
    :param lookup: asks Glance
    :param volumes: asks Cinder
    """

    def __init__(self, gate: BootGate, lookup: Lookup,
                 volumes: Volumes) -> None:
        self.gate = gate
        self.lookup = lookup
        self.volumes = volumes

    @classmethod
    def of(cls, service: str, service_conf: cfg.ConfigOpts) -> 'Boots':
        """Return what a service of Nova asks.

        :param service: whose journal is written, such as ``nova-api``
        :param service_conf: its own configuration
        :raises ConfigError: hepix-vm.conf cannot be used, or has no account
        """
        conf = config.load(config.files_of(service_conf))
        return cls(BootGate(service, service_conf), Lookup(conf),
                   Volumes(conf))

    def deadline(self) -> Deadline:
        """Return until when Glance and Cinder are waited for, from now on.

        However much a request names, its user waits for one answer.
        """
        return Deadline(self.gate.settings.boot_timeout)

    def judge(self, wanted: Wanted, booter: Booter,
              deadline: Deadline, **who: str) -> Answer:
        """Return whether a server may boot from all of this.

        It is journalled, and nothing is raised.

        :param deadline: as :meth:`deadline` returns it when a request comes
        :param who: what the journal says besides: action, server, request
        """
        try:
            followed = Followed(self.gate, self.lookup, self.volumes, booter,
                                deadline, who)
            followed.at(wanted)
        except Exception as error:
            LOG.exception('It cannot be judged what would boot')
            return self.failed(error, booter, **who)
        # What is certain needs no other answer.
        if followed.refusals or followed.unknown is None:
            return Answer(tuple(followed.refusals))
        return self.unknown(followed.unknown, booter,
                            **{**who, **followed.unknown_at})

    def failed(self, error: Exception, booter: Booter,
               **who: str) -> Answer:
        """Return the answer where something went wrong with us."""
        return self.refused(Reason(
            Code.INTERNAL_ERROR, 'It cannot be judged now what would boot.'),
            booter, cause_of(error), **who)

    def refused(self, reason: Reason, booter: Booter, cause: str = '',
                **who: str) -> Answer:
        """Return the answer for a reason that speaks of no image.

        :param cause: what went wrong with us, for the journal
        """
        verdict = self.gate.refuse(reason, booter, cause, **who)
        return Answer() if verdict.allowed else Answer((Refusal(verdict),))

    def unknown(self, error: Unknown, booter: Booter, **who: str) -> Answer:
        """Return the answer where somebody else does not answer."""
        reason = Reason.of(error)
        if self.gate.settings.on_unknown == 'allow':
            self.gate.let_pass(reason, booter, **who)
            return Answer()
        verdict = self.gate.refuse(reason, booter, **who)
        return Answer(unknown=None if verdict.allowed else verdict)
