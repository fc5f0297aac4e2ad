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

"""The real ``openstack`` program, in the process of the tests."""

from collections.abc import Iterator
import contextlib
import io
import json
import logging
import os
import sys
from typing import Any
from typing import NamedTuple
from unittest import mock

from openstackclient import shell
from osc_lib import clientmanager

from hepix_vm import paths
from tests.testbed.site import Site

# An account of a testbed Glance, as testbed_tokens reads it.
OPERATOR = 'ops:s3cret:admin'


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with ``-f json``."""
        return json.loads(self.out)


class OpenStack:
    """Runs commands of ``openstack``.

    :param site: whose files lie where the commands run; None for a machine
        that has none
    :param options: global ones, such as those of an account
    """

    def __init__(self, site: Site | None, *options: str) -> None:
        self._options = options
        self._environment = {
            'no_proxy': '127.0.0.1',
            # No file of that name: those of a test are not its own.
            paths.ENVIRONMENT: str(site.config) if site else os.devnull}

    @classmethod
    def at(cls, glance: str, site: Site | None = None,
           token: str = OPERATOR) -> 'OpenStack':
        """Run commands with a token, at a Glance without Keystone."""
        return cls(site, '--os-auth-type', 'admin_token', '--os-endpoint',
                   glance, '--os-token', token)

    def __call__(self, command: str, *arguments: str,
                 given: str = '') -> Ran:
        """Run a command.

        :param command: its words, such as ``image endorsement list``
        :param given: what it reads from standard input, which is no
            terminal
        """
        out, err = io.StringIO(), io.StringIO()
        _forget_clients()
        with (mock.patch.dict(os.environ, self._environment),
              mock.patch.object(sys, 'stdin', io.StringIO(given)),
              contextlib.redirect_stdout(out),
              contextlib.redirect_stderr(err), _own_log()):
            try:
                status = shell.main(
                    [*self._options, *command.split(), *arguments])
            except SystemExit as ended:  # of argparse
                status = int(ended.code or 0)
        return Ran(status, out.getvalue(), err.getvalue())


def _forget_clients() -> None:
    """Let nobody get the clients of whoever ran a command before.

    osc_lib keeps them in the class, since a process runs one command.
    """
    for each in vars(clientmanager.ClientManager).values():
        if isinstance(each, clientmanager.ClientCache):
            each._handle = None


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    """Take back what the program does to the logs of its process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    # What pytest listens with would be asked for a stream.
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
