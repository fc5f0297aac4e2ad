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


"""``hepix-vm-status upgrade check``: the preflight of a service."""

import argparse
import os

from cliff import lister

from hepix_vm.findings import Finding

COLUMNS = ('Check', 'Result', 'Details')

GLANCE = 'glance'
NOVA = 'nova'
CINDER = 'cinder'
# Of our own, with no settings but hepix-vm.conf.
VENDORDATA = 'vendordata'
SYNC = 'sync'
# The parts of Nova, each of which may run on hosts of its own.
PARTS = ('nova-api', 'nova-api-metadata', 'nova-scheduler', 'nova-compute')
AS_ROOT = (
    'Warning: This was asked as root, who can read what the service cannot. '
    'Ask as the user of the service: runuser -u USER -- hepix-vm-status ...\n')
_PROGRAMS = {GLANCE: 'glance-api', NOVA: 'Nova', CINDER: 'cinder-api'}


class UpgradeCheck(lister.Lister):
    """Show what the settings of a service leave open.

    For Glance these are the checks with which glance-api starts. For Nova
    they say whether it asks before servers boot, and whether every server
    gets its context: nova is for a host that runs all of it, and nova-api,
    nova-api-metadata, nova-scheduler and nova-compute for one that runs only
    that. For Cinder they say whether its users can tell lies about volumes,
    for vendordata whether that service of ours can answer, and for sync
    whether lists are followed and images swept on this controller. The exit
    status is 0 if all is well, 1 if there are warnings, 2 if there are
    failures.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'service', nargs='?',
            choices=(GLANCE, NOVA, *PARTS, CINDER, VENDORDATA, SYNC),
            default=GLANCE, help='which service (%(default)s by default)')
        for service, program in _PROGRAMS.items():
            parser.add_argument(
                f'--{service}-config', action='append', default=[],
                metavar='FILE',
                help=f'a configuration file of {program}; can be given '
                     f'several times, in the order in which {program} reads '
                     f'them (by default those that {program} finds itself)')
            parser.add_argument(
                f'--{service}-config-dir', action='append', default=[],
                metavar='FOLDER',
                help=f'a folder of such files, read after them (by default '
                     f'those that {program} finds itself)')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace
            ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the table."""
        look = {GLANCE: _of_glance, CINDER: _of_cinder,
                VENDORDATA: _of_vendordata, SYNC: _of_sync,
                }.get(parsed_args.service, _of_nova)
        findings = look(parsed_args)
        self._status = max(finding.severity for finding in findings)
        return COLUMNS, [
            (finding.what, str(finding.severity), finding.message)
            for finding in findings]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the table, and return the exit status."""
        super().run(parsed_args)
        if os.geteuid() == 0:
            self.app.stderr.write(AS_ROOT)
        return int(self._status)


def _of_glance(arguments: argparse.Namespace) -> list[Finding]:
    # Only this needs the libraries of Glance.
    from hepix_vm.glance_hooks import preflight

    preflight.load(arguments.glance_config, arguments.glance_config_dir)
    return preflight.findings()


def _of_nova(arguments: argparse.Namespace) -> list[Finding]:
    from hepix_vm.nova_ctx import preflight

    parts = [preflight.Part(part) for part in PARTS
             if arguments.service in (part, NOVA)]
    return preflight.check(preflight.load(
        arguments.nova_config, arguments.nova_config_dir, parts), parts)


def _of_cinder(arguments: argparse.Namespace) -> list[Finding]:
    from hepix_vm.cinder_checks import preflight

    return preflight.check(preflight.load(
        arguments.cinder_config, arguments.cinder_config_dir))


def _of_vendordata(arguments: argparse.Namespace) -> list[Finding]:
    from hepix_vm.nova_ctx.checks import vendordata

    return vendordata.check()


def _of_sync(arguments: argparse.Namespace) -> list[Finding]:
    from hepix_vm.exchange import preflight

    return preflight.check()
