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

"""Lists of images, without the signed messages that the images bear.

A message has some 8 KiB, and may have 48: a page of a thousand images would
be tens of megabytes that hardly anybody wants. Whoever does sends a header;
the answer for one image always has it.
"""

from collections.abc import Mapping
import re
from typing import Any

import webob

from hepix_vm.properties import ENDORSEMENT
from hepix_vm.properties import WANTED
from hepix_vm.properties import WANTED_HEADER

# In JSON an unescaped quote begins or ends a string, and only a key has a
# colon behind it: what matches is a member of an object, and nothing that
# stands in a value. So a page is not parsed, which would take several times
# its memory.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_MEMBER = rb'"%b"\s*+:\s*+' % ENDORSEMENT.encode() + _STRING
_NOT_FIRST = re.compile(rb',\s*+' + _MEMBER)
_FIRST = re.compile(rb'(?<=\{)\s*+' + _MEMBER + rb'\s*+,?\s*+')
_ENVIRON = f'HTTP_{WANTED_HEADER.upper().replace("-", "_")}'


def wanted(environ: Mapping[str, Any]) -> bool:
    """Return whether who asks for a list wants the messages as well."""
    return bool(environ.get(_ENVIRON, '').strip().lower() == WANTED)


def shorten(response: webob.Response) -> None:
    """Take the messages out of a page, and leave all else as it is."""
    if (response.status_int != 200 or response.content_encoding
            or response.content_type != 'application/json'):
        return
    page = response.body
    short = without_messages(page)
    if short is not page:
        response.body = short


def without_messages(page: bytes) -> bytes:
    """Return a page without them; the same object if there is none.

    :param page: JSON as Glance writes it
    """
    if ENDORSEMENT.encode() not in page:
        return page
    return _FIRST.sub(b'', _NOT_FIRST.sub(b'', page))
