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

"""Where options of a service are set."""

from oslo_config import cfg


def option(conf: cfg.ConfigOpts, name: str, group: str = 'DEFAULT') -> str:
    """Return file, group and name of an option.

    :returns: the file that sets it, or should
    """
    location = conf.get_location(name, None if group == 'DEFAULT' else group)
    path = (location.detail if location is not None
            and location.location is cfg.Locations.user
            else (conf.config_file or ['the configuration'])[-1])
    return f'{path}: [{group}] {name}'
