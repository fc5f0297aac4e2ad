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

"""A paste filter, loaded by the testbed's Glance, that only helps sqlite.

As a program it runs another one with the same help: PROGRAM ARGUMENT...

oslo.db begins transactions with BEGIN. Two that have read and then want to
write get "database is locked" at once, whatever the time-out: no request
would survive company. BEGIN IMMEDIATE makes them wait in line instead. It
changes nothing in requests or answers.
"""

from collections.abc import Callable
import runpy
import sqlalchemy
import sys
from typing import Any


def filter_factory(
        global_conf: dict[str, str],
        **local_conf: str) -> Callable[[Any], Any]:
    """Change how transactions begin and leave the application alone."""
    _help()
    return lambda application: application


def _help() -> None:
    sqlalchemy.event.listen(sqlalchemy.Engine, 'before_cursor_execute',
                            _begin_immediate, retval=True)


def _begin_immediate(
        connection: Any, cursor: Any, statement: str, parameters: Any,
        context: Any, executemany: bool) -> tuple[str, Any]:
    if statement == 'BEGIN':
        statement = 'BEGIN IMMEDIATE'
    return statement, parameters


if __name__ == '__main__':
    _help()
    sys.argv.pop(0)
    runpy.run_path(sys.argv[0], run_name='__main__')
