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


def named(title: str, identifier: str) -> str:
    """Return how a list or an image is named where somebody may act on it.

    :param title: that others chose; it may be empty
    """
    return f'{short(title, "")} ({identifier})' if title else identifier


def short(title: str, identifier: str) -> str:
    """Return what somebody calls a list or an image, in quotes.

    :param identifier: what names it if there is no title
    """
    # Where the title ends is ours to say.
    inner = clean(title).replace('"', "'")
    return f'"{inner}"' if title else identifier
