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

"""What other programs knew of the lists that a site follows.

Each of them is read into :class:`Source`; :mod:`.render` writes our file.
Nothing is guessed: what a program did not know is asked for in the file.
"""

from collections.abc import Mapping
import dataclasses
import urllib.parse


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A list as another program had it.

    :param name: what the program called it
    :param url: without user and password
    :param uuid: ``dc:identifier`` of the list; empty if it did not know
    :param endorsers: pairs of DN and CA
    :param projects: by VO, all that the program had
    :param share: how images were shared, as our file says it; empty if it
        did not know
    :param images: ``dc:identifier`` of those that were followed; None is
        all
    :param secret: what the program knew user and password as, in words;
        themselves they stay where they are
    :param notes: what could not be taken over, a sentence each
    :param off: why the list was not followed
    """

    name: str
    url: str
    uuid: str = ''
    endorsers: tuple[tuple[str, str], ...] = ()
    projects: Mapping[str, str] = dataclasses.field(default_factory=dict)
    share: str = ''
    images: tuple[str, ...] | None = None
    prefix: str = ''
    ca_bundle: str = ''
    compatibility: tuple[str, ...] = ()
    secret: str = ''
    notes: tuple[str, ...] = ()
    off: str = ''


def without_secret(url: str) -> tuple[str, bool]:
    """Return an address without user and password, and whether it had any.

    An address that cannot be read is shown to nobody.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return '', '@' in url
    _, at, host = parts.netloc.rpartition('@')
    return parts._replace(netloc=host).geturl(), bool(at)
