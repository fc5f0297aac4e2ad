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
_LONGEST = 4096  # characters of a reason


class Bytes(columns.FormattableColumn[int]):
    """A number of bytes."""

    def human_readable(self) -> str:
        """Return it with a unit."""
        from hepix_vm.cmd import plantable

        return plantable.size(self._value)


class Reasons(columns.FormattableColumn[Dicts]):
    """Why something is refused: codes, with what to do about them."""

    def human_readable(self) -> str:
        """Return each reason as a line."""
        from hepix_vm.exchange.oneline import clean

        # Files of the site, and endorsers, have their words in them.
        return '\n'.join(
            clean(f'[{each["code"]}] {each["message"]} {each["remedy"]}',
                  _LONGEST) for each in self._value)


class Images(columns.FormattableColumn[Dicts]):
    """The images of a list."""

    def human_readable(self) -> str:
        """Return each image as a line."""
        return '\n'.join(
            f'{each["id"]} {each["title"]} {each["version"]}, '
            f'{each["size"]} bytes, {each["architecture"]}, '
            f'{each["distro"]}, {each["hypervisor"]}, SHA-512 '
            f'{each["sha512"][:16]}..., expires {each["expires"]}'
            for each in self._value)


class Versions(columns.FormattableColumn[Dicts]):
    """Former versions of a list."""

    def human_readable(self) -> str:
        """Return each version as a line."""
        return '\n'.join(
            f'{each["version"] or "unreadable"}, until '
            f'{each["replaced"]}' for each in self._value)


class Lines(columns.FormattableColumn[list[str]]):
    """Texts, each of which is a line."""

    def human_readable(self) -> str:
        """Return them as they are."""
        return '\n'.join(self._value)
