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

"""Runs a module and tells the peak of its resident memory.

Run as ``python -m benchmarks.peak FILE MODULE [ARGUMENT...]``. Whoever
waits for a program learns the peak from the system as well, but then it
counts what was resident before the program was loaded.
"""

import pathlib
import runpy
import sys


def main(file: str, *command: str) -> None:
    """Run the module; write bytes to the file."""
    sys.argv[:] = command
    try:
        runpy.run_module(command[0], run_name='__main__')
    finally:
        status = pathlib.Path('/proc/self/status').read_text()
        line, = (line for line in status.splitlines()
                 if line.startswith('VmHWM:'))
        pathlib.Path(file).write_text(str(int(line.split()[1]) * 1024))


if __name__ == '__main__':
    main(*sys.argv[1:])
