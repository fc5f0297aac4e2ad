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

"""A process that does one task after another, each a line of JSON."""

from collections.abc import Mapping
import json
import pathlib
import subprocess
import sys
from typing import Any


class Worker:
    """Starts it; each line of its standard input gets a line of answer.

    :param program: of ``tests/testbed/server``
    :param settings: the file that it is given
    :param log: where its standard error goes
    :param environment: of the process
    """

    def __init__(self, program: str, settings: pathlib.Path,
                 log: pathlib.Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable,
             str(pathlib.Path(__file__).parent / 'server' / program),
             str(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=log.open('wb'), cwd=settings.parent,
            env=dict(environment))

    def ask(self, task: str, arguments: Mapping[str, Any]) -> Any:
        """Have a task done, and return the answer.

        :raises RuntimeError: it has ended; with its log
        """
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([task, arguments]) + '\n')
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(self._log.read_text())
        return json.loads(answer)

    def stop(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)
