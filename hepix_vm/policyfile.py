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

"""Reading ``policy.yaml``: what this site decides."""

import dataclasses
import datetime
import re

from hepix_vm.trust.settings import AcceptedEndorser
from hepix_vm.trust.settings import Block
from hepix_vm.trust.settings import Blockable
from hepix_vm.trust.settings import Choice
from hepix_vm.trust.settings import DerivedRule
from hepix_vm.trust.settings import Legacy
from hepix_vm.trust.settings import Measure
from hepix_vm.trust.settings import ModeRule
from hepix_vm.trust.settings import Override
from hepix_vm.trust.settings import Policy
from hepix_vm.trust.settings import RunningServers
from hepix_vm.trust.verdict import Mode
from hepix_vm import yamlfile
from hepix_vm.yamlfile import Node

_UUID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_SHA512 = re.compile(r'[0-9a-f]{128}')
_CHOICES = [choice.value for choice in Choice]
_MEASURES = [measure.value for measure in Measure]
_VISIBILITIES = ('private', 'shared', 'community', 'public')
_REFUSE = Node('refuse', '', 0)
_REPORT = Node('report', '', 0)


def parse(data: bytes, path: str) -> Policy:
    """Read the file.

    :param data: its bytes
    :param path: its name, for messages
    :raises ConfigError: something in it is not of the schema
    """
    root = yamlfile.parse(data, path)
    if root.value is None:
        return Policy()
    keys = root.mapping({
        'endorsers', 'blocked', 'hypervisors', 'altered_images',
        'derived_images', 'volumes', 'enforcement', 'legacy', 'overrides',
        'running_servers'})
    empty = Node(None, path, root.line)

    def items(key: str) -> list[Node]:
        return keys.get(key, empty).items()

    return Policy(
        endorsers=tuple(map(endorser, items('endorsers'))),
        blocked=tuple(map(_block, items('blocked'))),
        hypervisors=frozenset(
            map(_hypervisor, items('hypervisors')))
        or Policy().hypervisors,
        altered_images=Choice(keys.get('altered_images', _REFUSE).choice(
            (Choice.REFUSE.value, Choice.ALLOW.value))),
        derived_images=_derived(keys.get('derived_images', _REFUSE)),
        volumes=Choice(keys.get('volumes', _REFUSE).choice(_CHOICES)),
        enforcement=tuple(map(_mode_rule, items('enforcement'))),
        legacy=_legacy(keys.get('legacy', _REFUSE)),
        overrides=tuple(map(_override, items('overrides'))),
        running_servers=_running(keys.get('running_servers', _REPORT)))


def endorser(node: Node) -> AcceptedEndorser:
    """Read one accepted endorser; ``subscriptions.yaml`` has them too.

    :raises ConfigError: something in it is not of the schema
    """
    keys = node.mapping({'dn', 'ca', 'vo', 'projects', 'email'},
                        required=('dn', 'ca'))
    return AcceptedEndorser(
        dn=_dn(keys['dn']), ca=_dn(keys['ca']),
        vo=keys['vo'].text() if 'vo' in keys else '',
        projects=frozenset(
            item.text() for item in keys['projects'].items())
        if 'projects' in keys else frozenset(),
        email=keys['email'].text() if 'email' in keys else '')


def uuid(node: Node) -> str:
    """Read a UUID; it is returned in lower case.

    :raises ConfigError: it is none
    """
    value = str(node.value).lower()
    if not _UUID.fullmatch(value):
        raise node.error('A UUID is expected here.')
    return value


def _hypervisor(node: Node) -> str:
    value = node.text().lower()
    if not value.isalnum():
        raise node.error('A single word such as kvm is expected here.')
    return value


def _dn(node: Node) -> str:
    value = node.text()
    if not value.startswith('/'):
        raise node.error('A distinguished name such as /C=EU/O=Grid/CN=Name '
                         'is expected here.')
    return value


def _block(node: Node) -> Block:
    kinds = {kind.value for kind in Blockable}
    keys = node.mapping(kinds | {'reason'}, required=('reason',))
    named = [key for key in keys if key in kinds]
    if len(named) != 1:
        raise node.error(f'Exactly one of {", ".join(sorted(kinds))} is '
                         f'expected here.')
    kind = Blockable(named[0])
    value = keys[kind]
    if kind is Blockable.ENDORSER:
        return Block(kind, _dn(value), keys['reason'].text())
    if kind is not Blockable.SHA512:
        return Block(kind, uuid(value), keys['reason'].text())
    digest = value.text().lower()
    if not _SHA512.fullmatch(digest):
        raise value.error('128 hexadecimal digits are expected here.')
    return Block(kind, digest, keys['reason'].text())


def _derived(node: Node) -> tuple[DerivedRule, ...]:
    """Read one word, or a mapping of project, role or default to a word."""
    if isinstance(node.value, str):
        return (DerivedRule(Choice(node.choice(_CHOICES))),)
    keys = node.mapping({'projects', 'roles', 'default'})
    rules = [DerivedRule(Choice(value.choice(_CHOICES)), **{kind: name})
             for kind in ('project', 'role') if f'{kind}s' in keys
             for name, value in keys[f'{kind}s'].mapping().items()]
    default = keys.get('default', _REFUSE).choice(_CHOICES)
    return (*rules, DerivedRule(Choice(default)))


def _mode_rule(node: Node) -> ModeRule:
    matched = ('project', 'domain', 'role', 'visibility')
    keys = node.mapping({*matched, 'mode'}, required=('mode',))
    if len(keys) == 1:
        raise node.error(f'A rule needs one of {", ".join(matched)}; the '
                         f'option enforcement holds for all others.')
    if 'visibility' in keys:
        keys['visibility'].choice(_VISIBILITIES)
    return ModeRule(
        Mode(keys.pop('mode').choice([mode.value for mode in Mode])),
        **{key: value.text() for key, value in keys.items()})


def _legacy(node: Node) -> Legacy:
    value = node.text()
    if value == Choice.REFUSE.value:
        return Legacy()
    word, _, date = value.partition(' ')
    if word != 'allow-until' or not date:
        raise node.error('refuse, or allow-until and a date, is expected '
                         'here.')
    # The day that is named is still allowed.
    until = Node(date, node.path, node.line).time()
    return Legacy(until + datetime.timedelta(
        days=0 if 'T' in date else 1))


def _override(node: Node) -> Override:
    needed = ('image', 'until', 'reason', 'author')
    keys = node.mapping(needed, required=needed)
    return Override(uuid(keys['image']), keys['until'].time(),
                    keys['reason'].text(), keys['author'].text())


def _running(node: Node) -> RunningServers:
    """Read one word, or a mapping of the state of an image to a word."""
    states = [field.name for field in dataclasses.fields(RunningServers)]
    if isinstance(node.value, str):
        return RunningServers(**dict.fromkeys(
            states, Measure(node.choice(_MEASURES))))
    return RunningServers(**{
        state: Measure(value.choice(_MEASURES))
        for state, value in node.mapping(states).items()})
