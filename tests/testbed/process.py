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

"""A server process and its children, measured and stopped as one group."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import signal
import subprocess
import time

_TICKS = os.sysconf('SC_CLK_TCK')


class ProcessGroup:
    """A command in a session of its own, its output in a log file."""

    def __init__(self, command: Sequence[str], log: pathlib.Path,
                 environment: Mapping[str, str], cwd: pathlib.Path) -> None:
        # A test run that is killed takes its servers with it.
        tied = ['setpriv', '--pdeathsig', 'TERM', '--', *command]
        with log.open('ab') as output:
            self._process = subprocess.Popen(
                tied, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env=dict(environment), cwd=cwd,
                start_new_session=True)
        self.pid = self._process.pid

    def exit_status(self) -> int | None:
        """The leader's exit status, None while it runs."""
        return self._process.poll()

    def stop(self, timeout: float = 20.0) -> None:
        """SIGTERM to the leader, after `timeout` seconds SIGKILL to all."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass  # The SIGKILL below is the answer to this.
        self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of the group, as in a crash."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # All of them had ended.
        self._process.wait()
        # Only when its last thread is gone is a worker's port free.
        while self.members():
            time.sleep(0.01)

    def members(self) -> list[int]:
        """The process ids of the group that are alive."""
        return [pid for pid, _ in self._stats()]

    def cpu_seconds(self) -> float:
        """User and system CPU seconds of the group and its dead children."""
        # proc(5): utime, stime, cutime, cstime are the fields 14 to 17,
        # and _stats begins at field 3.
        return sum(sum(map(int, fields[11:15]))
                   for _, fields in self._stats()) / _TICKS

    def rss(self) -> int:
        """Resident bytes now, summed over the group."""
        return sum(self._memory('VmRSS'))

    def peak_rss(self) -> int:
        """The highest resident bytes of each process, summed."""
        return sum(self._memory('VmHWM'))

    def reset_peak_rss(self) -> None:
        """Make :meth:`peak_rss` start again from what is resident now."""
        for pid in self.members():
            # proc(5), clear_refs: 5 resets the peak resident set size.
            pathlib.Path(f'/proc/{pid}/clear_refs').write_text('5')

    def _stats(self) -> list[tuple[int, list[str]]]:
        found = []
        for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
            try:
                text = path.read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended while the folder was read.
            # The command's name, in parentheses, may hold blanks.
            fields = text[text.rindex(')') + 2:].split()
            # A zombie's threads, field 20, may still run.
            alive = fields[0] != 'Z' or int(fields[17]) > 1
            if int(fields[2]) == self.pid and alive:
                found.append((int(path.parent.name), fields))
        return found

    def _memory(self, field: str) -> list[int]:
        values = []
        for pid in self.members():
            status = pathlib.Path(f'/proc/{pid}/status').read_text()
            values += [int(line.split()[1]) * 1024
                       for line in status.splitlines()
                       if line.startswith(field + ':')]
        return values
