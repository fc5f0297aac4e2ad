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

"""What others wrote, as one line."""

_LONGEST = 300  # characters of a name that others chose


def clean(text: str, longest: int = _LONGEST) -> str:
    """Return a text of somebody else's as one line that hides nothing.

    Control characters could end a line, or give orders to a terminal;
    those that change the direction of writing could make it read otherwise.

    :param longest: characters that are kept
    """
    line = ' '.join(''.join(
        character if character.isprintable() else ' '
        for character in text[:2 * longest]).split())
    return line if len(line) <= longest else f'{line[:longest]}...'
