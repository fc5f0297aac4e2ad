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

"""Whether Nova's configuration lets the site decide what boots, and how."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import enum

from oslo_config import cfg

from hepix_vm import config
from hepix_vm.errors import ConfigError
from hepix_vm import findings
from hepix_vm.findings import Finding
from hepix_vm.findings import Found
from hepix_vm.nova_ctx.checks import context
from hepix_vm.nova_ctx.checks import gate
from hepix_vm.nova_ctx.checks import images
from hepix_vm.nova_ctx.checks import vendordata


class Part(enum.StrEnum):
    """A part of Nova; other hosts may run others."""

    API = 'nova-api'
    METADATA = 'nova-api-metadata'
    SCHEDULER = 'nova-scheduler'
    COMPUTE = 'nova-compute'


_WSGI = (Part.API, Part.METADATA)
_GATE = (Part.API, Part.SCHEDULER)
_TOLD = (Part.METADATA, Part.COMPUTE)
_CHECKS: Mapping[str, tuple[Collection[Part], Callable[
    [cfg.ConfigOpts], Found]]] = {
    'Filter in the pipeline': ((Part.API,), gate.check_pipeline),
    'Scheduler filter': ((Part.SCHEDULER,), gate.check_scheduler),
    'Policy of the site': (_GATE, gate.check_policy),
    'Account of hepix-vm': (_GATE, gate.check_account),
    'Rights on files': (_GATE, gate.check_rights),
    'Service tokens': ((Part.API, Part.COMPUTE), images.check_tokens),
    'Tokens that Nova takes': ((Part.API,), images.check_taken),
    'Properties of snapshots': (
        (Part.API, Part.COMPUTE), images.check_inherited),
    'Images stay as they are': ((Part.COMPUTE,), images.check_injection),
    'Images of rescued servers': ((Part.COMPUTE,), images.check_rescue),
    'Program that makes drives': ((Part.COMPUTE,), context.check_program),
    'Format of drives': ((Part.COMPUTE,), context.check_format),
    'Every server has a drive': ((Part.COMPUTE,), context.check_forced),
    'Settings of hepix-vm': ((Part.COMPUTE,), context.check_own_group),
    'Vendordata': (_TOLD, context.check_vendordata),
    'Vendordata answers': (_TOLD, vendordata.check_answers),
    'Context of the site': ((Part.COMPUTE,), context.check_context),
    'Rights on the context': ((Part.COMPUTE,), context.check_rights),
}


def load(config_files: Sequence[str] = (),
         config_dirs: Sequence[str] = (),
         parts: Collection[Part] = tuple(Part)) -> cfg.ConfigOpts:
    """Return Nova's configuration.

    :param config_files: those that Nova reads; by default those that it
        finds itself
    :param config_dirs: the same for its folders
    :param parts: those that run on this host
    :raises ConfigError: they cannot be read
    """
    try:
        from nova.api.openstack import wsgi_app
        from nova import conf
    except ImportError as error:
        raise ConfigError(
            f'Nova cannot be imported: {error}.',
            remedy='Run the command with the Python environment of '
                   'Nova.') from error
    program = max(parts, key=list(Part).index)
    if not config_files and not config_dirs and program in _WSGI:
        # It does not look for them as the others do. The first is of paste.
        config_files = wsgi_app._get_config_files()[1:]
    config.read(conf.CONF, 'nova', str(program), config_files, config_dirs)
    return conf.CONF


def check(nova: cfg.ConfigOpts,
          parts: Collection[Part] = tuple(Part)) -> list[Finding]:
    """Return what the checks found in Nova's configuration.

    :param parts: those that run on this host
    """
    return findings.look({
        what: look for what, (of, look) in _CHECKS.items()
        if set(parts) & set(of)}, nova)
