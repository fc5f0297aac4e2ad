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

"""Writing ``subscriptions.yaml`` from what another program knew."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import yaml

from hepix_vm.errors import ConfigError
from hepix_vm.exchange.importing import Source
from hepix_vm.exchange.oneline import clean
from hepix_vm import subscriptionsfile

_NAME = 'subscriptions.yaml'
_TOKENS = '/etc/hepix-vm/tokens'

_HEAD = '''\
# Written by hepix-vm-sync import-config from what {tool} knew. Look at each
# line before it counts.
'''
_HINT = '''\
#
# What is not followed is commented out, and the reason stands before it. The
# list itself has most of what is lacking; -signer writes who signed it:
#
#   openssl smime -verify -in image.list -signer signer.pem \\
#       -CApath /etc/grid-security/certificates
#   openssl x509 -in signer.pem -noout -subject -issuer -nameopt compat
#
# Put in what is in capitals, and take "#" from the beginning of the lines.
'''


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """A file of ours.

    :param text: all of it
    :param taken: how many lists it follows
    :param left: how many lists lack something
    """

    text: str
    taken: int
    left: int


def render(sources: Sequence[Source], tool: str,
           projects: Mapping[str, str]) -> Rendered:
    """Return ``subscriptions.yaml``.

    It is read back, so what it follows is of the schema.

    :param tool: who knew it
    :param projects: by VO, from a file of its own
    :raises ConfigError: it cannot be read back
    """
    blocks, seen, left = [], set[str](), 0
    for source in sources:
        block, lacks = _block(source, projects)
        if block['uuid'] in seen:
            lacks.append('Another block has the same UUID.')
        if not lacks:
            lacks = _refused(block)
        if lacks:
            left += 1
        else:
            seen.add(block['uuid'])
        blocks.append(_text(source, block, lacks))
    text = ''.join([
        _HEAD.format(tool=tool) + (_HINT if left else '') + 'lists:\n',
        *blocks])
    subscriptionsfile.parse(text.encode(), _NAME)
    return Rendered(text, len(sources) - left, left)


def _block(source: Source, projects: Mapping[str, str],
           ) -> tuple[dict[str, Any], list[str]]:
    """Return a block of the file, and what it lacks."""
    lacks = [source.off] if source.off else []
    of_vo = dict(projects or source.projects)
    if '' in of_vo:  # atrope knew the project, but not of which VO
        of_vo = {'VO': of_vo['']}
        lacks.append('The VO of the list (ad:vo) is not known.')
    if source.url.lower().startswith('http://'):
        lacks.append('It was fetched by http://, which delivers old versions '
                     'for ever; ask for an https address.')
    if not source.uuid:
        lacks.append('The UUID of the list (dc:identifier) is not known.')
    if not source.endorsers:
        lacks.append('Nobody is known who may endorse it.')
    if not of_vo and not source.share:
        of_vo = {'VO': 'PROJECT'}
        lacks.append('It is not known which project of this cloud each VO '
                     'has; or say share: public, or community.')
    block: dict[str, Any] = {
        'url': source.url or 'ADDRESS',
        'uuid': source.uuid or 'UUID',
        'endorsers': [{'dn': dn, 'ca': ca} for dn, ca in
                      source.endorsers or [('DN', 'DN-OF-THE-CA')]],
        'projects': of_vo, 'share': source.share,
        'images': list(source.images or ()), 'prefix': source.prefix,
        'token_file': (f'{_TOKENS}/{source.uuid or "UUID"}'
                       if source.secret else ''),
        'ca_bundle': source.ca_bundle,
        'compatibility': list(source.compatibility)}
    return {key: value for key, value in block.items()
            if value or (key == 'images' and source.images is not None)
            }, lacks


def _refused(block: Mapping[str, Any]) -> list[str]:
    """Return why our own reader does not take a block."""
    try:
        subscriptionsfile.parse(
            yaml.safe_dump({'lists': [block]}).encode(), _NAME)
    except ConfigError as error:
        return [str(error).partition(': ')[2]]
    return []


def _text(source: Source, block: Mapping[str, Any],
          lacks: Sequence[str]) -> str:
    notes = list(source.notes)
    if source.secret:
        notes.append(
            f'Write {source.secret} as user:password into '
            f'{block["token_file"]}; make the folder, and let the file '
            f'belong to hepix-vm, with mode 0400.')
    if source.images == ():
        notes.append('No image was followed.')
    dumped = yaml.safe_dump([dict(block)], sort_keys=False, width=10_000)
    lead = '#' if lacks else ''
    return ''.join(
        [f'\n  # {clean(source.name)}\n',
         *(f'  # {clean(note)}\n' for note in notes),
         *(f'  # Not followed: {clean(lack)}\n' for lack in lacks),
         *(f'{lead}  {line}\n' for line in dumped.splitlines())])
