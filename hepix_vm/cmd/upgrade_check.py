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


"""``hepix-vm-status upgrade check``: the preflight of glance-api."""

import argparse

from cliff import lister

COLUMNS = ('Check', 'Result', 'Details')


class UpgradeCheck(lister.Lister):
    """Show what the settings of glance-api leave open.

    These are the checks with which glance-api starts. The exit status is 0
    if all is well, 1 if there are warnings, 2 if there are failures.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--glance-config', action='append', default=[], metavar='FILE',
            help='a configuration file of glance-api; can be given several '
                 'times, in the order in which glance-api reads them (by '
                 'default those that glance-api finds itself)')
        parser.add_argument(
            '--glance-config-dir', action='append', default=[],
            metavar='FOLDER',
            help='a folder of such files, read after them (by default those '
                 'that glance-api finds itself)')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace
            ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the table."""
        # Only this command needs the libraries of a service.
        from hepix_vm.glance_hooks import preflight

        preflight.load(parsed_args.glance_config,
                       parsed_args.glance_config_dir)
        findings = preflight.findings()
        self._status = max(finding.severity for finding in findings)
        return COLUMNS, [
            (finding.what, str(finding.severity), finding.message)
            for finding in findings]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the table, and return the exit status."""
        super().run(parsed_args)
        return int(self._status)
