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

"""CSV of one thing, which cliff has of several only."""

import argparse
from collections.abc import Sequence
from typing import Any
from typing import TextIO

from cliff.formatters import base
from cliff.formatters import commaseparated


class CsvOne(commaseparated.CSVLister, base.SingleFormatter):
    """One row, under the names of its fields."""

    def emit_one(self, column_names: Sequence[str], data: Sequence[Any],
                 stdout: TextIO, parsed_args: argparse.Namespace) -> None:
        """Write it."""
        self.emit_list(column_names, [data], stdout, parsed_args)
