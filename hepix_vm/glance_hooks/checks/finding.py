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


"""What a check of Glance's configuration found, and what it looks at."""

from collections.abc import Callable
import dataclasses
import functools

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm.findings import Found
from hepix_vm.gate import Gate
from hepix_vm.protections import ADMIN


@dataclasses.dataclass(frozen=True)
class Checked:
    """A Glance that is looked at.

    :param conf: its configuration, read; Glance's own code uses cfg.CONF
    :param gate: the gate that would be in it
    """

    conf: cfg.ConfigOpts
    gate: Gate

    @functools.cached_property
    def operator_role(self) -> str:
        """Who is an operator besides admin, as Glance spells roles."""
        try:
            role: str = self.gate.settings.operator_role
        except ConfigError:
            return ADMIN
        return role.lower()

    def where(self, option: str, group: str = 'DEFAULT') -> str:
        """Return file, group and name of an option.

        :returns: the file that sets it, or should
        """
        return config.where(self.conf, option, group)


Check = Callable[[Checked], Found]
