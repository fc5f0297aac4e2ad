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

"""atrope's ``hepix.yaml``, as version 2.0.0 reads it."""

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import Source
from hepix_vm.exchange.importing import without_secret
from hepix_vm.subscriptions import Properties
from hepix_vm.subscriptions import Share
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

# What atrope itself writes has the last in place of "images".
_KNOWN = frozenset({'url', 'enabled', 'endorser', 'token', 'images', 'prefix',
                    'project', 'subscribed images'})


def read(data: bytes, path: str) -> list[Source]:
    """Read the file.

    :param path: its name, for messages
    :raises ConfigError: it is not of atrope's form
    """
    root = yamlfile.parse(data, path)
    if root.value is None:
        return []
    return [_source(name, node, path)
            for name, node in root.mapping().items()]


def _source(name: str, node: Node, path: str) -> Source:
    """Return a list.

    :raises ConfigError: it is none of atrope's
    """
    keys = node.mapping()
    if not _KNOWN & keys.keys():
        raise ConfigError(
            f'It is not a file of atrope: {name} has no url, or anything '
            f'else that a list of atrope has.', path,
            remedy='Look whose file it is, and say so with --from.')
    url, had_secret = without_secret(_text(keys, 'url'))
    token, project = _text(keys, 'token'), _text(keys, 'project')
    chosen = [item.written or str(item.value)
              for key in ('images', 'subscribed images') if key in keys
              for item in keys[key].items()]
    endorser = (keys['endorser'].mapping()
                if 'endorser' in keys and keys['endorser'].value else {})
    dn, ca = _text(endorser, 'dn'), _text(endorser, 'ca')
    notes = [f'The key {key} is not one of atrope 2.0.0.'
             for key in sorted(keys.keys() - _KNOWN)]
    if project:
        notes.append(f'The project was {project}; atrope took the VO from '
                     f'the list.')
    enabled = keys['enabled'].value if 'enabled' in keys else True
    return Source(
        name=name, url=url, endorsers=((dn, ca),) if dn and ca else (),
        projects={'': project} if project else {},
        # So did atrope share them.
        share='' if project or token else Share.PUBLIC.value,
        images=tuple(chosen) or None, prefix=_text(keys, 'prefix'),
        compatibility=(Properties.ATROPE.value,),
        secret=('the token, followed by ":x-oauth-basic",' if token
                else 'what stood before @ in the address' if had_secret
                else ''),
        notes=tuple(notes), off='' if enabled else 'It was not enabled.')


def _text(keys: dict[str, Node], key: str) -> str:
    """Return a text as it stands in the file, blanks included."""
    if key not in keys or keys[key].value is None:
        return ''
    value = keys[key].value
    return value if isinstance(value, str) else keys[key].text()
