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

"""All use of stevedore: a missing or broken plugin is an error."""

from collections.abc import Iterable
from importlib import metadata
from typing import Any

from stevedore import driver
from stevedore import named

from hepix_vm.errors import PluginError

SOURCES = 'hepix_vm.endorsement_sources'
CHECKS = 'hepix_vm.image_checks'
CONTEXT = 'hepix_vm.context_sources'
NOTIFIERS = 'hepix_vm.notifiers'


def offered(group: str) -> list[str]:
    """Return the names of the plugins of a group that are installed."""
    return sorted(metadata.entry_points(group=group).names)


def load(group: str, names: Iterable[str]) -> list[Any]:
    """Return the plugins of a group, in the order that is asked for.

    :param group: the entry point group
    :param names: the entry points
    :raises PluginError: one of them is not installed, or does not load
    """
    return [_load(group, name) for name in names]


def load_named(group: str, name: str) -> Any:
    """Return a plugin as services find theirs that take a list of names.

    Where two packages offer the name, stevedore takes the last; where it
    does not load, stevedore would go on without it.

    :raises PluginError: it is not installed, or does not load
    """
    try:
        found = named.NamedExtensionManager(
            group, names=[name], name_order=True,
            on_load_failure_callback=_raise).extensions
    except Exception as error:
        raise PluginError(f'The plugin {name} of {group} cannot be loaded: '
                          f'{error}.') from error
    if not found:
        raise PluginError(f'The plugin {name} of {group} is not installed.')
    return found[0].plugin


def _load(group: str, name: str) -> Any:
    try:
        return driver.DriverManager(
            group, name, invoke_on_load=False,
            on_load_failure_callback=_raise).driver
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f'The plugin {name} of {group} cannot be loaded: '
            f'{str(error).rstrip(".")}.',
            remedy='Install the package that has it, or correct the '
                   'setting that names it.') from error


def _raise(manager: Any, entry_point: Any, error: BaseException) -> None:
    """Do not let stevedore log a broken plugin and go on without it."""
    raise error
