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


"""Import plugins and the sentinel: whether Glance loads ours."""

from hepix_vm.errors import PluginError
from hepix_vm.findings import Found
from hepix_vm.findings import Severity
from hepix_vm.glance_hooks import altering
from hepix_vm.glance_hooks.checks.finding import Checked
from hepix_vm import loading

_GROUP = 'image_import_opts'
_OPTION = 'image_import_plugins'
_NOTIFICATIONS = 'oslo_messaging_notifications'
# The events of which any one may be the only one of an activation.
_EVENTS = ('image', 'image.create', 'image.update', 'image.upload',
           'image.activate')


def _plugins(glance: Checked) -> list[str]:
    # Importing it registers the options.
    from glance.async_.flows import api_image_import as _  # noqa: F401

    return list(glance.conf[_GROUP][_OPTION])


def check_first(glance: Checked) -> Found:
    """Whether the import plugin is the first one."""
    plugins = _plugins(glance)
    if plugins[:1] != [altering.OURS]:
        wanted = [altering.OURS, *(
            name for name in plugins if name != altering.OURS)]
        yield Severity.FAILURE, (
            f'{glance.where(_OPTION, _GROUP)} is [{",".join(plugins)}], '
            f'and only the first plugin sees the bytes as they came. Set '
            f'{_OPTION} = [{",".join(wanted)}].')


def check_loads(glance: Checked) -> Found:
    """Whether the import plugin is ours, and loads."""
    from hepix_vm.glance_hooks import import_plugin

    group = 'glance.image_import.plugins'
    remedy = ('Install hepix-vm anew into the Python environment of '
              'glance-api, remove other packages that offer this name, and '
              'empty the cache of entry points '
              '(XDG_CACHE_HOME/python-entrypoints).')
    try:
        plugin = loading.load_named(group, altering.OURS)
    except PluginError as error:
        yield Severity.FAILURE, f'{error} {remedy}'
        return
    if plugin is not import_plugin.get_flow:
        yield Severity.FAILURE, (
            f'The entry point {altering.OURS} of {group} is '
            f'{plugin.__module__}, not the plugin of hepix-vm. {remedy}')


def are_judged(glance: Checked) -> bool:
    """Return whether our plugin is asked at all."""
    return altering.OURS in _plugins(glance) and not any(check_loads(glance))


def check_altering(glance: Checked) -> Found:
    """Whether a plugin after ours may alter the bytes."""
    plugins = _plugins(glance)
    others = [name for name in plugins if name not in altering.HARMLESS]
    if others and plugins[:1] == [altering.OURS]:
        yield Severity.WARNING, (
            f'{glance.where(_OPTION, _GROUP)} has {", ".join(others)} after '
            f'{altering.OURS}: what it alters is stored otherwise than it '
            f'was endorsed. Set {_OPTION} = [{altering.OURS}], unless '
            f'altered_images of policy.yaml is what you want.')


def check_sentinel(glance: Checked) -> Found:
    """Whether the sentinel hears of images that become active."""
    from glance import notifier as _  # noqa: F401
    from oslo_messaging import opts

    glance.conf.register_opts(
        dict(opts.list_opts())[_NOTIFICATIONS], _NOTIFICATIONS)
    if altering.OURS not in glance.conf[_NOTIFICATIONS].driver:
        yield Severity.WARNING, (
            f'{glance.where("driver", _NOTIFICATIONS)} lacks '
            f'{altering.OURS}: nobody notices images that become active by '
            f'a route that is not known. Add the line driver = '
            f'{altering.OURS}.')
    disabled = [event for event in glance.conf.disabled_notifications
                if event in _EVENTS]
    if disabled:
        yield Severity.WARNING, (
            f'{glance.where("disabled_notifications")} has '
            f'{", ".join(disabled)}, so that the sentinel does not hear of '
            f'images. Remove it.')
