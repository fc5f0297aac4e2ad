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

"""Reading ``subscriptions.yaml``: the lists that this site follows."""

from collections.abc import Callable
import os
import re
from typing import TypeVar
import urllib.parse

from hepix_vm import policyfile
from hepix_vm.subscriptions import Block
from hepix_vm.subscriptions import Following
from hepix_vm.subscriptions import IGTF
from hepix_vm.subscriptions import Properties
from hepix_vm.subscriptions import Selection
from hepix_vm.subscriptions import Share
from hepix_vm.subscriptions import Subscriptions
from hepix_vm.subscriptions import SYSTEM
from hepix_vm.trust.settings import AcceptedEndorser
from hepix_vm.trust.settings import Subscription
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

_Value = TypeVar('_Value')

_APPROVE = ('automatically', 'by-operator')
_SUPERSEDED = ('hide', 'delete')
_OF_ALL = {'uuid', 'endorsers', 'agree', 'approve'}
# Of a list that is fetched.
_FOLLOWING = {'url', 'projects', 'share', 'images', 'prefix', 'token',
              'token_file', 'ca_bundle', 'internal_addresses', 'stores',
              'compatibility', 'superseded', 'max_bytes', 'evict_after'}
_UNITS = {'KiB': 2 ** 10, 'MiB': 2 ** 20, 'GiB': 2 ** 30, 'TiB': 2 ** 40}
_SIZE = re.compile(r'([0-9]{1,15}) ?([KMGT]iB)')
_LONGEST_PREFIX = 100  # characters; a name in Glance has 255


def parse(data: bytes, path: str) -> Subscriptions:
    """Read the file.

    :param data: its bytes
    :param path: its name, for messages
    :raises ConfigError: something in it is not of the schema
    """
    root = yamlfile.parse(data, path)
    if root.value is None:
        return Subscriptions()
    keys = root.mapping({'lists', 'max_bytes'}, required=('lists',))
    found: dict[str, Block] = {}
    for node in keys['lists'].items():
        block = _block(node)
        uuid = block.subscription.uuid
        if uuid in found:
            raise node.error(f'The list {uuid} is subscribed twice.')
        found[uuid] = block
    return Subscriptions(tuple(found.values()),
                         _optional(keys, 'max_bytes', _bytes, None))


def _block(node: Node) -> Block:
    keys = node.mapping(_OF_ALL | _FOLLOWING,
                        required=('uuid', 'endorsers'))
    endorsers = tuple(map(policyfile.endorser, keys['endorsers'].items()))
    if not endorsers:
        raise keys['endorsers'].error(
            'At least one endorser must be pinned for a list.')
    approve = (keys['approve'].choice(_APPROVE)
               if 'approve' in keys else _APPROVE[0])
    subscription = Subscription(
        policyfile.uuid(keys['uuid']), endorsers,
        approved=approve == _APPROVE[0],
        agree=_agree(keys['agree'], endorsers) if 'agree' in keys else 1)
    if 'url' in keys:
        return Block(subscription, _following(node, keys))
    for key in keys:
        if key in _FOLLOWING:
            raise keys[key].error(f'The key {key} is for a list that is '
                                  f'fetched; it needs url.')
    return Block(subscription)


def _agree(node: Node, endorsers: tuple[AcceptedEndorser, ...]) -> int:
    number = node.number()
    pinned = len({(each.dn, each.ca) for each in endorsers})
    if number > pinned:
        raise node.error(f'agree asks for {number} endorsers, but {pinned} '
                         f'are pinned.')
    return number


def _following(node: Node, keys: dict[str, Node]) -> Following:
    url = _url(keys['url'])
    share = _optional(keys, 'share', _share, Share.MEMBERS)
    if 'token' in keys and 'token_file' in keys:
        raise keys['token'].error('One of token and token_file is enough.')
    for key in ('token', 'token_file', 'ca_bundle'):
        if key in keys and not url.startswith('https:'):
            raise keys[key].error(f'{key} is for https:// addresses.')
    return Following(
        url, token=_optional(keys, 'token', _token, ''),
        token_file=_optional(keys, 'token_file', _path, ''),
        ca_bundle=_optional(keys, 'ca_bundle', _ca_bundle, SYSTEM),
        internal=_optional(keys, 'internal_addresses', Node.truth, False),
        projects=_projects(node, keys, share), share=share,
        images=_optional(keys, 'images', _selection, Selection()),
        prefix=_optional(keys, 'prefix', _prefix, ''),
        stores=_optional(keys, 'stores', _texts, ()),
        compatibility=_optional(keys, 'compatibility', _tools, frozenset()),
        keep=_optional(keys, 'superseded', _keep, None),
        max_bytes=_optional(keys, 'max_bytes', _bytes, None),
        evict_after=_optional(keys, 'evict_after', Node.number, None))


def _optional(keys: dict[str, Node], key: str,
              read: Callable[[Node], _Value], default: _Value) -> _Value:
    return read(keys[key]) if key in keys else default


def _url(node: Node) -> str:
    """Read an address; none has a password, which messages would show."""
    url = node.text()
    try:
        parts = urllib.parse.urlsplit(url)
        # It passes over blanks and the like.
        plain = url.isascii() and url.isprintable() and ' ' not in url
        good = plain and not parts.fragment and '@' not in parts.netloc and (
            bool(parts.hostname and parts.port != 0)
            if parts.scheme == 'https' else
            parts.scheme == 'file' and not parts.netloc
            and parts.path.startswith('/') and not parts.query)
    except ValueError:
        good = False
    if not good:
        raise node.error('An address https://HOST/PATH, or file:// and an '
                         'absolute path, is expected here; a password '
                         'belongs in token_file.')
    return parts.scheme + url[len(parts.scheme):]


def _share(node: Node) -> Share:
    return Share(node.choice([str(word) for word in Share]))


def _token(node: Node) -> str:
    value = node.text()
    if not value.isprintable() or not all(value.partition(':')):
        raise node.error('user:password is expected here.')
    return value


def _path(node: Node) -> str:
    value = node.text()
    if not os.path.isabs(value):
        raise node.error('An absolute path is expected here.')
    return value


def _ca_bundle(node: Node) -> str:
    value = node.text()
    if value not in (SYSTEM, IGTF) and not os.path.isabs(value):
        raise node.error(f'{SYSTEM}, {IGTF} or an absolute path is expected '
                         f'here.')
    return value


def _projects(node: Node, keys: dict[str, Node],
              share: Share) -> dict[str, tuple[str, ...]]:
    """Read the projects of each VO, which two ways of sharing need."""
    found = {vo: _texts(value) for vo, value in
             keys['projects'].mapping().items()} if 'projects' in keys else {}
    if share in (Share.MEMBERS, Share.PRIVATE) and not found:
        raise keys.get('share', node).error(
            f'share: {share} needs projects; without share it is members.')
    for vo, names in found.items():
        if share is Share.PRIVATE and len(names) != 1:
            raise keys['projects'].error(
                f'share: private needs exactly one project of {vo}: it owns '
                f'the images.')
    return found


def _selection(node: Node) -> Selection:
    if isinstance(node.value, str):
        node.choice(('all',))
        return Selection()
    if isinstance(node.value, list):
        return Selection(_uuids(node))
    keys = node.mapping({'ids', 'os', 'architecture', 'hypervisor'})
    if not keys:
        raise node.error('One of ids, os, architecture and hypervisor is '
                         'expected here.')
    return Selection(
        _optional(keys, 'ids', _uuids, None),
        os=_optional(keys, 'os', _words, frozenset()),
        architectures=_optional(keys, 'architecture', _words, frozenset()),
        hypervisors=_optional(keys, 'hypervisor', _words, frozenset()))


def _uuids(node: Node) -> frozenset[str]:
    return frozenset(map(policyfile.uuid, node.items()))


def _words(node: Node) -> frozenset[str]:
    return frozenset(word.lower() for word in _texts(node))


def _texts(node: Node) -> tuple[str, ...]:
    """Read a text, or a list of them that is not empty."""
    items = node.items() if isinstance(node.value, list) else [node]
    if not items:
        raise node.error('At least one is expected here.')
    return tuple(item.text() for item in items)


def _prefix(node: Node) -> str:
    value = node.text()
    if not value.isprintable() or len(value) > _LONGEST_PREFIX:
        raise node.error(f'A line of at most {_LONGEST_PREFIX} characters '
                         f'is expected here.')
    return value


def _tools(node: Node) -> frozenset[Properties]:
    return frozenset(Properties(item.choice(
        [str(tool) for tool in Properties])) for item in node.items())


def _keep(node: Node) -> int | None:
    """Read what happens to superseded images, as how many are kept."""
    if isinstance(node.value, dict):
        return node.mapping({'keep'}, required=('keep',))['keep'].number(0)
    if node.value not in _SUPERSEDED:
        raise node.error('hide, delete or {keep: NUMBER} is expected here.')
    return 0 if node.value == 'delete' else None


def _bytes(node: Node) -> int:
    found = _SIZE.fullmatch(node.value) if isinstance(
        node.value, str) else None
    if found:
        return int(found[1]) * _UNITS[found[2]]
    if isinstance(node.value, str):
        raise node.error('A number of bytes, or a text such as 500 GiB, is '
                         'expected here.')
    return node.number()
