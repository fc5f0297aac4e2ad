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

"""What a table shows in lines, and JSON as it is."""

from typing import Any

from cliff import columns

Dicts = list[dict[str, Any]]


class Reasons(columns.FormattableColumn[Dicts]):
    """Why something is refused: codes, with what to do about them."""

    def human_readable(self) -> str:
        """Return each reason as a line."""
        return '\n'.join(
            f'[{each["code"]}] {each["message"]} {each["remedy"]}'
            for each in self._value)
